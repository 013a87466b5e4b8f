"""A stolen node token, or an agent that lies: it reports for its own node alone, and a replaced pod's for none (rules S1.1, S1.2).

Whatever node A says of a run that is bound to node B changes nothing; what A is told is to kill and to forget, and only A is told.
"""

import asyncio
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from tests.controllers.task_stage import NS, Agent, Stage, played, ready_node, run_of

from batchpools.core.tasks.lifecycle import name_of
from batchpools.core.views import PoolNodeStatus, TaskStatus
from batchpools.kube.resources import POOL_NODES, TASKS
from batchpools.link import messages as link
from batchpools.link.words import Cause, NodePhase
from batchpools.testing import builders
from batchpools.testing.virtual_time import VirtualClock, run_virtual

TASK = "primes.work"
OTHER_PARTS: dict[str, Callable[[Any], str]] = {
    "its id": lambda run: run.execution_id,
    "a later attempt": lambda _: run_of(2, 7),
    "an earlier attempt": lambda _: run_of(2, 0),
    "a later epoch": lambda _: run_of(3, 1),
    "an earlier epoch": lambda _: run_of(1, 1),
    "an unknown task": lambda _: "uid-of-nobody:-:1:1",
    "another text of its id": lambda run: run.execution_id.replace(":2:", ":02:"),
    "no id": lambda _: "nonsense",
}


def an_end(one: str, cause: str = Cause.EXIT, code: int | None = 0) -> link.Finished:
    return link.Finished(one, TASK, "boot", cause, code, 1.0, 2.0, 0.0, 0.0, 0, "", "")


# Every message that an agent has, as a hostile one would say it of a run that is not its own.
LIES: dict[str, Callable[[Any, Agent, str], None]] = {
    "Started": lambda ledger, a, one: ledger.started(a.identity, link.Started(one, 1.0)),
    "Finished": lambda ledger, a, one: ledger.finished(a.identity, an_end(one)),
    "Finished, killed": lambda ledger, a, one: ledger.finished(a.identity, an_end(one, Cause.KILLED, None)),
    "Unknown": lambda ledger, a, one: ledger.unknown(a.identity, one),
    "Rejected": lambda ledger, a, one: ledger.rejected(a.identity, link.Rejected(one, "no")),
    "Inventory, live": lambda _, a, one: a.tell((one, 1.0, TASK)),
    "Inventory, acknowledged": lambda _, a, one: a.tell(acknowledged=(one,)),
    "Inventory, empty": lambda _, a, __: a.tell(),
    "Inventory, without a runner": lambda _, a, one: a.tell((one, 1.0, TASK), boot_id=""),
    "Ping": lambda ledger, a, _: ledger.pinged(a.identity),
    "NodeReport": lambda ledger, a, _: ledger.node_reported(
        a.identity, link.NodeReport(NodePhase.READY, "boot", 1, None, "")
    ),
    "NodeReport, stopping": lambda ledger, a, _: ledger.node_reported(
        a.identity, link.NodeReport(NodePhase.STOPPING, "boot", 1, None, "")
    ),
    "its end": lambda ledger, a, _: ledger.node_left(a.identity),
}


def picture(stage: Stage, node: Agent) -> Any:
    """All that is known of a node and of the tasks that are bound to it."""
    book = stage.ledger._book
    entries = [
        (one.uid, one.state, one.status, one.attempt, dict(one.losers), one.parked, one.asking, one.story)
        for one in book.on_pod(node.uid)
    ]
    page = deepcopy(book.nodes.get(node.uid))
    return entries, page, stage.ledger.contact(node.uid), deepcopy(stage.kube.objects(TASKS))


