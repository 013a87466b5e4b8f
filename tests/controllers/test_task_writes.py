"""Results are acknowledged when they are persisted, not before: lost answers, errors, refusals, conflicts, other lives."""

import asyncio

import msgspec
from tests.controllers.task_stage import NS, Agent, Stage, played, ready_node, run_of

from batchpools.core.views import TaskConstraints, TaskStatus, TaskView
from batchpools.kube.errors import InvalidError, ServerError
from batchpools.kube.resources import TASKS
from batchpools.testing import builders

_REFUSED = InvalidError("status.exitCode: too long", 422, "Invalid")


async def _running(stage: Stage, **spec: object) -> Agent:
    """A node that runs primes.work."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task(**spec)  # type: ignore[arg-type]
    await stage.settle()
    return agent


@played
async def test_a_result_told_twice_is_written_once_and_acknowledged_twice(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    agent.finish(run)
    agent.finish(run)
    await stage.settle()
    agent.finish(run)
    await stage.settle()
    assert stage.writes() == 1
    assert stage.hub.acks == [(agent.uid, run.execution_id)] * 2


@played
async def test_nothing_is_acknowledged_while_the_api_server_fails_and_everything_later(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    stage.kube.faults.fail("patch", ServerError("overloaded", 500), times=4)
    agent.finish(run)
    await stage.settle()
    assert stage.hub.acks == []
    await asyncio.sleep(10.0)
    await stage.settle()
    assert stage.hub.acks == [(agent.uid, run.execution_id)]
    assert (stage.writes(), stage.status().result) == (5, "Success")


@played
async def test_an_answer_that_is_lost_after_the_write_changes_nothing(stage: Stage) -> None:
    agent = await _running(stage)
    stage.kube.faults.lose_answer("patch")
    agent.finish(agent.runs[0], 4)
    await asyncio.sleep(5.0)
    await stage.settle()
    assert (stage.status().exit_code, len(stage.hub.acks), len(agent.runs)) == (4, 1, 1)


@played
async def test_a_status_that_is_refused_becomes_the_least_that_is_accepted(stage: Stage) -> None:
    agent = await _running(stage)
    stage.kube.faults.fail("patch", _REFUSED)
    agent.finish(agent.runs[0])
    await stage.settle()
    status = stage.status()
    assert status.failure_info is not None
    assert (status.state, status.result, status.failure_info.code) == ("Completed", "Failure", "StatusRejected")
    assert status.failure_info.message == "status.exitCode: too long"
    assert len(stage.hub.acks) == 1


@played
async def test_a_refusal_because_it_has_ended_already_leaves_that_end_and_runs_nothing_again(stage: Stage) -> None:
    agent = await _running(stage, constraints=TaskConstraints(max_task_retry_count=3))
    stage.stale = True
    stage.kube.set_status(TASKS, NS, "primes.work", state="Completed", result="Success", exitCode=0)
    stage.kube.faults.fail("patch", _REFUSED)
    agent.finish(agent.runs[0], 3)
    await stage.settle()
    assert (stage.status().result, len(agent.runs), len(stage.hub.acks)) == ("Success", 1, 1)
    stage.stale = False
    await stage.settle()
    assert stage.ledger.job_counts(NS, "primes").succeeded == 1


@played
async def test_a_result_for_an_older_life_of_the_same_name_is_not_written_to_the_new_one(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    stage.stale = True
    stage.kube.remove(TASKS, NS, "primes.work")
    stage.put(builders.task("primes.work", metadata=builders.meta("primes.work", kind="Task", uid="new-life")))
    agent.finish(run)
    await stage.settle()
    assert (stage.status().state, stage.hub.acks) == ("Active", [(agent.uid, run.execution_id)])
    stage.stale = False
    await stage.settle()
    assert agent.runs[1].execution_id == "new-life:-:1:1"


@played
async def test_a_task_whose_end_was_written_is_not_begun_anew_by_a_late_event(stage: Stage) -> None:
    agent = await _running(stage)
    stage.stale = True
    agent.finish(agent.runs[0])
    await stage.settle()
    old = stage.cache.tasks.get(NS, "primes.work")
    assert old is not None
    stage.cache.tasks.put(old)
    await stage.settle()
    assert len(agent.runs) == 1
    stage.stale = False
    await stage.settle()
    assert stage.ledger.explain(NS, "primes.work") is not None
    assert stage.ledger.job_counts(NS, "primes").succeeded == 1


@played
async def test_a_task_that_the_cache_shows_only_after_its_end_is_not_begun_anew(stage: Stage) -> None:
    """S5.1: a run of a former leader, of a task that our watch has not brought yet; it brings the beginning first."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.stale = True
    stage.task()
    old = stage.kube.object(TASKS, NS, "primes.work")
    agent.finish(run_of(0, 1), task_name="primes.work")
    await stage.settle()
    assert stage.status().state == "Completed"
    stage.cache.tasks.put(msgspec.convert(old, TaskView))
    await stage.settle()
    assert agent.runs == []
    stage.stale = False
    await stage.settle()
    assert stage.ledger.job_counts(NS, "primes").succeeded == 1


