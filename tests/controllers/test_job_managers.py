"""Job managers in the leader's book: first of their job, alone on their node, with room made for them when they run again."""

import asyncio
from typing import Any

from msgspec.structs import replace
from tests.controllers.task_stage import NS, Agent, Stage, played, ready_node, run_of

from batchpools.controllers.task.sweep import SWEEP_EVERY, TELL_AFTER
from batchpools.core.conditions import find_condition
from batchpools.core.views import JobManagerTask, JobStatus, JobView, PoolNodeStatus
from batchpools.kube.resources import TASKS
from batchpools.link.words import Cause
from batchpools.testing import builders

BOSS = "primes.boss"


def managed(name: str = "primes", *, made: int = 1, priority: int = 0, **how: Any) -> JobView:
    manager = JobManagerTask(id="boss", command=("run",), **how)
    status = JobStatus(tasks_created=made)
    return builders.job(name, job_manager_task=manager, priority=priority, status=status)


def boss(stage: Stage, job: JobView, **spec: Any) -> None:
    """The manager's Task, as the job's reconciler makes it."""
    name = f"{job.metadata.name}.boss"
    meta = builders.meta(name, kind="Task", owner=job, creation_timestamp=stage.clock.now())
    stage.put(builders.task(name, metadata=meta, job_name=job.metadata.name, **spec))


async def begin(stage: Stage, job: JobView, *, nodes: int, slots: int = 2) -> list[Agent]:
    """A pool, its nodes and the job with its manager."""
    stage.pool(slots)
    stage.put(job)
    await stage.lead()
    agents = [await ready_node(stage, f"n{number}", slots=slots) for number in range(1, nodes + 1)]
    boss(stage, job)
    await stage.settle()
    return agents


def sent(agent: Agent) -> list[str]:
    return [run.task_name for run in agent.runs]


@played
async def test_nothing_runs_beside_one_that_is_exclusive(stage: Stage) -> None:
    stage.pool(2)
    stage.put(managed())
    await stage.lead()
    for number in range(4):
        stage.task(f"primes.t{number}")
    boss(stage, managed())
    await stage.settle()
    first = await ready_node(stage, "n1", slots=2)
    assert sent(first) == [BOSS], "it goes before older tasks"
    assert stage.ledger.node_runs(first.uid)[:2] == (2, 1)
    assert stage.ledger.node_runs(first.uid).manages
    second = await ready_node(stage, "n2", slots=2)
    assert sent(second) == ["primes.t0", "primes.t1"]
    first.start(first.runs[0])
    first.finish(first.runs[0])
    await stage.settle()
    assert sent(first) == [BOSS, "primes.t2", "primes.t3"]
    assert not stage.ledger.node_runs(first.uid).manages


@played
async def test_others_of_its_job_wait_until_it_was_made_and_has_gone(stage: Stage) -> None:
    stage.pool(2)
    stage.put(managed(made=0))
    await stage.lead()
    agent = await ready_node(stage, "n1", slots=2)
    stage.task("primes.work")
    await stage.settle()
    told = stage.ledger.explain(NS, "primes.work")
    assert told is not None
    assert (sent(agent), told.reason) == ([], "JobManagerFirst")
    boss(stage, managed())
    stage.put(managed())
    await stage.settle()
    assert sent(agent) == [BOSS]


@played
async def test_a_task_that_somebody_calls_the_manager_is_none(stage: Stage) -> None:
    (agent,) = await begin(stage, managed(), nodes=1)
    agent.finish(agent.runs[0])
    await stage.settle()
    stage.task("primes.boss2", id="BOSS2")
    stage.task("primes.work")
    await stage.settle()
    assert sorted(sent(agent)[1:]) == ["primes.boss2", "primes.work"]
    assert not stage.ledger.node_runs(agent.uid).manages


@played
async def test_one_that_must_run_again_gets_the_room_of_its_jobs_tasks_and_nobody_takes_it_meanwhile(
    stage: Stage,
) -> None:
    one, two = await begin(stage, managed(), nodes=2)
    for number in range(2):
        stage.task(f"primes.t{number}")
    await stage.settle()
    runs = two.runs
    for run in (*one.runs, *runs):
        (one if run in one.runs else two).start(run)
    stage.put(builders.job("other"))
    stage.task("other.x", job_name="other")
    await stage.settle()
    stage.ledger.release_node(one.uid)  # its machine is lost
    stage.hub.drop(one.uid)
    await stage.settle()
    assert stage.hub.kills == [(two.uid, run.execution_id) for run in runs]
    two.finish(runs[0], None, cause=Cause.KILLED)
    await stage.settle()
    assert sent(two) == ["primes.t0", "primes.t1"], "a job of the same priority does not take what is made free"
    two.finish(runs[1], None, cause=Cause.KILLED)
    await stage.settle()
    assert sent(two) == ["primes.t0", "primes.t1", BOSS]
    for number in range(2):
        status = stage.status(f"primes.t{number}")
        assert (status.state, status.retry_count, status.requeue_reasons) == ("Active", 0, {"DisplacedByJobManager": 1})
    two.finish(two.runs[2])
    await stage.settle()
    assert len(two.runs) == 5, "then all others go on"


