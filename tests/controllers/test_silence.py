"""Silent nodes: what was sent there is recorded at once, and dead when T and a margin have passed (S3.3, S3.4, S4.1)."""

import asyncio

from tests.controllers.task_stage import Stage, played, ready_node, run_of

from batchpools.api import names
from batchpools.core.ledger import Contact
from batchpools.core.views import (
    ContainerState,
    ContainerStatus,
    PodSpec,
    PodStatus,
    PodView,
    PoolNodeStatus,
    TaskConstraints,
    TaskStatus,
)
from batchpools.link.words import Cause
from batchpools.testing import builders

T, MARGIN = 300.0, 10.0


@played
async def test_when_a_node_is_silent_for_3_seconds_its_task_is_recorded_before_it_counts_as_disconnected(
    stage: Stage,
) -> None:
    """S3.4: the run is Bound, a start was never told; a next leader must know of it all the same."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    agent.leave()
    await asyncio.sleep(2.0)
    await stage.settle()
    assert (stage.status().state, stage.ledger.contact(agent.uid)) == ("Active", Contact.IN_TOUCH)
    stage.stale = True
    await asyncio.sleep(2.0)
    await stage.settle()
    told = stage.status()
    assert (told.state, told.pool_node_name, told.execution_id) == ("Running", "n1", run_of(1, 1))
    assert stage.ledger.contact(agent.uid) is Contact.SILENT, "written, but the watch has not shown it"
    stage.stale = False
    await stage.settle()
    assert stage.ledger.contact(agent.uid) is Contact.RECORDED


@played
async def test_a_session_without_pings_is_as_silent_as_none(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.mute.add(agent.uid)
    await asyncio.sleep(4.0)
    stage.task()
    await stage.settle()
    assert (agent.runs, stage.ledger.contact(agent.uid)) == ([], Contact.RECORDED)


@played
async def test_a_silent_node_takes_tasks_again_only_when_its_status_was_taken_back(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.mute.add(agent.uid)
    await asyncio.sleep(4.0)
    stage.mute.clear()
    await asyncio.sleep(2.0)
    stage.task()
    await stage.settle()
    assert (agent.runs, stage.ledger.contact(agent.uid)) == ([], Contact.IN_TOUCH)
    stage.ledger.take_back(agent.uid)
    await stage.settle()
    assert len(agent.runs) == 1


@played
async def test_runs_of_a_silent_node_are_given_up_after_t_and_the_margin_and_not_before(stage: Stage) -> None:
    """S3.3, S4.1: counted from the last ping that was heard here."""
    stage.pool()
    await stage.lead()
    first = await ready_node(stage)
    stage.task()
    await stage.settle()
    [run] = first.runs
    second = await ready_node(stage, "n2")
    first.leave()
    await asyncio.sleep(T + MARGIN - 2.0)
    await stage.settle()
    assert (second.runs, stage.status().state) == ([], "Running")
    await asyncio.sleep(3.0)
    await stage.settle()
    status = stage.status()
    assert (status.requeue_reasons, status.retry_count) == ({"NodeUnreachable": 1}, 0)
    assert [one.execution_id for one in second.runs] == [run_of(1, 2)]
    assert stage.ledger.contact(first.uid) is Contact.GIVEN_UP

    first.connect()  # it comes back: its runner had ended the run
    first.tell()
    first.finish(run, None, cause=Cause.EXPIRED)
    await stage.settle()
    assert stage.hub.acks[-1] == (first.uid, run.execution_id)
    assert stage.status().requeue_count == 1
    second.finish(second.runs[0])
    await stage.settle()
    assert stage.status().result == "Success"


@played
async def test_a_half_open_session_of_a_node_that_is_given_up_is_cut(stage: Stage) -> None:
    """Else it would take tasks again without an inventory."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.mute.add(agent.uid)
    await asyncio.sleep(T + MARGIN + 1.0)
    assert agent.uid not in stage.hub.connected


