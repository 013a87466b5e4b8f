"""What a node has done: counts and recent runs, over a failover and over its pods."""

import asyncio

from tests.controllers.task_stage import Stage, played, ready_node

from batchpools.controllers.task.records import KEPT, Records
from batchpools.core.ended import Ended
from batchpools.kube.resources import POOL_NODES


@played
async def test_a_new_leader_counts_on_from_what_the_node_says_and_names_its_last_runs(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    for number, code in enumerate((0, 3)):
        stage.task(f"primes.t{number}", id=f"t{number}")
        await stage.settle()
        agent.start(agent.runs[-1])
        await asyncio.sleep(1.0)
        agent.finish(agent.runs[-1], code)
        await stage.settle()
    did = stage.ledger.node_runs(agent.uid)
    assert (did.total_run, did.total_succeeded) == (2, 1)
    assert [(one.job_name, one.task_id, one.exit_code, one.result) for one in did.recent] == [
        ("primes", "t0", 0, "Success"),
        ("primes", "t1", 3, "Failure"),
    ]

    recent = [{"jobName": one.job_name, "taskId": one.task_id, "result": one.result} for one in did.recent]
    stage.kube.set_status(POOL_NODES, "default", "n1", totalTasksRun=2, totalTasksSucceeded=1, recentTasks=recent)
    await stage.fail_over()
    agent.connect()
    agent.tell()
    stage.task("primes.t2", id="t2")
    await stage.settle()
    agent.start(agent.runs[-1])
    agent.finish(agent.runs[-1])
    await stage.settle()
    did = stage.ledger.node_runs(agent.uid)
    assert (did.total_run, did.total_succeeded) == (3, 2)
    assert [one.task_id for one in did.recent] == ["t0", "t1", "t2"]


def test_the_last_runs_alone_are_kept_and_a_node_that_is_made_anew_has_none() -> None:
    records = Records()
    for number in range(KEPT + 3):
        records.ended(("ns", "n"), "job", f"t{number}", Ended("exit", 0, 1.0, 2.0), succeeded=True)
    assert records.of("ns", "n").run == KEPT + 3
    assert [one.task_id for one in records.of("ns", "n").recent] == [f"t{number}" for number in range(3, KEPT + 3)]
    records.forget("ns", "n")
    assert records.of("ns", "n").run == 0
