"""What begins and ends with leading: epochs that are in use already, the barrier, a Lease that is lost (rules S2.1 to S2.3)."""

import asyncio

import pytest
from tests.replica.stage import HOME, Stage, played

from batchpools.api import names
from batchpools.core.views import JobStatus, PoolNodeStatus, PoolStatus, TaskStatus
from batchpools.kube.barrier import NAME
from batchpools.kube.resources import LEASES, TASKS
from batchpools.testing import builders
from batchpools.testing.virtual_time import VirtualClock, run_virtual

SEEN = {
    "Pool": builders.manifest(builders.pool("demo", status=PoolStatus(epoch=41))),
    "PoolNode": builders.manifest(builders.node("demo-0000", status=PoolNodeStatus(epoch=41))),
    "Job": builders.manifest(builders.job("primes", status=JobStatus(epoch=41))),
    "Task": builders.manifest(builders.task("primes.work", status=TaskStatus(epoch=41))),
}


@pytest.mark.parametrize("kind", SEEN)
def test_an_epoch_that_a_status_shows_is_overtaken_although_the_lease_is_gone(kind: str) -> None:
    """S2.1: etcd restored, or the Lease deleted: else our own statuses would be refused, and two leaders be one epoch."""

    async def main(clock: VirtualClock) -> None:
        stage = Stage(clock)
        stage.kube.seed(SEEN[kind])
        replica = stage.replica()
        assert await stage.until_leads(replica) == 42
        assert stage.transitions() == 42
        await stage.stop()

    run_virtual(main)


@played
async def test_a_leader_that_sees_a_higher_epoch_in_a_status_leads_again_above_it(stage: Stage) -> None:
    replica = stage.replica()
    assert await stage.until_leads(replica) == 1
    stage.kube.seed(builders.manifest(builders.task("primes.work", status=TaskStatus(epoch=7))))
    await asyncio.sleep(0.5)
    assert replica.elector.epoch is None, "it writes nothing more under the old one"
    assert await stage.until_leads(replica) == 8


@played
async def test_the_marks_of_former_leaders_outlive_a_lease_that_is_deleted(stage: Stage) -> None:
    former = stage.replica("a")
    await stage.until_leads(former)
    former.elector.raise_above(5)
    await asyncio.sleep(0.1)
    assert await stage.until_leads(former) == 6
    await stage.stop(former)
    stage.kube.remove(LEASES, HOME, names.LEASE_NAME)
    assert await stage.until_leads(stage.replica("b")) == 7


@played
async def test_a_leader_acts_on_nothing_before_the_barrier(stage: Stage) -> None:
    """S2.2: the pool would get its node from a cache that may be old."""
    stage.kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
    gate = stage.kube.faults.hold("patch", kind="Task")
    replica = stage.replica()
    await asyncio.sleep(30)
    assert replica.elector.epoch == 1
    assert not replica.leads
    assert stage.kube.count("create", "PoolNode") == 1, "the barrier's own object"
    gate.set()
    await stage.until_leads(replica)
    await asyncio.sleep(5)
    assert stage.kube.count("create", "PoolNode") == 2


@played
async def test_a_replica_that_loses_its_lease_stays_up_writes_nothing_and_leads_again(stage: Stage) -> None:
    """S2.3."""
    replica = stage.replica()
    await stage.until_leads(replica)
    taken = stage.kube.object(LEASES, HOME, names.LEASE_NAME)
    assert taken is not None
    spec = {**taken["spec"], "holderIdentity": "somebody", "leaseTransitions": 5}
    await stage.kube.replace(LEASES, HOME, names.LEASE_NAME, {**taken, "spec": spec})
    await asyncio.sleep(3)
    assert not replica.leads
    assert not replica.hub.may_dispatch()
    writes = stage.kube.count("patch") + stage.kube.count("create")
    stage.kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
    await asyncio.sleep(8)
    assert stage.kube.count("patch") + stage.kube.count("create") == writes
    assert stage.is_up(replica)
    assert await stage.until_leads(replica) == 6


@played
async def test_a_standby_has_the_same_cache_and_writes_nothing(stage: Stage) -> None:
    """S2.4: it takes over from memory."""
    leader = stage.replica("a")
    await stage.until_leads(leader)
    standby = stage.replica("b")
    stage.kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
    await asyncio.sleep(5)
    assert not standby.leads
    assert len(standby.cache.nodes) == len(standby.cache.pods) == 1
    assert (standby.queue.depth, stage.kube.count("create", "Pod")) == (0, 1)
    await stage.stop(leader)
    assert await stage.until_leads(standby) == 2


@played
async def test_a_barriers_object_is_not_taken_for_a_task(stage: Stage) -> None:
    replica = stage.replica()
    await stage.until_leads(replica)
    assert stage.kube.object(TASKS, HOME, NAME) is not None
    assert replica.cache.tasks.get(HOME, NAME) is None
