"""Tasks go to nodes, end, are written once, acknowledged after that, retried and requeued as the rules say."""

import asyncio
from dataclasses import replace  # noqa: F401

from batchpools.core.views import EnvVar, TaskConstraints
from batchpools.kube.resources import TASKS
from batchpools.link.words import Cause
from tests.controllers.task_stage import NS, Stage, played, ready_node, run_of


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
    status = stage.status()
    assert (status.state, status.result, status.exit_code, status.attempt) == ("Completed", "Success", 0, 1)
    assert (status.pool_node_name, status.execution_id, status.epoch) == ("n1", run.execution_id, 1)
    assert {one.type: one.status for one in status.conditions} == {
        "Complete": "True",
        "Failed": "False",
        "Finished": "True",
    }
    assert stage.hub.acks == [(agent.uid, run.execution_id)]
