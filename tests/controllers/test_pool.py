"""Pools on FakeKube: nodes that are deleted, refused, or that a late cache still shows; templates that are repaired."""

from typing import Any

import msgspec
from tests.controllers.pool_stage import NS, QuietLedger, Replica, delete, live, pass_time, play, pod_dies, pod_runs

from batchpools.controllers.pool import PoolController
from batchpools.core.identity import Key
from batchpools.core.views import PoolNodeView, PoolView
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.errors import ForbiddenError
from batchpools.kube.resources import PODS, POOL_NODES, POOLS
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.faults import Faults
from batchpools.testing.virtual_time import VirtualClock, run_virtual


def seed_pool(kube: FakeKube, nodes: int, **spec: Any) -> None:
    kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=nodes, **spec)))


def pool_status(kube: FakeKube) -> dict[str, Any]:
    held = kube.object(POOLS, NS, "demo")
    assert held is not None
    return dict(held["status"])


def condition(status: dict[str, Any], type_: str) -> tuple[str, str]:
    return next((one["status"], one["reason"]) for one in status["conditions"] if one["type"] == type_)


async def change(kube: FakeKube, field: str, value: Any) -> None:
    await kube.patch(POOLS, NS, "demo", [{"op": "add", "path": f"/spec/{field}", "value": value}])


def test_a_deleted_node_is_replaced_under_the_lowest_free_name_and_its_own_comes_free() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        seed_pool(kube, 2)
        await pass_time()
        for name in ("demo-0000-1", "demo-0001-1"):
            pod_runs(kube, name)
        await pass_time()
        await delete(kube, POOL_NODES, "demo-0000")
        await pass_time()
        assert live(kube, POOL_NODES) == ["demo-0000", "demo-0001", "demo-0002"]
        assert pool_status(kube)["nodeCounts"]["leavingPool"] == 1
        assert len(replica.ledger.draining) == 1
        pod_dies(kube, "demo-0000-1")
        await pass_time()
        assert live(kube, POOL_NODES) == ["demo-0001", "demo-0002"]
        await change(kube, "targetDedicatedNodes", 3)
        await pass_time()
        assert live(kube, POOL_NODES) == ["demo-0000", "demo-0001", "demo-0002"]

    play(story)


def test_nodes_that_are_refused_are_shown_and_made_when_there_is_room() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.faults.fail("create", ForbiddenError("exceeded quota: nodes", 403), kind="PoolNode", times=1000)
        seed_pool(kube, 1)
        await pass_time(8)
        status = pool_status(kube)
        assert [one["code"] for one in status["resizeErrors"]] == ["AccountCoreQuotaReached"]
        assert condition(status, "Ready") == ("False", "AccountCoreQuotaReached")
        kube.faults = Faults()
        await pass_time(30)
        assert live(kube, POOL_NODES) == ["demo-0000"]
        assert pool_status(kube).get("resizeErrors", []) == []

    play(story)


def test_a_template_that_is_repaired_wakes_the_nodes_that_waited_for_it() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed_pool(kube, 1)
        await pass_time()
        good = kube.object(POOLS, NS, "demo")
        assert good is not None
        await change(kube, "image", "")
        pod_dies(kube, "demo-0000-1")
        await pass_time()
        assert live(kube, PODS) == []
        assert condition(pool_status(kube), "Stalled") == ("True", "TemplateInvalid")
        await change(kube, "image", good["spec"]["image"])
        await pass_time()
        assert live(kube, PODS) == ["demo-0000-2"]
        assert condition(pool_status(kube), "Stalled") == ("False", "Accepted")

    play(story)


def test_a_deleted_pool_in_a_namespace_that_is_being_deleted_leaves_nothing() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed_pool(kube, 2)
        await pass_time()
        kube.close_namespace(NS)
        for name in live(kube, PODS):
            await delete(kube, PODS, name)
        for name in live(kube, POOL_NODES):
            await delete(kube, POOL_NODES, name)
        await delete(kube, POOLS, "demo")
        await pass_time(20)
        assert (live(kube, POOLS), live(kube, POOL_NODES), live(kube, PODS)) == ([], [], [])

    play(story)


def test_with_its_namespace_a_pool_goes_at_once() -> None:
    """S7.1."""

    async def story(kube: FakeKube, replica: Replica) -> None:
        seed_pool(kube, 2)
        await pass_time()
        kube.close_namespace(NS)
        await delete(kube, POOLS, "demo")
        await pass_time(2)
        assert live(kube, POOLS) == []
        assert replica.ledger.draining == set()
        assert live(kube, POOL_NODES) == ["demo-0000", "demo-0001"], "the namespace's own controller takes those"

    play(story)


