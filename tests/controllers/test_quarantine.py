"""A node that cannot launch tasks gets none for a while; its neighbour does, and it is tried again."""

import asyncio

from tests.controllers.task_stage import Stage, played, ready_node

from batchpools.core.scheduling.quarantine import FIRST_PAUSE, LAUNCHES
from batchpools.link.words import Cause


@played
async def test_after_some_failed_launches_in_a_row_it_takes_no_task_until_its_pause_is_over(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    bad = await ready_node(stage)
    woken: list[str] = []
    stage.ledger.on_node = lambda node: woken.append(node.pod_uid)
    for number in range(LAUNCHES):
        stage.task(f"primes.t{number}")
        await stage.settle()
        bad.finish(bad.runs[-1], None, cause=Cause.LAUNCH_FAILED, code="DiskFull", message="the disk is full.")
        await stage.settle()
    runs = stage.ledger.node_runs(bad.uid)
    assert "the disk is full" in runs.quarantine
    assert runs.quarantined_for == "DiskFull"
    assert woken == [bad.uid]
    stage.task("primes.waits")
    await stage.settle()
    assert len(bad.runs) == LAUNCHES
    good = await ready_node(stage, "n2")
    assert len(good.runs) == 1
    good.finish(good.runs[-1])
    good.leave()
    stage.task("primes.later")
    await stage.settle()
    assert len(bad.runs) == LAUNCHES
    await asyncio.sleep(FIRST_PAUSE + 1.0)
    await stage.settle()
    assert len(bad.runs) == LAUNCHES + 1
    assert stage.ledger.node_runs(bad.uid).quarantine == ""
