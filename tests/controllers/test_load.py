"""The tasks of a pool as autoscaling counts them: what could run, what holds slots, what has ended, also over a failover."""

from tests.controllers.task_stage import Stage, played, ready_node

from batchpools.core.ledger import PoolLoad
from batchpools.testing import builders


@played
async def test_what_waits_and_what_runs_is_counted_by_tasks_and_slots(stage: Stage) -> None:
    stage.pool(slots=4)
    await stage.lead()
    agent = await ready_node(stage, slots=4)
    for name, slots in (("a", 3), ("b", 2), ("c", 2)):
        stage.task(f"primes.{name}", required_slots=slots)
    await stage.settle()
    assert load(stage) == PoolLoad(active=2, active_slots=4, running=1, running_slots=3)
    assert stage.ledger.pool_waits("default", "demo") == 2
    agent.finish(agent.runs[0])
    await stage.settle()
    assert load(stage) == PoolLoad(running=2, running_slots=4, succeeded=1)
    assert stage.ledger.pool_waits("default", "demo") == 0


@played
async def test_what_no_node_can_hold_or_whose_job_is_not_there_is_not_counted(stage: Stage) -> None:
    stage.pool(slots=2)
    await stage.lead()
    stage.task("primes.large", required_slots=3)
    stage.task("other.work", job_name="other")
    await stage.settle()
    assert load(stage) == PoolLoad()


@played
async def test_after_a_failover_tasks_of_silent_nodes_count_as_running(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    agent.start(agent.runs[0])
    await stage.settle()
    agent.leave()
    await stage.fail_over()
    assert (load(stage).active + load(stage).running, load(stage).running_slots + load(stage).active_slots) == (1, 1)


def load(stage: Stage) -> PoolLoad:
    return stage.ledger.pool_load(builders.NAMESPACE, "demo")
