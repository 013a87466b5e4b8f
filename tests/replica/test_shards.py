"""Two operators of different namespaces on one API server: both lead, and neither touches what is the other's."""

import asyncio

from tests.replica.stage import Stage, played

from batchpools.api import names
from batchpools.core.views import PoolStatus
from batchpools.kube.resources import LEASES, NETWORK_POLICIES, POOL_NODES, POOLS
from batchpools.testing import builders
from batchpools.testing.object_rules import Object


def pool_in(namespace: str, epoch: int = 0) -> Object:
    meta = builders.meta("demo", kind="Pool", namespace=namespace)
    status = PoolStatus(epoch=epoch)
    return builders.manifest(builders.pool(metadata=meta, status=status, target_dedicated_nodes=1))


@played
async def test_each_leads_by_a_lease_of_its_own_and_works_in_its_namespaces_alone(stage: Stage) -> None:
    for namespace in ("one", "two"):
        stage.kube.seed(pool_in(namespace))
    first = stage.replica("a", home="ops-a", namespaces=("one",))
    await stage.until_leads(first)
    await asyncio.sleep(5)
    assert stage.kube.objects(POOL_NODES, "one")
    for resource in (POOL_NODES, NETWORK_POLICIES):
        assert not stage.kube.objects(resource, "two")
    second = stage.replica("b", home="ops-b", namespaces=("two",))
    assert await stage.until_leads(second) == 1, "its own Lease, its own epochs"
    await asyncio.sleep(5)
    assert stage.kube.objects(POOL_NODES, "two")
    assert first.leads
    for home, holder in (("ops-a", "a"), ("ops-b", "b")):
        lease = stage.kube.object(LEASES, home, names.LEASE_NAME)
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == holder


@played
async def test_the_epochs_of_another_shard_depose_nobody(stage: Stage) -> None:
    stage.kube.seed(pool_in("two", epoch=41))
    first = stage.replica("a", home="ops-a", namespaces=("one",))
    assert await stage.until_leads(first) == 1
    await asyncio.sleep(5)
    assert first.elector.epoch == 1


@played
async def test_a_namespace_that_moves_to_another_shard_is_led_above_the_epochs_in_it(stage: Stage) -> None:
    stage.kube.seed(pool_in("one", epoch=41))
    other = stage.replica("b", home="ops-b", namespaces=("one",))
    assert await stage.until_leads(other) == 42
    await asyncio.sleep(5)
    held = stage.kube.object(POOLS, "one", "demo")
    assert held is not None
    assert held["status"]["epoch"] == 42
