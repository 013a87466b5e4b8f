"""A container that is lost while memory is scarce, over the whole link (safety rule S8.5).

On cgroup version 2 the kernel kills the whole container; here that is played by SIGKILL of the runner and all it runs.
"""

from tests.agent.cgroups import memory_cgroup
from tests.agent.test_runner_watches import LIMIT, growing
from tests.link.house import House, until

from batchpools.link.words import Cause


async def test_the_largest_is_named_when_its_container_is_lost_and_nobody_else(house: House) -> None:
    with memory_cgroup(LIMIT) as house.runner.cgroup:
        await house.open()
        house.run("small", "", argv=growing(10))
        house.run("large", "", argv=growing(260))
        await until(
            lambda: all((house.runner.root / f"workitems/job/{one}/wd/full").exists() for one in ("small", "large"))
        )
        await house.start_of("large")
        await house.runner.kill()
        await house.runner.start()
        large, small = await house.end_of("large"), await house.end_of("small")
        assert (large.cause, large.code, large.exit_code) == (Cause.BOOT_LOST, "OutOfMemory", None)
        assert "of its 400.0 MiB of memory were in use, the most of it by this task: " in large.message
        assert (small.cause, small.code) == (Cause.BOOT_LOST, "")
        assert small.message.endswith("the most of it by another task")
        await house.runner.kill()
