"""FakeKube, informers and a work queue around the controller of what each pool has one of."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.controllers.pool_stage import QuietLedger

from batchpools.controllers.companions import Companions
from batchpools.core.views import PoolNodeView, PoolView
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.informer import Informer
from batchpools.kube.resources import BY_KIND, POOL_NODES, POOLS
from batchpools.kube.workqueue import WorkQueue
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import VirtualClock, run_virtual


def play_with(made: type[Companions], view: type[Any], story: Callable[[FakeKube], Awaitable[None]]) -> None:
    """Tell a story to the controller in virtual time; view: of the kind that it keeps."""

    async def main(clock: VirtualClock) -> None:
        kube, cache, queue = FakeKube(clock), Cache(), WorkQueue(clock)
        controller = made(cache, Applier(kube, clock, lambda: 1, QuietLedger(cache)))
        controller.wire(queue.add)
        queue.register(controller.kind, controller.reconcile)
        informers: list[Informer[Any]] = [
            Informer(kube, POOLS, cache.pools, PoolView, clock),
            Informer(kube, POOL_NODES, cache.nodes, PoolNodeView, clock),
            Informer(kube, BY_KIND[controller.kind], controller.store(), view, clock),
        ]
        queue.start()
        tasks = [asyncio.create_task(one.run()) for one in informers]
        await story(kube)
        await queue.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main)
