"""Tasks go to nodes, end, are written once and acknowledged after that; retries and requeues as the rules say."""

import asyncio
from typing import Any

from tests.controllers.task_stage import Stage, played, ready_node, run_of

from batchpools.api.reasons import RequeueReason
from batchpools.core.node_config import EnvReference
from batchpools.core.views import AutoPool, EnvVar, EnvVarSource, JobConstraints, KeyReference, TaskConstraints
from batchpools.kube.resources import POOL_NODES
from batchpools.link.words import Cause, NodePhase
from batchpools.testing import builders


@played
async def test_a_short_task_costs_exactly_one_status_write(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    (run,) = agent.runs
    agent.start(run)
    await asyncio.sleep(1.0)
    agent.finish(run)
    await stage.settle()
    await asyncio.sleep(60.0)
    await stage.settle()
    assert stage.writes() == 1
    assert stage.kube.count("create") == 0, "and no Event"
    status = stage.status()
    assert (status.state, status.result, status.exit_code, status.attempt) == ("Completed", "Success", 0, 1)
    assert (status.pool_node_name, status.execution_id, status.epoch) == ("n1", run.execution_id, 1)
    assert {one.type: one.status for one in status.conditions} == {
        "Complete": "True",
        "Failed": "False",
        "Finished": "True",
    }
    assert stage.hub.acks == [(agent.uid, run.execution_id)]


@played
async def test_the_run_message_says_where_what_and_with_which_environment(stage: Stage) -> None:
    stage.put(builders.job("primes", env=(EnvVar("A", "job"), EnvVar("B", "job"))))
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    constraints = TaskConstraints(max_wall_clock_time="1m30s")
    stage.task(command=(), command_line="echo 'a b'", env=(EnvVar("B", "task"),), constraints=constraints)
    await stage.settle()
    (run,) = agent.runs
    assert run.execution_id == run_of(1, 1)
    assert (run.epoch, run.task_name, run.job, run.task) == (1, "primes.work", "primes", "work")
    assert (run.directory, run.argv, run.env) == ("workitems/primes/work", ["echo", "a b"], ["A=job", "B=task"])
    assert (run.slots, run.wall_clock, run.fresh) == (1, 90.0, True)


@played
async def test_a_command_line_that_cannot_be_split_fails_the_task_with_a_sentence(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task(command=(), command_line="echo 'open")
    await stage.settle()
    status = stage.status()
    assert status.failure_info is not None
    assert (status.result, status.failure_info.code) == ("Failure", "CommandLaunchFailed")
    assert "split" in status.failure_info.message
    assert agent.runs == []


@played
async def test_the_room_of_a_task_that_cannot_be_run_goes_to_the_next_one(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    stage.task("bad", command=(), command_line="echo 'open")
    stage.task("good")
    agent = await ready_node(stage, slots=1)
    await stage.settle()
    assert [run.task for run in agent.runs] == ["good"]


@played
async def test_what_is_read_on_the_node_must_be_listed_by_the_pool(stage: Stage) -> None:
    stage.pool(secret_references=("licence",))
    await stage.lead()
    agent = await ready_node(stage, slots=2)
    for name in ("licence", "other"):
        source = EnvVarSource(secret_key_ref=KeyReference(name=name, key="key"))
        stage.task(name, env=(EnvVar("KEY", value_from=source),))
    await stage.settle()
    (run,) = agent.runs
    assert (run.task, run.env) == ("licence", ["KEY="])
    assert run.references == [EnvReference("KEY", "Secret", "licence", "key")]
    failed = stage.status("other").failure_info
    assert failed is not None
    assert failed.code == "CommandLaunchFailed"
    assert "KEY names Secret other, which pool demo does not list in secretReferences" in failed.message


@played
async def test_what_is_read_on_the_node_of_a_jobs_own_pool_must_be_listed_by_that(stage: Stage) -> None:
    own = builders.job("own", pool_name="", auto_pool=AutoPool(template={"image": "x"}))
    stage.put(own)
    stage.put(builders.pool(own.pool, task_slots_per_node=1))
    await stage.lead()
    agent = stage.node(pool=own.pool)
    await stage.settle()
    agent.connect()
    agent.tell()
    source = EnvVarSource(secret_key_ref=KeyReference(name="other", key="key"))
    stage.task("own.work", job_name="own", env=(EnvVar("KEY", value_from=source),))
    await stage.settle()
    failed = stage.status("own.work").failure_info
    assert agent.runs == []
    assert failed is not None
    assert f"which pool {own.pool} does not list" in failed.message


@played
async def test_running_is_written_once_it_has_run_for_two_seconds(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    (run,) = agent.runs
    agent.start(run)
    await asyncio.sleep(1.9)
    await stage.settle()
    assert stage.writes() == 0
    await asyncio.sleep(0.2)
    await stage.settle()
    status = stage.status()
    assert (status.state, status.pool_node_name, status.execution_id) == ("Running", "n1", run.execution_id)
    assert status.start_time is not None
    agent.finish(run)
    await stage.settle()
    assert (stage.writes(), stage.status().state) == (2, "Completed")


@played
async def test_a_task_with_two_retries_runs_three_times_on_its_node_in_the_same_directory(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task(constraints=TaskConstraints(max_task_retry_count=2))
    await stage.settle()
    for _ in range(3):
        agent.finish(agent.runs[-1], 3)
        await stage.settle()
    assert [(run.execution_id, run.fresh) for run in agent.runs] == [
        (run_of(1, 1), True),
        (run_of(1, 2), False),
        (run_of(1, 3), False),
    ]
    status = stage.status()
    assert (status.result, status.exit_code, status.retry_count, status.attempt) == ("Failure", 3, 2, 3)
    assert status.requeue_count == 0
    assert status.failure_info is not None
    assert status.failure_info.code == "FailureExitCode"


@played
async def test_a_task_takes_the_retries_of_its_job_when_it_says_nothing(stage: Stage) -> None:
    stage.put(builders.job("primes", constraints=JobConstraints(max_task_retry_count=1)))
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    for _ in range(2):
        agent.finish(agent.runs[-1], 1)
        await stage.settle()
    assert (len(agent.runs), stage.status().retry_count) == (2, 1)


@played
async def test_a_retry_is_not_sent_before_its_count_is_persisted_and_keeps_its_slot_meanwhile(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task(constraints=TaskConstraints(max_task_retry_count=1))
    await stage.settle()
    gate = stage.kube.faults.hold("patch")
    agent.finish(agent.runs[0], 3)
    stage.task("primes.other")
    await stage.settle()
    assert len(agent.runs) == 1
    gate.set()
    await stage.settle()
    assert [run.execution_id for run in agent.runs] == [run_of(1, 1), run_of(1, 2)]


@played
async def test_a_retry_goes_elsewhere_and_afresh_when_its_node_is_gone(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    first = await ready_node(stage, "n1")
    stage.task(constraints=TaskConstraints(max_task_retry_count=1))
    await stage.settle()
    second = await ready_node(stage, "n2")
    first.finish(first.runs[0], 3)
    first.leave()
    await stage.settle()
    (run,) = second.runs
    assert (run.execution_id, run.fresh) == (run_of(1, 2), True)


@played
async def test_a_slot_is_free_again_when_the_report_has_come_although_it_is_not_persisted(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task("primes.a")
    stage.task("primes.b")
    await stage.settle()
    stage.kube.faults.hold("patch")
    agent.finish(agent.runs[0])
    await stage.settle()
    assert len(agent.runs) == 2
    counts = stage.ledger.job_counts("default", "primes")
    assert (counts.completed, counts.running, counts.active) == (0, 2, 0)


@played
async def test_slots_are_never_exceeded_and_every_task_runs(stage: Stage) -> None:
    stage.pool(slots=2)
    await stage.lead()
    agents = [await ready_node(stage, name, slots=2) for name in ("n1", "n2")]
    for number in range(9):
        stage.task(f"primes.t{number}")
    await stage.settle()
    ended: set[str] = set()
    while len(ended) < 9:
        for agent in agents:
            open_ = [run for run in agent.runs if run.execution_id not in ended]
            assert len(open_) <= 2
            assert stage.ledger.node_runs(agent.uid).slots_used == len(open_)
            for run in open_[:1]:
                agent.finish(run)
                ended.add(run.execution_id)
        await stage.settle()
    assert stage.writes() == 9
    assert stage.ledger.job_counts("default", "primes").succeeded == 9


@played
async def test_a_rejected_dispatch_is_sent_again_after_a_pause_and_counts_for_nothing(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    agent.reject(agent.runs[0])
    await stage.settle()
    assert len(agent.runs) == 1
    await asyncio.sleep(1.1)
    await stage.settle()
    assert [run.execution_id for run in agent.runs] == [run_of(1, 1), run_of(1, 2)]
    assert stage.writes() == 0


@played
async def test_a_dispatch_that_the_hub_refuses_is_tried_again(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.hub.leading = False
    stage.task()
    await stage.settle()
    assert agent.runs == []
    stage.hub.leading = True
    await asyncio.sleep(1.1)
    await stage.settle()
    assert len(agent.runs) == 1


@played
async def test_a_run_lost_with_its_boot_is_requeued_without_a_retry(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    agent.start(agent.runs[0])
    agent.finish(agent.runs[0], None, cause=Cause.BOOT_LOST)
    await stage.settle()
    status = stage.status()
    assert (status.state, status.retry_count, status.requeue_count) == ("Active", 0, 1)
    assert status.requeue_reasons == {"ContainerLost": 1}
    assert [(run.execution_id, run.fresh) for run in agent.runs][1:] == [(run_of(1, 2), True)]


@played
async def test_a_requeue_is_not_sent_before_its_count_is_persisted(stage: Stage) -> None:
    """S1.1: else a leader that dies in between forgets that it happened."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    other = await ready_node(stage, "n2")
    stage.task()
    await stage.settle()
    busy, idle = (agent, other) if agent.runs else (other, agent)
    gate = stage.kube.faults.hold("patch")
    busy.finish(busy.runs[0], None, cause=Cause.BOOT_LOST)
    await stage.settle()
    assert (len(busy.runs), len(idle.runs)) == (1, 0)
    gate.set()
    await stage.settle()
    assert len(busy.runs) + len(idle.runs) == 2


@played
async def test_the_session_of_a_replaced_pod_may_report_and_be_told_to_end_and_gets_no_more(stage: Stage) -> None:
    """S1.2: its node names another pod; what it ran is still its own to tell of."""
    stage.pool(slots=2)
    await stage.lead()
    agent = await ready_node(stage, slots=2)
    stage.task()
    await stage.settle()
    (run,) = agent.runs
    agent.start(run)
    stage.kube.set_status(POOL_NODES, "default", "n1", podUID="uid-of-another-pod")
    stage.task("primes.second")
    await stage.settle()
    assert len(agent.runs) == 1
    stage.ledger.drain_node(agent.uid, RequeueReason.POOL_RESIZED)
    assert stage.hub.kills == [(agent.uid, run.execution_id)]
    agent.finish(run)
    await stage.settle()
    assert stage.status().result == "Success"
    assert stage.hub.acks == [(agent.uid, run.execution_id)]


@played
async def test_nodes_take_tasks_only_when_ready_heard_named_by_their_object_and_not_leaving(stage: Stage) -> None:
    stage.pool()
    stage.task()
    await stage.lead()
    agent = stage.node("n1")
    await stage.settle()
    agent.connect(NodePhase.START_TASK)
    agent.tell()
    await stage.settle()
    assert agent.runs == []
    agent.connect()
    await stage.settle()
    assert len(agent.runs) == 1

    stale = stage.node("n2")
    stage.kube.set_status(POOL_NODES, "default", "n2", podUID="uid-of-another-pod")
    stage.task("primes.second")
    await stage.settle()
    stale.connect()
    stale.tell()
    await stage.settle()
    assert stale.runs == []
    stage.kube.set_status(POOL_NODES, "default", "n2", podUID=stale.uid)
    await stage.settle()
    assert len(stale.runs) == 1


@played
async def test_a_node_takes_nothing_from_the_moment_that_its_object_says_so(stage: Stage) -> None:
    """Disabled, or with an action that is not done: also for a next leader, before anybody drains it anew."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    closed: tuple[dict[str, Any], ...] = (
        {"schedulingState": "Disabled"},
        {"action": {"type": "Reboot", "requestId": "1", "option": "Requeue"}},
    )
    for number, spec in enumerate(closed):
        await stage.kube.patch(
            POOL_NODES, "default", "n1", [{"op": "add", "path": "/spec", "value": {"poolName": "demo", **spec}}]
        )
        await stage.settle()
        stage.task(f"primes.t{number}")
        await stage.settle()
        assert agent.runs == []
    last = {"requestId": "1", "type": "Reboot", "result": "InProgress"}
    stage.kube.set_status(POOL_NODES, "default", "n1", lastAction=last)
    await stage.settle()
    assert agent.runs == []
    stage.kube.set_status(POOL_NODES, "default", "n1", lastAction={**last, "result": "Done"})
    await stage.settle()
    assert len(agent.runs) == 1


@played
async def test_a_node_begins_anew_only_when_every_end_there_is_confirmed_and_persisted(stage: Stage) -> None:
    """S6.4: asking is not enough, and neither is the kill."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    (run,) = agent.runs
    agent.start(run)
    stage.ledger.restart_node(agent.uid, agent.boot_id)
    stage.ledger.drain_node(agent.uid, RequeueReason.NODE_REBOOTED)
    stage.ledger.restart_node(agent.uid, agent.boot_id)
    assert stage.hub.restarts == []
    agent.finish(run, None, cause=Cause.KILLED)
    await stage.settle()
    stage.ledger.restart_node(agent.uid, agent.boot_id)
    assert stage.hub.restarts == [(agent.uid, agent.boot_id)]
    assert stage.status().requeue_reasons == {"NodeRebooted": 1}


@played
async def test_a_reconnected_node_is_sent_again_what_never_arrived_and_loses_what_it_does_not_know(
    stage: Stage,
) -> None:
    stage.pool(slots=2)
    await stage.lead()
    agent = await ready_node(stage, slots=2)
    stage.task("primes.a")
    stage.task("primes.b")
    await stage.settle()
    first, second = agent.runs
    agent.start(first)
    agent.leave()
    await stage.settle()
    agent.connect()
    agent.tell()
    await stage.settle()
    assert len(agent.runs) == 4
    lost, unsent = stage.status(first.task_name), stage.status(second.task_name)
    assert (lost.requeue_reasons, unsent.requeue_count) == ({"NodeLost": 1}, 0)


@played
async def test_a_reconnected_node_goes_on_with_what_it_lists(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    (run,) = agent.runs
    agent.leave()
    agent.connect()
    agent.tell((run.execution_id, stage.unix_time(), run.task_name))
    await asyncio.sleep(2.1)
    await stage.settle()
    assert (stage.status().state, len(agent.runs), stage.hub.kills) == ("Running", 1, [])


@played
async def test_a_node_of_another_pool_cannot_report_on_a_run(stage: Stage) -> None:
    stage.pool()
    stage.put(builders.pool("other"))
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    stranger = stage.node("evil", pool="other")
    stranger.connect()
    stranger.finish(agent.runs[0], 0)
    stranger.tell((run_of(1, 9), stage.unix_time(), "primes.work"))
    await stage.settle()
    assert stage.writes() == 0
    assert stage.hub.kills == [(stranger.uid, run_of(1, 9))]
    agent.finish(agent.runs[0], 7)
    await stage.settle()
    assert stage.status().exit_code == 7
