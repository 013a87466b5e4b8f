"""The start task over the whole link: its runner stands in the init container and is told to leave when it has succeeded."""

from collections.abc import Sequence

from tests.agent.runners import connect
from tests.link.house import House, until

from batchpools.core.node_config import StartTaskConfig
from batchpools.link import messages as link
from batchpools.link.words import NodePhase


async def begin(house: House, command: str | list[str], env: Sequence[str] = (), retries: int = 0) -> None:
    """A node with a start task, a shell script or an argv; its task container is not there yet."""
    argv = ["sh", "-c", command] if isinstance(command, str) else command
    house.start_task = StartTaskConfig(argv, [f"ROOT={house.start_runner.root}", *env], retries)
    await house.replica.start()
    house.replica.lead(1)
    await house.start_runner.start("start-task")
    house.start_agent()


def told(house: House) -> list[link.StartTaskReport]:
    """What was said of the start task."""
    return [report.start_task for report in house.leader.of(link.NodeReport) if report.start_task is not None]


async def test_a_start_task_that_succeeds_lets_the_node_become_ready(house: House) -> None:
    await begin(house, 'echo "$AZ_BATCH_NODE_ID $AZ_BATCH_TASK_WORKING_DIR" > "$ROOT/shared/out"')
    assert await house.start_runner.has_left()
    await house.runner.start()
    await until(house.is_ready)
    assert house.leader.phases()[-2:] == [NodePhase.START_TASK, NodePhase.READY]
    last = house.leader.of(link.NodeReport)[-1].start_task
    assert last is not None
    assert (last.exit_code, last.retry_count) == (0, 0)
    assert last.ended_at >= last.started_at > 0
    assert (house.start_runner.root / "shared/out").read_text() == "demo-0 /mnt/batch/startup/wd\n"


async def test_a_start_task_that_fails_is_run_again_as_often_as_it_may_and_then_left_to_be_looked_at(
    house: House,
) -> None:
    await begin(house, 'echo run >> "$ROOT/shared/runs"; exit 7', retries=1)
    await until(lambda: NodePhase.START_TASK_FAILED in house.leader.phases())
    last = told(house)[-1]
    assert (last.exit_code, last.retry_count) == (7, 1)
    assert (house.start_runner.root / "shared/runs").read_text() == "run\nrun\n"
    assert house.start_runner.process is not None
    assert house.start_runner.process.returncode is None
    await house.stop_agent()
    runner = await connect(house.start_runner)
    await runner.close()
    assert [one["id"] for one in runner.hello["finished"]] == ["start-task:1"]  # the latest run alone is remembered
    house.leader.heard.clear()
    house.start_agent()
    await until(lambda: NodePhase.START_TASK_FAILED in house.leader.phases())
    assert told(house)[-1] == last
    assert (house.start_runner.root / "shared/runs").read_text() == "run\nrun\n"


async def test_a_start_task_that_succeeds_at_its_second_run_is_a_success(house: House) -> None:
    await begin(house, 'test -e "$ROOT/shared/once" && exit 0; touch "$ROOT/shared/once"; exit 1', retries=-1)
    assert await house.start_runner.has_left()
    await until(lambda: bool(told(house)) and told(house)[-1].exit_code == 0)
    assert told(house)[-1].retry_count == 1


async def test_a_start_task_goes_on_under_an_agent_that_is_restarted(house: House) -> None:
    script = 'echo run >> "$ROOT/shared/runs"; while ! test -e "$ROOT/shared/go"; do sleep 0.02; done'
    await begin(house, script)
    await until(lambda: bool(told(house)) and told(house)[-1].started_at > 0)
    started = told(house)[-1].started_at
    await house.stop_agent()
    house.leader.heard.clear()
    house.start_agent()
    await until(lambda: bool(told(house)))
    assert told(house)[-1].started_at == started
    (house.start_runner.root / "shared/go").touch()
    assert await house.start_runner.has_left()
    await until(lambda: told(house)[-1].exit_code == 0)
    assert (house.start_runner.root / "shared/runs").read_text() == "run\n"


async def test_a_start_task_whose_program_is_missing_fails_without_another_run(house: House) -> None:
    await begin(house, ["/no/such/program"], retries=-1)
    await until(lambda: NodePhase.START_TASK_FAILED in house.leader.phases())
    last = told(house)[-1]
    assert (last.exit_code, last.code, last.retry_count) == (None, "CommandProgramNotFound", 0)


async def test_a_start_task_whose_environment_grows_without_end_fails_with_a_sentence(house: House) -> None:
    env = ["V0=" + "x" * 1000, *(f"V{i}=$(V{i - 1})$(V{i - 1})" for i in range(1, 40))]
    await begin(house, ["true"], env, retries=3)
    await until(lambda: NodePhase.START_TASK_FAILED in house.leader.phases())
    assert told(house)[-1].code == "CommandLaunchFailed"
    assert "expands to more than" in told(house)[-1].message
