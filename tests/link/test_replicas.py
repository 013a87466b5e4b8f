"""Several replicas: the agent keeps a session to each, tells all of them of the node, and only the leader of runs (S2.5)."""

from collections.abc import AsyncIterator

import pytest
from tests.link.house import POD, House, Replica, until

from batchpools.agent.sessions import Sessions
from batchpools.link import messages as link
from batchpools.link.words import NodePhase

ADDRESSES = ["127.0.0.1", "127.0.0.2"]


@pytest.fixture
async def standby(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replica]:
    """A second replica behind the same name, and the first one leading."""

    async def resolved(_: Sessions) -> list[str]:
        return ADDRESSES

    monkeypatch.setattr(Sessions, "_addresses", resolved)
    await house.replica.start()
    house.replica.lead(1)
    second = Replica(house.authority)
    await second.start(house.replica.port, ADDRESSES[1])
    await house.runner.start()
    house.start_agent()
    await until(lambda: house.is_ready() and second.leader.phases()[-1:] == [NodePhase.READY])
    yield second
    await second.stop()


async def test_a_standby_knows_the_node_and_nothing_of_its_runs(house: House, standby: Replica) -> None:
    house.run("a", "echo hello")
    await house.end_of("a")
    chunk = await standby.hub.read_file(POD, "workitems/job/a/stdout.txt", 0, 100)
    assert chunk.content == b"hello\n"
    assert standby.leader.of(link.Finished) == []
    assert standby.leader.of(link.Inventory) == []


async def test_a_standby_that_takes_over_gets_what_nobody_acknowledged_and_what_runs(
    house: House, standby: Replica
) -> None:
    house.run("a", "exit 0")
    house.run("b", "sleep 60")
    await house.end_of("a")
    await house.start_of("b")
    standby.lead(2)
    await until(lambda: bool(standby.leader.of(link.Inventory)))
    assert [end.execution_id for end in standby.leader.ends("a")] == ["a"]
    assert [run.execution_id for run in standby.leader.of(link.Inventory)[-1].live] == ["b"]
    standby.hub.acknowledge(POD, ["a"])
    standby.hub.kill(POD, "b", 5.0)
    await until(lambda: bool(standby.leader.ends("b")))
    assert house.leader.ends("b") == []


async def test_a_deposed_leader_that_does_not_know_it_yet_is_not_obeyed(house: House, standby: Replica) -> None:
    standby.lead(2)
    await until(lambda: bool(standby.leader.of(link.Inventory)))
    assert house.run("a", "touch never", epoch=1)
    await until(lambda: bool(standby.leader.of(link.Rejected)))  # the one who leads hears of it
    house.replica.hub.kill(POD, "b", 5.0)  # nor is what it wants killed
    chunk = await house.replica.hub.read_file(POD, "workitems/job/a/stdout.txt", 0, 1)
    assert chunk.error == "NotFound"
    assert house.leader.of(link.Unknown) == standby.leader.of(link.Unknown) == []