@played
async def test_a_run_that_its_runner_ended_for_want_of_a_leader_is_requeued(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task(constraints=TaskConstraints(max_task_retry_count=0))
    await stage.settle()
    agent.finish(agent.runs[0], 137, cause=Cause.EXPIRED)
    await stage.settle()
    status = stage.status()
    assert (status.requeue_reasons, status.retry_count) == ({"NodeUnreachable": 1}, 0)
    assert len(agent.runs) == 2


@played
async def test_a_new_leader_counts_from_its_election(stage: Stage) -> None:
    """S3.3: the former leader may have vouched a moment before."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    agent.leave()
    await asyncio.sleep(T)
    await stage.fail_over()
    other = await ready_node(stage, "n2")
    await asyncio.sleep(T + MARGIN - 2.0)
    await stage.settle()
    assert other.runs == []
    await asyncio.sleep(3.0)
    await stage.settle()
    assert len(other.runs) == 1


@played
async def test_a_replica_that_leads_again_does_not_count_from_its_former_reign(stage: Stage) -> None:
    """S3.3: it heard nothing while another led, and that one may have vouched for the node a moment ago."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    await stage.ledger.follow()
    stage.mute.add(agent.uid)
    await asyncio.sleep(T + MARGIN + 100)
    await stage.lead(3)
    await asyncio.sleep(T)
    assert stage.ledger.contact(agent.uid) is not Contact.GIVEN_UP
    await asyncio.sleep(MARGIN + 2)
    assert stage.ledger.contact(agent.uid) is Contact.GIVEN_UP


@played
async def test_of_a_node_that_was_disconnected_before_the_failover_only_recorded_tasks_wait(stage: Stage) -> None:
    """S3.4: failover does not stall a pool."""
    stage.pool()
    stage.put(builders.node("n1", status=PoolNodeStatus(state="Disconnected", pod_name="n1-1", pod_uid="uid-pod-n1")))
    stage.task(
        "primes.there",
        status=TaskStatus(state="Running", execution_id=run_of(1, 1, "primes.there"), attempt=1, pool_node_name="n1"),
    )
    stage.task("primes.free")
    await stage.lead(2)
    other = await ready_node(stage, "n2")
    assert [run.task_name for run in other.runs] == ["primes.free"]
    told = stage.ledger.explain(builders.NAMESPACE, "primes.there")
    assert told is not None
    assert (told.reason, "n1" in told.message) == ("NodesNotHeard", True)
    other.finish(other.runs[0])
    await asyncio.sleep(T + MARGIN + 1.0)
    await stage.settle()
    assert [run.task_name for run in other.runs] == ["primes.free", "primes.there"]


@played
async def test_of_a_node_that_was_lost_with_the_former_leader_all_tasks_wait_and_it_is_not_called_disconnected(
    stage: Stage,
) -> None:
    """What ran there is recorded nowhere: a third leader must not believe that it is."""
    stage.pool()
    lost = stage.node("n1")
    stage.task()
    await stage.lead(2)
    other = await ready_node(stage, "n2")
    await asyncio.sleep(20.0)
    assert stage.ledger.contact(lost.uid) is Contact.SILENT
    assert other.runs == []
    await asyncio.sleep(T + MARGIN)
    await stage.settle()
    assert stage.ledger.contact(lost.uid) is Contact.GIVEN_UP
    assert len(other.runs) == 1


@played
async def test_tasks_of_before_wait_for_a_pod_whose_node_somebody_took_away_until_its_own_time_is_over(
    stage: Stage,
) -> None:
    """S7.1, S4.1: no PoolNode tells of it any more, its runs may go on, and its pod says for how long."""
    stage.pool()
    stage.task()
    labels = {names.LABEL_POOL: "demo", names.LABEL_NODE: "gone"}
    annotations = {names.ANNOTATION_UNREACHABLE_TIMEOUT: "40s"}
    owner = builders.node("gone")
    meta = builders.meta("gone-1", kind="Pod", labels=labels, annotations=annotations, owner=owner)
    running = ContainerStatus(name="task", state=ContainerState(running={}))
    status = PodStatus(phase="Running", container_statuses=(running,))
    stage.cache.pods.put(PodView(metadata=meta, spec=PodSpec(node_name="machine"), status=status))
    await asyncio.sleep(1)
    await stage.lead()
    agent = await ready_node(stage)
    await asyncio.sleep(48)
    assert agent.runs == []
    assert stage.ledger.contact(meta.uid) is not Contact.GIVEN_UP
    await asyncio.sleep(4)
    await stage.settle()
    assert len(agent.runs) == 1
    assert stage.ledger.contact(meta.uid) is Contact.GIVEN_UP


@played
async def test_a_recorded_run_that_never_arrived_is_counted_as_requeued(stage: Stage) -> None:
    """Its status said that it runs: it says now that it does not."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    agent.leave()
    await asyncio.sleep(4.0)
    await stage.settle()
    agent.connect()
    agent.tell()
    await stage.settle()
    assert (stage.status().state, stage.status().requeue_reasons) == ("Active", {"NodeLost": 1})
