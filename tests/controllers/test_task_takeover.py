"""After an election: what may be running waits, what runs is adopted, of two runs one is ended, what was persisted stays."""

import asyncio
from datetime import timedelta

import msgspec
from tests.controllers.task_stage import NS, Agent, Stage, played, run_of

from batchpools.api import names
from batchpools.core.views import (
    ContainerState,
    ContainerStateDetail,
    ContainerStatus,
    PodContainer,
    PodStatus,
    PodView,
    TaskConstraints,
    TaskStatus,
)
from batchpools.kube.errors import ServerError
from batchpools.kube.resources import TASKS
from batchpools.link.words import Cause, NodePhase
from batchpools.testing import builders


def _two_nodes(stage: Stage, slots: int = 1) -> tuple[Agent, Agent]:
    stage.pool(slots=slots)
    return stage.node("n1", slots=slots), stage.node("n2", slots=slots)


@played
async def test_a_task_of_before_waits_until_every_node_of_its_pool_has_spoken(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    await stage.lead(2)
    first.connect()
    first.tell()
    await stage.settle()
    assert stage.hub.runs == []
    told = stage.ledger.explain(NS, "primes.work")
    assert told is not None
    assert (told.reason, "n2" in told.message, "n1" in told.message) == ("NodesNotHeard", True, False)
    second.connect()
    second.tell()
    await stage.settle()
    assert [run.execution_id for _, run in stage.hub.runs] == [run_of(2, 1)]


@played
async def test_a_task_made_after_the_election_does_not_wait_for_silent_nodes(stage: Stage) -> None:
    first, _ = _two_nodes(stage)
    await stage.lead(2)
    await asyncio.sleep(1.0)
    stage.task()
    first.connect()
    first.tell()
    await stage.settle()
    assert len(first.runs) == 1


@played
async def test_what_came_before_the_election_is_told_by_the_barrier_and_by_no_clock(stage: Stage) -> None:
    first, _ = _two_nodes(stage)
    later = stage.clock.now() + timedelta(hours=1)  # the API server's clock is ahead of ours
    stage.put(
        builders.task("primes.work", metadata=builders.meta("primes.work", kind="Task", creation_timestamp=later))
    )
    await stage.lead(2)
    first.connect()
    first.tell()
    await stage.settle()
    assert first.runs == []


@played
async def test_a_dead_node_speaks_through_the_kubelet(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    await stage.lead(2)
    first.connect()
    first.tell()
    assert not stage.ledger.is_released(second.uid)
    stage.ledger.release_node(second.uid)
    await stage.settle()
    assert len(first.runs) == 1
    assert stage.ledger.is_released(second.uid)


@played
async def test_a_running_task_goes_on_through_a_change_of_leader(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    await stage.lead(1)
    for agent in (first, second):
        agent.connect()
        agent.tell()
    await stage.settle()
    ((_, run),) = stage.hub.runs
    first.start(run)
    await stage.fail_over()
    second.connect()
    second.tell()
    first.connect()
    first.tell((run.execution_id, stage.unix_time(), run.task_name))
    await stage.settle()
    assert (stage.hub.runs, stage.hub.kills) == ([], [])
    assert stage.ledger.node_runs(first.uid).slots_used == 1
    first.finish(run)
    await stage.settle()
    status = stage.status()
    assert (status.result, status.attempt, status.execution_id, status.epoch) == ("Success", 1, run.execution_id, 2)
    assert stage.hub.acks == [(first.uid, run.execution_id)]


@played
async def test_a_result_that_the_former_leader_did_not_persist_counts_although_the_node_is_heard_later(
    stage: Stage,
) -> None:
    first, second = _two_nodes(stage)
    stage.task(constraints=TaskConstraints(max_task_retry_count=1))
    await stage.lead(2)
    second.connect()
    second.tell()
    first.connect()
    first.finish(run_of(1, 1), 5)
    first.tell()
    await stage.settle()
    status = stage.status()
    assert (status.retry_count, status.attempt) == (1, 1)
    assert stage.hub.acks == [(first.uid, run_of(1, 1))]
    assert [(run.execution_id, run.fresh) for run in first.runs] == [(run_of(2, 2), False)]


@played
async def test_of_two_runs_the_newer_is_adopted_and_the_other_ended_before_anything_else(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task(constraints=TaskConstraints(max_task_retry_count=1))
    await stage.lead(3)
    now = stage.unix_time()
    for agent in (first, second):
        agent.connect()
    first.tell((run_of(1, 1), now, "primes.work"))
    second.tell((run_of(2, 1), now, "primes.work"))
    await stage.settle()
    assert stage.hub.kills == [(first.uid, run_of(1, 1))]
    second.finish(run_of(2, 1), 3)
    await stage.settle()
    assert (stage.writes(), stage.hub.runs) == (0, [])
    first.finish(run_of(1, 1), None, cause=Cause.KILLED)
    await stage.settle()
    status = stage.status()
    assert (status.retry_count, status.execution_id) == (1, run_of(2, 1))
    assert stage.hub.acks == [(first.uid, run_of(1, 1)), (second.uid, run_of(2, 1))]
    assert [run.execution_id for run in second.runs] == [run_of(3, 2)]


@played
async def test_a_loser_whose_node_dies_is_confirmed_by_the_kubelet(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    await stage.lead(3)
    now = stage.unix_time()
    for agent in (first, second):
        agent.connect()
    second.tell((run_of(2, 1), now, "primes.work"))
    first.tell((run_of(1, 1), now, "primes.work"))
    second.finish(run_of(2, 1))
    await stage.settle()
    assert (stage.writes(), stage.ledger.is_released(first.uid)) == (0, False)
    first.leave()
    stage.ledger.release_node(first.uid)
    await stage.settle()
    assert (stage.status().result, stage.ledger.is_released(first.uid)) == ("Success", True)


@played
async def test_a_run_that_was_accounted_for_is_not_adopted_but_ended(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    status = TaskStatus(state="Active", attempt=1, execution_id=run_of(1, 1), requeue_count=1)
    stage.task(status=status)
    await stage.lead(2)
    for agent in (first, second):
        agent.connect()
    first.tell((run_of(1, 1), stage.unix_time(), "primes.work"))
    second.tell()
    await stage.settle()
    assert (stage.hub.kills, stage.hub.runs) == ([(first.uid, run_of(1, 1))], [])
    first.unknown(run_of(1, 1))
    await stage.settle()
    assert [run.execution_id for _, run in stage.hub.runs] == [run_of(2, 2)]


@played
async def test_an_acknowledged_run_whose_end_the_cache_does_not_show_is_never_sent_again(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    stage.sync()
    stage.stale = True
    stage.kube.set_status(TASKS, NS, "primes.work", state="Completed", result="Success", attempt=1)
    await stage.lead(2)
    for agent in (first, second):
        agent.connect()
    stage.kube.faults.fail("get", ServerError("overloaded", 500), kind="Task", times=2)
    first.tell(acknowledged=(run_of(1, 1),))
    second.tell()
    await asyncio.sleep(60.0)
    await stage.settle()
    assert stage.hub.runs == []
    stage.stale = False
    await stage.settle()
    assert (stage.hub.runs, stage.writes()) == ([], 0)
    assert stage.ledger.job_counts(NS, "primes").completed == 1


@played
async def test_an_acknowledged_retry_that_the_cache_does_not_show_keeps_its_count(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    stage.sync()
    stage.stale = True
    told = {"state": "Active", "attempt": 1, "retryCount": 1, "executionID": run_of(1, 1)}
    stage.kube.set_status(TASKS, NS, "primes.work", **told)
    await stage.lead(2)
    for agent in (first, second):
        agent.connect()
    second.tell((run_of(1, 2), stage.unix_time(), "primes.work"))
    first.tell(acknowledged=(run_of(1, 1),))
    await stage.settle()
    assert (stage.hub.kills, stage.hub.runs) == ([], [])
    stage.stale = False
    await stage.settle()
    second.finish(run_of(1, 2))
    await stage.settle()
    assert (stage.status().retry_count, stage.status().attempt) == (1, 2)


@played
async def test_a_task_that_is_asked_about_while_another_node_is_silent_is_let_go_when_that_one_speaks(
    stage: Stage,
) -> None:
    first, second = _two_nodes(stage)
    stage.task(constraints=TaskConstraints(max_task_retry_count=1))
    await stage.lead(2)
    first.connect()
    first.tell((run_of(1, 1), stage.unix_time(), "primes.work"))
    first.finish(run_of(1, 1), 1)
    first.leave()
    await stage.settle()  # it waits for a node, and no longer for those that are silent
    first.connect()
    first.tell(acknowledged=(run_of(1, 2),))
    await stage.settle()
    assert stage.hub.runs == []
    second.connect()
    second.tell()
    await stage.settle()
    assert [run.execution_id for _, run in stage.hub.runs] == [run_of(2, 2)]


@played
async def test_an_acknowledged_id_that_was_only_discarded_does_not_hold_its_task(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    await stage.lead(2)
    for agent in (first, second):
        agent.connect()
        agent.tell(acknowledged=(run_of(1, 1),))
    await stage.settle()
    assert len(stage.hub.runs) == 1


@played
async def test_a_recorded_run_that_its_node_does_not_know_is_requeued_even_while_another_node_is_silent(
    stage: Stage,
) -> None:
    first, _ = _two_nodes(stage)
    stage.task(status=TaskStatus(state="Running", attempt=1, execution_id=run_of(1, 1), pool_node_name="n1"))
    await stage.lead(2)
    first.connect()
    first.tell()
    await stage.settle()
    status = stage.status()
    assert (status.state, status.requeue_reasons, status.retry_count) == ("Active", {"NodeLost": 1}, 0)
    assert [(run.execution_id, run.fresh) for run in first.runs] == [(run_of(2, 2), True)]


@played
async def test_a_recorded_run_on_a_silent_node_stays_held_until_its_time_is_over(stage: Stage) -> None:
    first, _ = _two_nodes(stage)
    stage.task(status=TaskStatus(state="Running", attempt=1, execution_id=run_of(1, 1), pool_node_name="n2"))
    await stage.lead(2)
    first.connect()
    first.tell()
    await asyncio.sleep(309.0)
    await stage.settle()
    assert (stage.hub.runs, stage.writes(), stage.status().state) == ([], 0, "Running")
    await asyncio.sleep(2.0)
    await stage.settle()
    assert stage.status().requeue_reasons == {"NodeLost": 1}
    assert [run.execution_id for run in first.runs] == [run_of(2, 2)]


@played
async def test_an_agent_that_has_not_met_its_runner_says_nothing_about_runs(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    stage.put(_pod("n1", agent_restarts=1))
    await stage.lead(2)
    second.connect()
    second.tell()
    first.connect(NodePhase.STARTING)
    first.tell(boot_id="")
    await asyncio.sleep(60.0)
    await stage.settle()
    assert stage.hub.runs == []
    first.tell((run_of(1, 1), stage.unix_time(), "primes.work"))
    await stage.settle()
    assert (stage.hub.runs, stage.hub.kills) == ([], [])


@played
async def test_a_node_whose_container_never_started_holds_nothing_up(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    stage.put(_pod("n1"))
    await stage.lead(2)
    second.connect()
    second.tell()
    await stage.settle()
    assert stage.hub.runs == []
    first.connect(NodePhase.STARTING)
    first.tell(boot_id="")
    await stage.settle()
    assert len(second.runs) == 1


@played
async def test_a_node_of_which_one_container_never_started_holds_nothing_up(stage: Stage) -> None:
    """An agent takes no run before it has met every runner: its pool's second image cannot be pulled."""
    first, second = _two_nodes(stage)
    stage.task()
    stage.put(_with_a_tool("n1", ContainerState(waiting=ContainerStateDetail(reason="ImagePullBackOff"))))
    await stage.lead(2)
    second.connect()
    second.tell()
    await stage.settle()
    assert stage.hub.runs == []
    first.connect(NodePhase.STARTING)
    first.tell(boot_id="")
    await stage.settle()
    assert len(second.runs) == 1


@played
async def test_a_node_whose_containers_have_all_started_is_waited_for_while_its_agent_meets_them(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    stage.put(_with_a_tool("n1", ContainerState(terminated=ContainerStateDetail(exit_code=137))))
    await stage.lead(2)
    second.connect()
    second.tell()
    first.connect(NodePhase.STARTING)
    first.tell(boot_id="")
    await stage.settle()
    assert stage.hub.runs == [], "it may run in either container"


@played
async def test_a_node_whose_agent_never_started_holds_nothing_up_though_it_has_no_session(stage: Stage) -> None:
    _, second = _two_nodes(stage)
    stage.task()
    stage.put(builders.pod("n1-1", node_name="n1", metadata=builders.meta("n1-1", kind="Pod", uid="uid-pod-n1")))
    await stage.lead(2)
    second.connect()
    second.tell()
    await stage.settle()
    assert len(second.runs) == 1


@played
async def test_an_inventory_for_another_epoch_says_nothing(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    await stage.lead(2)
    for agent in (first, second):
        agent.connect()
    stage.epoch = 1
    first.tell()
    second.tell()
    stage.epoch = 2
    await stage.settle()
    assert stage.hub.runs == []


@played
async def test_a_deleting_task_of_before_is_ended_once_its_run_is_found(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    await stage.lead(2)
    stage.kube.remove(TASKS, NS, "primes.work")
    await stage.settle()
    for agent in (first, second):
        agent.connect()
    first.tell((run_of(1, 1), stage.unix_time(), "primes.work"))
    second.tell()
    await stage.settle()
    assert stage.hub.kills == [(first.uid, run_of(1, 1))]


@played
async def test_a_job_is_not_quiet_while_a_silent_node_may_run_its_tasks(stage: Stage) -> None:
    first, second = _two_nodes(stage)
    stage.task()
    await stage.lead(2)
    dying = builders.meta("primes", kind="Job", deletion_timestamp=stage.clock.now(), finalizers=("x",))
    stage.put(builders.job("primes", metadata=dying))
    await stage.settle()
    first.connect()
    first.tell()
    await stage.settle()
    assert not stage.ledger.is_job_quiet(NS, "primes")
    second.connect()
    second.tell()
    await stage.settle()
    assert stage.ledger.is_job_quiet(NS, "primes")


def _pod(node: str, *, agent_restarts: int = 0) -> PodView:
    """A pod whose agent runs and whose task container waits."""
    pulling = ContainerState(waiting=ContainerStateDetail(reason="ImagePullBackOff"))
    agent = ContainerStatus(names.AGENT_CONTAINER, ContainerState(running={}), restart_count=agent_restarts)
    status = PodStatus(
        phase="Pending",
        init_container_statuses=(agent,),
        container_statuses=(ContainerStatus(names.TASK_CONTAINER, pulling),),
    )
    meta = builders.meta(f"{node}-1", kind="Pod", uid=f"uid-pod-{node}")
    return builders.pod(f"{node}-1", node_name=node, metadata=meta, status=status)


def _with_a_tool(node: str, tool: ContainerState) -> PodView:
    """A pod whose agent and task container run, and a second container beside."""
    pod = _pod(node)
    ours = tuple(PodContainer(name, (names.RUNNER_PATH, "serve")) for name in (names.TASK_CONTAINER, "tool"))
    statuses = (ContainerStatus(names.TASK_CONTAINER, ContainerState(running={})), ContainerStatus("tool", tool))
    return msgspec.structs.replace(
        pod,
        status=msgspec.structs.replace(pod.status, container_statuses=statuses),
        spec=msgspec.structs.replace(pod.spec, containers=ours),
    )


@played
async def test_a_live_run_of_a_task_that_is_gone_holds_its_slots_until_it_has_ended(stage: Stage) -> None:
    stage.pool(slots=2)
    agent = stage.node(slots=2)
    await stage.lead(2)
    agent.connect()
    agent.tell(("gone:-:1:1", 5.0, "primes.gone"))
    stage.task()
    await stage.settle()
    assert agent.runs == []
    assert (agent.uid, "gone:-:1:1") in stage.hub.kills
    agent.finish("gone:-:1:1", None, cause=Cause.KILLED, task_name="primes.gone")
    await stage.settle()
    assert len(agent.runs) == 1