async def bound_elsewhere(stage: Stage, state: str) -> tuple[Agent, Agent, link.Run]:
    """Nodes A and B of one pool; the task's run is on B, in this state."""
    stage.pool()
    await stage.lead(2)
    b = await ready_node(stage, "b")
    stage.task()
    await stage.settle()
    [run] = b.runs
    a = await ready_node(stage, "a")
    if state != "Bound":
        b.start(run)
    if state == "Ending":
        stage.kube.remove(TASKS, NS, TASK)
    if state == "Settling":
        stage.kube.faults.hold("patch")
        b.finish(run)
    if state == "recorded":
        await asyncio.sleep(3.0)
    await stage.settle()
    [entry] = stage.ledger._book.on_pod(b.uid)
    assert name_of(entry.state) == ("Running" if state == "recorded" else state)
    return a, b, run


@pytest.mark.parametrize("state", ["Bound", "Running", "recorded", "Ending", "Settling"])
@pytest.mark.parametrize("lie", LIES)
def test_what_a_node_says_of_another_nodes_run_changes_nothing(lie: str, state: str) -> None:
    async def main(clock: VirtualClock) -> None:
        stage = Stage(clock)
        stage.put(builders.job("primes"))
        a, b, run = await bound_elsewhere(stage, state)
        before = picture(stage, b)
        stage.hub.kills.clear()
        stage.hub.acks.clear()
        for part, part_of in OTHER_PARTS.items():
            LIES[lie](stage.ledger, a, part_of(run))
            await stage.settle()
            assert picture(stage, b) == before, (lie, state, part)
            assert {pod for pod, _ in stage.hub.kills + stage.hub.acks} <= {a.uid}, (lie, state, part)
        assert [pod for pod, _ in stage.hub.runs] == [b.uid]
        await stage.ledger.follow()

    run_virtual(main)


@pytest.mark.parametrize("lie", LIES)
def test_what_a_node_says_of_a_run_of_another_pool_changes_nothing(lie: str) -> None:
    """Not even of a task that waits."""

    async def main(clock: VirtualClock) -> None:
        stage = Stage(clock)
        stage.put(builders.job("primes"))
        stage.pool()
        stage.put(builders.pool("other", task_slots_per_node=1))
        await stage.lead(2)
        a = stage.node("a", pool="other")
        stage.task()
        await stage.settle()
        a.connect()
        a.tell()
        await stage.settle()
        [entry] = stage.ledger._book.entries.values()
        before = (entry.state, entry.story, dict(entry.losers), entry.attempt, deepcopy(stage.kube.objects(TASKS)))
        for part, part_of in OTHER_PARTS.items():
            LIES[lie](stage.ledger, a, part_of(link.Unknown(run_of(2, 1))))
            await stage.settle()
            after = (entry.state, entry.story, dict(entry.losers), entry.attempt, stage.kube.objects(TASKS))
            assert after == before, (lie, part)
        await stage.ledger.follow()

    run_virtual(main)


@pytest.mark.parametrize("lie", ["Started", "Finished", "Unknown", "Rejected", "Inventory, live"])
@pytest.mark.parametrize("part", ["a later attempt", "a later epoch", "another text of its id", "no id"])
def test_a_run_that_no_leader_can_have_sent_is_not_taken_over_by_a_task_that_waits(lie: str, part: str) -> None:
    async def main(clock: VirtualClock) -> None:
        stage = Stage(clock)
        stage.put(builders.job("primes"))
        stage.pool()
        await stage.lead(2)
        a = await ready_node(stage, "a")
        stage.hub.leading = False  # nothing can be sent: it waits
        stage.task()
        await stage.settle()
        [entry] = stage.ledger._book.entries.values()
        LIES[lie](stage.ledger, a, OTHER_PARTS[part](link.Unknown(run_of(2, 1))))
        await stage.settle()
        assert (name_of(entry.state), entry.losers, stage.writes()) == ("Waiting", {}, 0)
        await stage.ledger.follow()

    run_virtual(main)