@played
async def test_results_go_before_statuses_of_running_tasks_when_all_connections_are_busy(stage: Stage) -> None:
    stage.pool(slots=80)
    await stage.lead()
    agent = await ready_node(stage, slots=80)
    for number in range(71):
        stage.task(f"primes.t{number}")
    await stage.settle()
    gate = stage.kube.faults.hold("patch", times=1000)
    for run in agent.runs:
        agent.start(run)
    await asyncio.sleep(2.1)
    await stage.settle()
    assert stage.writes() == 32
    on_their_way = {call.name for call in stage.kube.calls if call.verb == "patch"}
    agent.finish(next(run for run in agent.runs if run.task_name not in on_their_way))
    gate.set()
    await stage.settle()
    bodies = [call.body for call in stage.kube.calls if call.verb == "patch"]
    assert len(bodies) == 71
    assert bodies[32][1]["value"]["state"] == "Completed"


@played
async def test_a_result_waits_for_the_running_status_on_its_way_and_is_the_last_word(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    agent.start(run)
    gate = stage.kube.faults.hold("patch")
    await asyncio.sleep(2.1)
    agent.finish(run)
    await stage.settle()
    assert stage.writes() == 1
    gate.set()
    await stage.settle()
    assert (stage.writes(), stage.status().state) == (2, "Completed")


@played
async def test_an_error_while_writing_running_does_not_lose_it(stage: Stage) -> None:
    agent = await _running(stage)
    agent.start(agent.runs[0])
    stage.kube.faults.fail("patch", ServerError("overloaded", 500))
    await asyncio.sleep(4.0)
    await stage.settle()
    assert stage.status().state == "Running"


@played
async def test_nothing_is_written_or_acknowledged_after_leading_has_ended(stage: Stage) -> None:
    agent = await _running(stage)
    stage.kube.faults.fail("patch", ServerError("overloaded", 500))
    agent.finish(agent.runs[0])
    await stage.settle()
    await stage.ledger.follow()
    await asyncio.sleep(60.0)
    assert (stage.writes(), stage.hub.acks, stage.status().state) == (1, [], "Active")
    agent.finish(agent.runs[0])
    await stage.settle()
    assert stage.hub.acks == []


@played
async def test_why_a_task_waits_is_written_after_half_a_minute_once_and_not_for_want_of_slots(stage: Stage) -> None:
    await stage.lead()
    stage.task()
    await stage.settle()
    await asyncio.sleep(25.0)
    await stage.settle()
    assert stage.writes() == 0
    await asyncio.sleep(60.0)
    await stage.settle()
    (said,) = [one for one in stage.status().conditions if one.type == "Schedulable"]
    assert (said.status, said.reason, stage.writes()) == ("False", "PoolNotFound", 1)
    stage.pool()
    agent = await ready_node(stage)
    agent.finish(agent.runs[0])
    await stage.settle()
    assert [one.type for one in stage.status().conditions] == ["Finished", "Complete", "Failed"]


@played
async def test_a_pool_without_nodes_is_told_and_taken_back_when_it_has_some(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    for name in ("primes.a", "primes.b"):
        stage.task(name)
    await stage.settle()
    await asyncio.sleep(45.0)
    await stage.settle()
    reasons = [stage.status(name).conditions[-1].reason for name in ("primes.a", "primes.b")]
    assert reasons == ["NoNodes", "NoNodes"]
    await ready_node(stage)
    await asyncio.sleep(45.0)
    await stage.settle()
    waiting = stage.status("primes.b").conditions[-1]
    assert (waiting.status, waiting.reason) == ("True", "Waiting")


@played
async def test_a_terminal_status_of_somebody_else_ends_the_run_and_stays(stage: Stage) -> None:
    agent = await _running(stage)
    (run,) = agent.runs
    ended = TaskStatus(state="Completed", result="Failure", exit_code=9, execution_id=run_of(1, 1), attempt=1)
    stage.put(builders.task("primes.work", status=ended))
    await stage.settle()
    assert stage.hub.kills == [(agent.uid, run.execution_id)]
    agent.finish(run, None, cause="killed")
    await stage.settle()
    assert (stage.writes(), stage.status().exit_code) == (0, 9)
    assert stage.hub.acks == [(agent.uid, run.execution_id)]
    assert stage.hub.removed == []
    assert stage.ledger.is_job_quiet(NS, "gone")
