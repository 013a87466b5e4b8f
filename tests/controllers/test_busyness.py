"""A node counts as busy after a while of work, as idle after a longer one without, and over a failover it stays what it was."""

import asyncio

from tests.controllers.task_stage import Stage, played, ready_node

from batchpools.api import names
from batchpools.core.views import PodView
from batchpools.testing import builders


@played
async def test_short_tasks_make_no_node_busy_and_long_ones_do_until_half_a_minute_after(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    woken: list[str] = []
    stage.ledger.on_node = lambda node: woken.append(node.pod_uid)

    def busy() -> bool:
        return stage.ledger.node_runs(agent.uid).busy

    stage.task("primes.short")
    await stage.settle()
    agent.start(agent.runs[-1])
    await asyncio.sleep(0.5)
    agent.finish(agent.runs[-1])
    await stage.settle()
    await asyncio.sleep(10.0)
    assert not busy()
    assert woken == []
    stage.task("primes.long")
    await stage.settle()
    agent.start(agent.runs[-1])
    await asyncio.sleep(1.0)
    assert not busy()
    await asyncio.sleep(2.5)
    assert busy()
    assert woken == [agent.uid]
    agent.finish(agent.runs[-1])
    await stage.settle()
    await asyncio.sleep(25.0)
    assert busy()
    await asyncio.sleep(7.0)
    assert not busy()
    assert woken == [agent.uid] * 2


@played
async def test_what_a_former_leader_called_busy_stays_so_until_its_node_was_heard(stage: Stage) -> None:
    stage.pool()
    agent = stage.node("n1")
    labels = {names.LABEL_BUSY: "true", names.LABEL_NODE: "n1"}
    pod = PodView(metadata=builders.meta("n1-1", kind="Pod", uid=agent.uid, labels=labels))
    stage.cache.pods.put(pod)
    await stage.lead()
    assert stage.ledger.node_runs(agent.uid).busy
    await asyncio.sleep(10.0)
    assert stage.ledger.node_runs(agent.uid).busy