@played
async def test_tasks_of_jobs_of_the_same_priority_are_not_displaced_and_those_of_a_lower_one_are(stage: Stage) -> None:
    (one,) = await begin(stage, managed(), nodes=1)
    one.start(one.runs[0])
    two = await ready_node(stage, "n2", slots=2)
    stage.put(builders.job("other"))
    stage.task("other.x", job_name="other")
    await stage.settle()
    stage.ledger.release_node(one.uid)
    stage.hub.drop(one.uid)
    await stage.settle()
    assert stage.hub.kills == []
    told = stage.ledger.explain(NS, BOSS)
    assert told is not None
    assert (told.reason, told.message) == (
        "NoEmptyNode",
        "The job manager runs alone on its node, and on each of the 1 nodes of pool 'demo' something runs.",
    )
    stage.put(managed(priority=5))
    await stage.settle()
    assert stage.hub.kills == [(two.uid, two.runs[0].execution_id)]


@played
async def test_a_manager_that_goes_away_while_room_is_made_leaves_it_to_others(stage: Stage) -> None:
    one, two = await begin(stage, managed(), nodes=2)
    one.start(one.runs[0])
    stage.task("primes.t0")
    await stage.settle()
    stage.ledger.release_node(one.uid)
    stage.hub.drop(one.uid)
    await stage.settle()
    (kill,) = stage.hub.kills
    stage.task("primes.t1")
    await stage.settle()
    assert len(two.runs) == 1
    stage.kube.remove(TASKS, NS, BOSS)
    await stage.settle()
    assert sent(two) == ["primes.t0", "primes.t1"]
    two.finish(kill[1], None, cause=Cause.KILLED, task_name="primes.t0")
    await stage.settle()
    assert len(two.runs) == 3


@played
async def test_what_an_exclusive_one_waits_for_is_told_after_a_while(stage: Stage) -> None:
    stage.pool(2)
    stage.put(managed())
    stage.put(builders.job("other"))
    await stage.lead()
    agent = await ready_node(stage, "n1", slots=2)
    stage.task("other.x", job_name="other")
    await stage.settle()
    boss(stage, managed())
    await stage.settle()
    await asyncio.sleep(TELL_AFTER + 2 * SWEEP_EVERY)
    await stage.settle()
    said = find_condition(stage.status(BOSS).conditions, "Schedulable")
    assert said is not None
    assert (said.status, said.reason) == ("False", "NoEmptyNode")
    agent.finish(agent.runs[0], task_name="other.x")
    await stage.settle()
    assert sent(agent) == ["other.x", BOSS]


@played
async def test_one_that_wants_a_dedicated_node_waits_for_it_and_says_so(stage: Stage) -> None:
    stage.pool(2)
    stage.put(managed(allow_low_priority_node=False))
    await stage.lead()
    low = Agent(stage, "low", "demo", 2)
    status = PoolNodeStatus(pod_name=low.identity.pod_name, pod_uid=low.uid)
    stage.put(builders.node("low", is_dedicated=False, status=status))
    await stage.settle()
    low.connect()
    low.tell()
    boss(stage, managed())
    await stage.settle()
    told = stage.ledger.explain(NS, BOSS)
    assert told is not None
    assert (sent(low), told.reason) == ([], "NoDedicatedNode")
    dedicated = await ready_node(stage, "n1", slots=2)
    assert sent(dedicated) == [BOSS]


@played
async def test_after_a_failover_nothing_is_put_beside_it_either(stage: Stage) -> None:
    (agent,) = await begin(stage, managed(), nodes=1)
    agent.start(agent.runs[0])
    stage.task("primes.work")
    await stage.settle()
    await stage.fail_over()
    agent.connect()
    agent.tell((run_of(1, 1, BOSS), stage.unix_time(), BOSS))
    await stage.settle()
    assert stage.hub.runs == []
    assert stage.ledger.node_runs(agent.uid)[:2] == (2, 1)
    assert stage.ledger.node_runs(agent.uid).manages


@played
async def test_a_waiting_exclusive_one_asks_autoscaling_for_a_whole_node(stage: Stage) -> None:
    stage.pool(4)
    stage.put(managed())
    await stage.lead()
    boss(stage, managed())
    stage.task("primes.work")
    await stage.settle()
    load = stage.ledger.pool_load(NS, "demo")
    assert (load.active, load.active_slots) == (2, 5)


@played
async def test_a_task_of_another_life_of_the_job_is_not_its_manager(stage: Stage) -> None:
    former = managed()
    former = replace(former, metadata=replace(former.metadata, uid="former"))
    stage.pool(2)
    stage.put(managed())
    await stage.lead()
    agent = await ready_node(stage, "n1", slots=2)
    boss(stage, former)
    stage.task("primes.work")
    await stage.settle()
    assert sorted(sent(agent)) == [BOSS, "primes.work"]
