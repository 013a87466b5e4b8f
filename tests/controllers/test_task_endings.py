"""Runs that are ended by us: a task is deleted, a node drained or dead, a job over. Nothing counts before it is confirmed."""

from msgspec.structs import replace
from tests.controllers.task_stage import NS, Agent, Stage, played, ready_node, run_of

from batchpools.api.reasons import RequeueReason
from batchpools.api.states import NodeDeallocationOption
from batchpools.core.views import JobStatus, PoolNodeStatus, TaskConstraints, TaskStatus
from batchpools.kube.resources import JOBS, TASKS
from batchpools.link.words import Cause
from batchpools.testing import builders


async def _running(stage: Stage) -> Agent:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task(constraints=TaskConstraints(max_task_retry_count=5))
    await stage.settle()
    agent.start(agent.runs[0])
    return agent


@played
async def test_a_deleted_task_is_killed_its_end_awaited_its_files_removed_and_its_slot_freed(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    stage.kube.remove(TASKS, NS, "primes.work")
    await stage.settle()
    assert stage.hub.kills == [(agent.uid, run.execution_id)]
    assert (stage.hub.removed, stage.ledger.node_runs(agent.uid).slots_used) == ([], 1)
    agent.finish(run, None, cause=Cause.KILLED)
    await stage.settle()
    assert stage.hub.removed == [(agent.uid, "workitems/primes/work")]
    assert stage.hub.acks == [(agent.uid, run.execution_id)]
    assert (stage.writes(), stage.ledger.node_runs(agent.uid).slots_used) == (0, 0)


@played
async def test_a_new_task_of_the_same_id_waits_until_the_former_one_has_left_the_directory(stage: Stage) -> None:
    agent = await _running(stage)
    other = await ready_node(stage, "n2")
    (run,) = agent.runs
    stage.kube.remove(TASKS, NS, "primes.work")
    stage.put(builders.task("primes.work", metadata=builders.meta("primes.work", kind="Task", uid="second")))
    await stage.settle()
    assert other.runs == []
    agent.unknown(run.execution_id)
    await stage.settle()
    assert [one.execution_id for _, one in stage.hub.runs[1:]] == ["second:-:1:1"]
    assert stage.hub.removed == [(agent.uid, "workitems/primes/work")]


@played
async def test_a_task_that_takes_its_container_along_for_the_third_time_fails_and_its_neighbours_do_not(
    stage: Stage,
) -> None:
    """S8.5: it is requeued twice without a retry; what the status counts decides, so a new leader goes on counting."""
    agent = await _running(stage)
    for times in (1, 2):
        agent.finish(agent.runs[-1], None, cause=Cause.BOOT_LOST, code="OutOfMemory", message="it was lost")
        await stage.settle()
        status = stage.status()
        assert (status.state, status.retry_count, status.requeue_reasons["OutOfMemory"]) == ("Active", 0, times)
        agent.finish(agent.runs[-1], None, cause=Cause.BOOT_LOST)  # another one was the largest
        await stage.settle()
        assert stage.status().requeue_reasons == {"OutOfMemory": times, "ContainerLost": times}
    agent.finish(agent.runs[-1], None, cause=Cause.BOOT_LOST, code="OutOfMemory", message="it was lost")
    await stage.settle()
    status = stage.status()
    assert status.failure_info is not None
    assert (status.state, status.result, status.failure_info.code) == ("Completed", "Failure", "OutOfMemory")
    assert status.failure_info.message == "It happened 3 times that it was lost."


@played
async def test_a_task_deleted_while_its_result_is_written_is_acknowledged_and_forgotten(stage: Stage) -> None:
    agent = await _running(stage)
    gate = stage.kube.faults.hold("patch")
    agent.finish(agent.runs[0])
    stage.kube.remove(TASKS, NS, "primes.work")
    await stage.settle()
    gate.set()
    await stage.settle()
    assert len(stage.hub.acks) == 1
    assert stage.hub.removed == [(agent.uid, "workitems/primes/work")]
    assert stage.ledger.is_released(agent.uid)


@played
async def test_files_of_a_finished_task_go_with_the_object(stage: Stage) -> None:
    agent = await _running(stage)
    agent.finish(agent.runs[0])
    await stage.settle()
    stage.kube.remove(TASKS, NS, "primes.work")
    await stage.settle()
    assert stage.hub.removed == [(agent.uid, "workitems/primes/work")]


@played
async def test_a_drained_node_gets_nothing_more_and_its_runs_are_requeued_without_a_retry(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    stage.ledger.drain_node(agent.uid, RequeueReason.POOL_RESIZED)
    assert not stage.ledger.is_drained(agent.uid)
    assert stage.hub.kills == [(agent.uid, run.execution_id)]
    gate = stage.kube.faults.hold("patch")
    agent.finish(run, 143, cause=Cause.KILLED)
    await stage.settle()
    assert not stage.ledger.is_drained(agent.uid)
    gate.set()
    await stage.settle()
    assert stage.ledger.is_drained(agent.uid)
    status = stage.status()
    assert (status.state, status.retry_count, status.requeue_reasons) == ("Active", 0, {"PoolResized": 1})
    assert len(agent.runs) == 1
    other = await ready_node(stage, "n2")
    assert [(one.execution_id, one.fresh) for one in other.runs] == [(run_of(1, 2), True)]


@played
async def test_a_node_emptied_by_terminate_ends_its_tasks_for_good(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    stage.ledger.drain_node(agent.uid, RequeueReason.POOL_RESIZED, NodeDeallocationOption.TERMINATE)
    assert stage.hub.kills == [(agent.uid, run.execution_id)]
    agent.finish(run, 143, cause=Cause.KILLED)
    await stage.settle()
    status = stage.status()
    assert (status.state, status.result, status.requeue_count) == ("Completed", "Failure", 0)
    assert status.failure_info is not None
    assert (status.failure_info.category, status.failure_info.code) == ("UserError", "TaskEnded")
    assert stage.ledger.is_drained(agent.uid)


@played
async def test_a_run_that_a_former_leader_killed_for_good_with_its_node_is_not_run_again(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    stage.pool(node_deallocation_option="Terminate")
    leaves = builders.meta("n1", kind="PoolNode", deletion_timestamp=stage.clock.now(), finalizers=("x",))
    there = PoolNodeStatus(pod_name=agent.identity.pod_name, pod_uid=agent.uid)
    stage.put(replace(builders.node("n1", pool_name="demo", status=there), metadata=leaves))
    await stage.settle()
    agent.finish(run, 143, cause=Cause.KILLED)  # nobody of us had asked for it
    await stage.settle()
    assert (stage.status().state, stage.status().result) == ("Completed", "Failure")


@played
async def test_a_node_emptied_by_task_completion_gets_nothing_more_and_its_runs_go_on(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    stage.ledger.drain_node(agent.uid, RequeueReason.POOL_RESIZED, NodeDeallocationOption.TASK_COMPLETION)
    stage.task("primes.waits")
    await stage.settle()
    assert (stage.hub.kills, len(agent.runs), stage.ledger.is_drained(agent.uid)) == ([], 1, False)
    agent.finish(run, 0)
    await stage.settle()
    assert (stage.status().result, stage.ledger.is_drained(agent.uid)) == ("Success", True)


@played
async def test_a_node_that_is_to_be_emptied_no_more_takes_tasks_again(stage: Stage) -> None:
    agent = await _running(stage)
    stage.ledger.drain_node(agent.uid, RequeueReason.POOL_RESIZED, NodeDeallocationOption.TASK_COMPLETION)
    agent.finish(agent.runs[0], 0)
    stage.task("primes.waits")
    await stage.settle()
    assert len(agent.runs) == 1
    stage.ledger.resume_node(agent.uid)
    await stage.settle()
    assert len(agent.runs) == 2


@played
async def test_a_task_that_ends_by_itself_while_its_node_is_drained_has_ended(stage: Stage) -> None:
    agent = await _running(stage)
    stage.ledger.drain_node(agent.uid, RequeueReason.POOL_RESIZED)
    agent.finish(agent.runs[0], 0)
    await stage.settle()
    assert stage.status().result == "Success"


@played
async def test_a_dead_node_has_its_runs_requeued_as_lost(stage: Stage) -> None:
    agent = await _running(stage)
    agent.leave()
    await stage.settle()
    assert not stage.ledger.is_released(agent.uid)
    stage.ledger.release_node(agent.uid)
    await stage.settle()
    assert stage.ledger.is_released(agent.uid)
    status = stage.status()
    assert (status.requeue_reasons, status.retry_count) == ({"NodeLost": 1}, 0)
    assert stage.ledger.node_runs(agent.uid).slots_used == 0


@played
async def test_a_drain_that_is_not_confirmed_is_asked_for_again_when_the_node_is_back(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    agent.leave()
    stage.ledger.drain_node(agent.uid, RequeueReason.POOL_RESIZED)
    assert stage.hub.kills == []
    agent.connect()
    agent.tell((run.execution_id, stage.unix_time(), run.task_name))
    await stage.settle()
    assert stage.hub.kills == [(agent.uid, run.execution_id)]
    agent.unknown(run.execution_id)
    await stage.settle()
    assert stage.ledger.is_drained(agent.uid)


@played
async def test_a_job_that_goes_away_has_its_runs_killed_and_is_quiet_once_that_is_confirmed(stage: Stage) -> None:
    agent = await _running(stage)
    stage.task("primes.waits")
    await stage.settle()
    (run,) = agent.runs
    dying = builders.meta("primes", kind="Job", deletion_timestamp=stage.clock.now(), finalizers=("x",))
    stage.put(builders.job("primes", metadata=dying))
    await stage.settle()
    stage.ledger.end_job(NS, "primes")
    assert not stage.ledger.is_job_quiet(NS, "primes")
    assert stage.hub.kills == [(agent.uid, run.execution_id)]
    agent.finish(run, None, cause=Cause.KILLED)
    await stage.settle()
    assert stage.ledger.is_job_quiet(NS, "primes")
    assert (len(agent.runs), stage.writes(), len(stage.hub.acks)) == (1, 0, 1)


@played
async def test_a_job_that_is_terminated_has_its_runs_killed_for_good_and_the_rest_ends_with_it(stage: Stage) -> None:
    await _terminate(stage, by_us=True)


@played
async def test_a_run_that_a_former_leader_killed_for_a_terminated_job_is_not_run_again(stage: Stage) -> None:
    await _terminate(stage, by_us=False)


async def _terminate(stage: Stage, *, by_us: bool) -> None:
    agent = await _running(stage)
    stage.task("primes.waits")
    await stage.settle()
    (run,) = agent.runs
    stage.put(builders.job("primes", status=JobStatus(state="Terminating")))
    await stage.settle()
    if by_us:
        stage.ledger.end_job(NS, "primes")
        assert stage.hub.kills == [(agent.uid, run.execution_id)]
    assert not stage.ledger.is_job_quiet(NS, "primes")
    agent.finish(run, 143, cause=Cause.KILLED)
    await stage.settle()
    assert stage.ledger.is_job_quiet(NS, "primes")
    killed, waited = stage.status(), stage.status("primes.waits")
    assert killed.failure_info is not None
    assert waited.failure_info is not None
    assert (killed.state, killed.result, killed.requeue_count) == ("Completed", "Failure", 0)
    assert (killed.failure_info.code, waited.failure_info.code) == ("TaskEnded", "TaskEnded")
    assert (len(agent.runs), len(stage.hub.acks)) == (1, 1)


@played
async def test_a_task_of_a_job_that_has_ended_fails_with_job_completed(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    stage.put(builders.job("primes", status=JobStatus(state="Completed", result="Success")))
    stage.task()
    await stage.settle()
    failure = stage.status().failure_info
    assert failure is not None
    assert (failure.category, failure.code) == ("UserError", "JobCompleted")


@played
async def test_the_younger_of_two_tasks_with_one_id_fails_whatever_its_case(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    stage.task("primes.work")
    await stage.settle()
    stage.task("primes.again", id="WORK")
    await stage.settle()
    assert stage.status("primes.work").failure_info is None
    failure = stage.status("primes.again").failure_info
    assert failure is not None
    assert failure.code == "TaskExists"


@played
async def test_a_job_that_appears_later_lets_its_tasks_run_and_one_that_goes_stops_them(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task("later.a", job_name="later")
    await stage.settle()
    assert agent.runs == []
    told = stage.ledger.explain(NS, "later.a")
    assert told is not None
    assert told.reason == "JobNotFound"
    stage.put(builders.job("later"))
    await stage.settle()
    assert len(agent.runs) == 1
    stage.task("later.b", job_name="later")
    stage.kube.remove(JOBS, NS, "later")
    await stage.settle()
    agent.finish(agent.runs[0])
    await stage.settle()
    assert len(agent.runs) == 1


@played
async def test_a_node_that_is_being_deleted_gets_nothing_more(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    seen = stage.cache.nodes.get(NS, "n1")
    assert seen is not None
    leaving = replace(seen.metadata, deletion_timestamp=stage.clock.now(), finalizers=("x",))
    stage.put(replace(seen, metadata=leaving))
    await stage.settle()
    stage.task()
    await stage.settle()
    assert agent.runs == []


@played
async def test_an_unknown_run_in_an_inventory_is_killed_only_after_asking_the_api_server(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    agent.tell(("gone-uid:-:0:1", stage.unix_time(), "primes.work"))
    assert stage.hub.kills == []
    await stage.settle()
    assert stage.hub.kills == [(agent.uid, "gone-uid:-:0:1")]
    agent.finish("gone-uid:-:0:1", None, cause=Cause.KILLED)
    await stage.settle()
    assert stage.hub.acks == [(agent.uid, "gone-uid:-:0:1")]


@played
async def test_a_run_of_a_task_that_only_the_api_server_knows_is_adopted(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.stale = True
    stage.task()
    agent.tell((run_of(0, 1), stage.unix_time(), "primes.work"))
    await stage.settle()
    assert stage.hub.kills == []
    stage.stale = False
    await stage.settle()
    assert agent.runs == []
    agent.finish(run_of(0, 1))
    await stage.settle()
    assert stage.status().result == "Success"


@played
async def test_explanations_name_reason_place_and_node(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    for name in ("primes.a", "primes.b", "primes.c"):
        stage.task(name)
    await stage.settle()
    told = {name: stage.ledger.explain(NS, f"primes.{name}") for name in "abc"}
    running = [one for one in told.values() if one is not None and one.state == "Running"]
    assert [one.node for one in running] == ["n1"]
    waiting = sorted(one.position for one in told.values() if one is not None and one.state == "Active")
    assert waiting == [1, 2]
    agent.finish(agent.runs[0])
    await stage.settle()
    done = stage.ledger.explain(NS, agent.runs[0].task_name)
    assert done is not None
    assert (done.state, done.reason) == ("Completed", "Succeeded")
    assert stage.ledger.explain(NS, "nobody") is None
    assert TaskStatus().state == "Active"