def test_a_pool_does_not_go_while_the_api_server_has_a_node_that_the_cache_does_not_show() -> None:
    """S2.2: that a cache does not show something is no reason to let its owner go."""

    async def main(clock: VirtualClock) -> None:
        kube, cache = FakeKube(clock), Cache()
        ledger = QuietLedger(cache)
        controller = PoolController(cache, kube, Applier(kube, clock, lambda: 1, ledger), ledger, clock)
        finalizers = ("batchpools.dev/drain",)
        meta = builders.meta("demo", kind="Pool", finalizers=finalizers, deletion_timestamp=clock.now())
        pool = builders.pool("demo", metadata=meta)
        manifest = builders.manifest(pool)
        manifest["metadata"]["deletionGracePeriodSeconds"] = 0
        kube.seed(manifest)
        cache.pools.put(pool)
        unseen = builders.meta("demo-0000", kind="PoolNode", labels={"batchpools.dev/pool": "demo"}, owner=pool)
        kube.seed(builders.manifest(builders.node("demo-0000", metadata=unseen)))
        key = Key("Pool", NS, "demo")
        await controller.reconcile(key)
        assert (live(kube, POOLS), live(kube, POOL_NODES)) == (["demo"], [])
        await controller.reconcile(key)
        assert live(kube, POOLS) == []

    run_virtual(main)


def test_a_node_that_has_changed_since_it_was_chosen_is_chosen_anew() -> None:
    """S5.1: it was idle when the cache saw it; that it was not deleted must not count as its leaving either."""

    async def main(clock: VirtualClock) -> None:
        kube, cache = FakeKube(clock), Cache()
        ledger = QuietLedger(cache)
        controller = PoolController(cache, kube, Applier(kube, clock, lambda: 1, ledger), ledger, clock)
        meta = builders.meta("demo", kind="Pool", finalizers=("batchpools.dev/drain",))
        cache.pools.put(builders.pool("demo", metadata=meta, target_dedicated_nodes=0))
        kube.seed(builders.manifest(builders.pool("demo", metadata=meta, target_dedicated_nodes=0)))
        cache.nodes.put(msgspec.convert(kube.seed(builders.manifest(builders.node("demo-0000"))), PoolNodeView))
        changed = kube.set_status(POOL_NODES, NS, "demo-0000", state="Running")
        key = Key("Pool", NS, "demo")
        assert await controller.reconcile(key) == 1.0
        assert live(kube, POOL_NODES) == ["demo-0000"]
        cache.nodes.put(msgspec.convert(changed, PoolNodeView))
        await controller.reconcile(key)
        assert live(kube, POOL_NODES) == []

    run_virtual(main)


def test_a_node_is_not_deleted_twice_over_because_the_cache_is_late() -> None:
    async def main(clock: VirtualClock) -> None:
        kube, cache = FakeKube(clock), Cache()
        ledger = QuietLedger(cache)
        controller = PoolController(cache, kube, Applier(kube, clock, lambda: 1, ledger), ledger, clock)
        meta = builders.meta("demo", kind="Pool", finalizers=("batchpools.dev/drain",))
        cache.pools.put(builders.pool("demo", metadata=meta, target_dedicated_nodes=1))
        kube.seed(builders.manifest(builders.pool("demo", metadata=meta, target_dedicated_nodes=1)))
        for name in ("demo-0000", "demo-0001"):
            held = kube.seed(builders.manifest(builders.node(name)))
            kube.set_status(POOL_NODES, NS, name, state="Idle", podUID=f"uid-of-{name}")
            cache.nodes.put(msgspec.convert(kube.object(POOL_NODES, NS, name) or held, PoolNodeView))
        key = Key("Pool", NS, "demo")
        ledger.busy = {"uid-of-demo-0000"}
        await controller.reconcile(key)
        assert live(kube, POOL_NODES) == ["demo-0000"]
        ledger.busy = {"uid-of-demo-0001"}  # which the cache still shows
        await controller.reconcile(key)
        assert live(kube, POOL_NODES) == ["demo-0000"]
        assert msgspec.convert(kube.object(POOLS, NS, "demo"), PoolView).status.current_dedicated_nodes == 1

    run_virtual(main)
