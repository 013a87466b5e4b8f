"""The dead-man timer end to end: hub, agent and the real runner. Who is not vouched for ends everything (S3.1, S3.2)."""

import asyncio

import pytest
from tests.link.house import House, until

from batchpools.link import messages as link


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """T of a second."""
    monkeypatch.setattr("tests.link.house.UNREACHABLE_TIMEOUT", 1.5)


@pytest.mark.usefixtures("short")
async def test_a_leader_whose_lease_is_not_renewed_cannot_keep_a_node_alive(house: House) -> None:
    await house.open()
    house.run("a", "sleep 60")
    await house.start_of("a")
    house.replica.renews = False
    ended = await house.end_of("a")
    assert ended.cause == "expired"
    house.run("b", "true")
    assert (await house.end_of("b")).cause == "expired"
    house.replica.renews = True
    vouches = house.leader.pings
    await until(lambda: house.leader.pings > vouches + 1)
    house.run("c", "true")
    assert (await house.end_of("c")).cause == "exit"


@pytest.mark.usefixtures("short")
async def test_runs_end_also_while_the_agent_is_gone(house: House) -> None:
    await house.open()
    house.run("a", "sleep 60")
    await house.start_of("a")
    await house.stop_agent()
    await asyncio.sleep(2.5)
    house.start_agent()
    assert (await house.end_of("a")).cause == "expired"


@pytest.mark.usefixtures("short")
async def test_a_node_in_touch_goes_on_for_longer_than_its_time(house: House) -> None:
    await house.open()
    house.run("a", "sleep 4; exit 3")
    assert (await house.end_of("a")).exit_code == 3


async def test_the_word_of_an_older_epoch_counts_for_nothing(house: House) -> None:
    """A deposed leader whose Pong is still on its way."""
    await house.open(epoch=5)
    house.replica.renews = False
    session = next(iter(house.replica.hub._sessions.values()))
    session.send(link.Pong(4, 0.0, 1.0))  # would be a deadline in the past
    house.run("a", "true", epoch=5)
    assert (await house.end_of("a")).cause == "exit"
    session.send(link.Pong(5, 0.0, 1.0))
    house.run("b", "true", epoch=5)
    assert (await house.end_of("b")).cause == "expired"