@played
async def test_the_session_of_a_replaced_pod_is_not_believed_about_what_runs(stage: Stage) -> None:
    """The token of generation 1 is still good for a minute; the node's pod is generation 2 by now."""
    stage.pool()
    await stage.lead(2)
    old = await ready_node(stage, "n1")
    [node] = [one for one in stage.kube.objects(POOL_NODES) if one["metadata"]["name"] == "n1"]
    stage.kube.remove(POOL_NODES, NS, "n1")
    replaced = PoolNodeStatus(pod_name="n1-2", pod_uid="uid-of-generation-2")
    stage.put(builders.node("n1", pool_name="demo", status=replaced))
    stage.task()
    await stage.settle()
    assert node["status"]["podUID"] == old.uid
    assert stage.hub.runs == []  # work goes only to the present pod
    old.tell((run_of(1, 1), stage.unix_time(), TASK))
    await stage.settle()
    assert stage.hub.kills == [(old.uid, run_of(1, 1))]
    old.finish(run_of(1, 1))
    await stage.settle()
    assert stage.status() == TaskStatus(state="Active") or stage.status().result == ""
    assert stage.writes() == 0
    assert stage.hub.acks == [(old.uid, run_of(1, 1))]


@played
async def test_the_end_of_a_losing_run_is_believed_of_its_own_node_alone(stage: Stage) -> None:
    stage.pool()
    stage.task()
    first, second, third = (stage.node(name) for name in ("n1", "n2", "n3"))
    await stage.lead(3)
    for agent in (first, second, third):
        agent.connect()
    now = stage.unix_time()
    second.tell((run_of(2, 1), now, TASK))
    first.tell((run_of(1, 1), now, TASK))
    third.tell()
    await stage.settle()
    [entry] = stage.ledger._book.entries.values()
    assert entry.losers == {run_of(1, 1): first.uid}
    third.finish(run_of(1, 1), None, cause=Cause.KILLED)
    third.unknown(run_of(1, 1))
    await stage.settle()
    assert entry.losers == {run_of(1, 1): first.uid}
    first.unknown(run_of(1, 1))
    assert entry.losers == {}


@played
async def test_a_node_that_has_given_its_account_cannot_take_over_an_adopted_run(stage: Stage) -> None:
    """After an election: what former leaders sent is in a node's first account, or it is made up."""
    stage.pool()
    stage.task()
    a, b = stage.node("a"), stage.node("b")
    await stage.lead(3)
    for agent in (a, b):
        agent.connect()
    b.tell((run_of(1, 1), stage.unix_time(), TASK))
    a.tell()
    await stage.settle()
    before = picture(stage, b)
    a.finish(run_of(2, 1), 0)
    a.tell((run_of(2, 2), stage.unix_time(), TASK))
    await stage.settle()
    assert picture(stage, b) == before
    assert {pod for pod, _ in stage.hub.kills + stage.hub.acks} == {a.uid}


@played
async def test_what_is_recorded_as_running_elsewhere_is_not_taken_over_by_a_first_account(stage: Stage) -> None:
    stage.pool()
    recorded = TaskStatus(state="Running", pool_node_name="b", execution_id=run_of(1, 1), attempt=1)
    stage.task(status=recorded)
    a, b = stage.node("a"), stage.node("b")
    await stage.lead(3)
    for agent in (a, b):
        agent.connect()
    b.tell((run_of(1, 1), stage.unix_time(), TASK))
    await stage.settle()
    before = picture(stage, b)[0][0][1]
    a.finish(run_of(2, 1), 0)
    await stage.settle()
    assert picture(stage, b)[0][0][1] == before
    assert stage.hub.acks == [(a.uid, run_of(2, 1))]
    assert stage.writes() == 0


@played
async def test_a_node_with_more_results_than_can_be_asked_about_says_the_rest_in_its_next_account(stage: Stage) -> None:
    stage.pool()
    await stage.lead(2)
    a = await ready_node(stage, "a")
    asked = 1024
    for number in range(asked + 10):
        a.finish(f"gone-{number}:-:1:1", task_name=f"primes.gone-{number}")
        a.finish(f"gone-{number}:-:1:1", task_name=f"primes.gone-{number}")
    assert len(stage.ledger._live._questions) == asked
    await asyncio.sleep(5.0)
    await stage.settle()
    assert len(stage.hub.acks) == asked
    assert a.uid not in stage.hub.connected  # cut: it comes again, with the ten that are left
