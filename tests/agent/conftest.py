"""Runners for the tests of the agent."""

from collections.abc import AsyncIterator

import pytest
from tests.agent.runners import FakeRunner, RealRunner, Runner, connect
from tests.agent.talk import Open, Talk
from tests.runner_build import runner_binary

__all__ = ["runner_binary"]


@pytest.fixture
async def fake_runner() -> AsyncIterator[FakeRunner]:
    runner = FakeRunner()
    yield runner
    await runner.clean()


@pytest.fixture(params=["fake", "real"])
async def any_runner(request: pytest.FixtureRequest) -> AsyncIterator[FakeRunner | RealRunner]:
    """First the fake, then the real one: what holds for one holds for the other."""
    runner: FakeRunner | RealRunner = (
        FakeRunner() if request.param == "fake" else RealRunner(request.getfixturevalue("runner_binary"))
    )
    yield runner
    await runner.clean()


@pytest.fixture
async def talk() -> AsyncIterator[Open]:
    """Opens connections, and closes them in the end."""
    opened: list[Talk] = []

    async def open_one(runner: Runner, vouch: float | None = 3600.0) -> Talk:
        opened.append(Talk(await connect(runner, vouch)))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.client.close()
