"""What tasks wrote, in the log of their container: the program does what the agent asks of it with each run."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.agent.runners import RealRunner
from tests.agent.talk import Open


@pytest.fixture
async def runner(runner_binary: Path) -> AsyncIterator[RealRunner]:
    started = RealRunner(runner_binary)
    await started.start()
    yield started
    await started.clean()


async def test_what_a_failed_run_wrote_stands_in_the_containers_log(runner: RealRunner, talk: Open) -> None:
    agent = await talk(runner)
    for one, script, log in (
        ("a", "echo quiet", "failed"),
        ("b", "echo out; echo err >&2; exit 3", "failed"),
        ("c", "exit 3", ""),
        ("d", "echo all", "all"),
    ):
        agent.run(one, ["sh", "-c", script], log=log, logName=f"j/{one}#1")
        await agent.next("finished")
    async with asyncio.timeout(20):
        while len(runner.log.read_text().splitlines()) < 3:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.01)
    assert runner.log.read_text().splitlines() == ["j/b#1| out", "j/b#1| err", "j/d#1| all"]
