"""One PodDisruptionBudget a pool: made, kept, put right, gone with its pool."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.controllers.pool_stage import NS, QuietLedger, delete, pass_time

from batchpools.controllers.companions import DisruptionBudgetController
from batchpools.core.views import BudgetView, PoolNodeView, PoolView
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.errors import ForbiddenError
from batchpools.kube.informer import Informer
from batchpools.kube.resources import BUDGETS, EVENTS, POOL_NODES, POOLS
from batchpools.kube.workqueue import WorkQueue
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import VirtualClock, run_virtual


def play(story: Callable[[FakeKube], Awaitable[None]]) -> None:
    async def main(clock: VirtualClock) -> None:
        kube, cache, queue = FakeKube(clock), Cache(), WorkQueue(clock)
        controller = DisruptionBudgetController(cache, Applier(kube, clock, lambda: 1, QuietLedger(cache)))
        controller.wire(queue.add)
        queue.register(controller.kind, controller.reconcile)
        informers: list[Informer[Any]] = [
            Informer(kube, POOLS, cache.pools, PoolView, clock),
            Informer(kube, POOL_NODES, cache.nodes, PoolNodeView, clock),
            Informer(kube, BUDGETS, cache.budgets, BudgetView, clock),
        ]
        queue.start()
        tasks = [asyncio.create_task(one.run()) for one in informers]
        await story(kube)
        await queue.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main)


def test_a_pool_gets_one_that_is_put_right_and_goes_with_it() -> None:
    async def story(kube: FakeKube) -> None:
        kube.seed(builders.manifest(builders.pool("demo")))
        await pass_time()
        assert kube.object(BUDGETS, NS, "demo-busy") is not None
        await kube.patch(BUDGETS, NS, "demo-busy", [{"op": "replace", "path": "/spec/minAvailable", "value": 0}])
        await pass_time()
        held = kube.object(BUDGETS, NS, "demo-busy")
        assert held is not None
        assert held["spec"]["minAvailable"] > 0
        kube.remove(BUDGETS, NS, "demo-busy")
        await pass_time()
        assert kube.object(BUDGETS, NS, "demo-busy") is not None
        change = [{"op": "add", "path": "/metadata/finalizers", "value": ["x/y"]}]
        await kube.patch(POOLS, NS, "demo", change)
        await delete(kube, POOLS, "demo")
        await pass_time()
        assert kube.object(BUDGETS, NS, "demo-busy") is None

    play(story)


def test_one_that_is_refused_is_told_once_and_tried_again() -> None:
    async def story(kube: FakeKube) -> None:
        kube.faults.fail("create", ForbiddenError("exceeded quota", 403), kind="PodDisruptionBudget", times=2)
        kube.seed(builders.manifest(builders.pool("demo")))
        await pass_time(60.0)
        assert kube.object(BUDGETS, NS, "demo-busy") is not None
        assert len(kube.objects(EVENTS, NS)) == 1

    play(story)
