"""A tag moves under a pool of two: the pool finds it out, its nodes get other pods one by one, whatever stops in between."""

from typing import Any

import pytest
from tests.controllers.pool_stage import NS, Replica, delete, live, pass_time, pod_dies, pod_runs
from tests.controllers.test_upgrade import agents_connect, is_ending

from batchpools.api import names
from batchpools.kube.errors import ForbiddenError
from batchpools.kube.resources import EVENTS, PODS, POOL_NODES, POOLS
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.faults import Faults
from batchpools.testing.virtual_time import VirtualClock, run_virtual

PROBE = "demo-image-check"
NODES = ["demo-0000", "demo-0001"]


class Registry:
    """What the tag is; kubelets that pull, and one machine that is behind."""

    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self.digest = f"sha256:{'a' * 64}"
        self.behind = ""  # the digest that node pods get instead
        self.pulls = True
        self.probes = 0

    def move(self) -> None:
        self.digest = f"sha256:{chr(ord(self.digest[-1]) + 1) * 64}"

    def look(self) -> None:
        """What the scheduler and kubelets do."""
        for one in self.kube.objects(PODS, NS):
            name, status = one["metadata"]["name"], one["status"]
            if is_ending(one):
                pod_dies(self.kube, name)
                self.kube.end_pod(NS, name)
            elif name == PROBE:
                self._probe(status)
            elif status.get("phase") != "Running":
                self.kube.bind_pod(NS, name, "machine")
                pod_runs(self.kube, name)
                (container,) = one["spec"]["containers"]
                assert container["imagePullPolicy"] == "Always"
                task = {"name": "task", "state": {"running": {}}, "imageID": f"r/x@{self.behind or self.digest}"}
                self.kube.set_status(PODS, NS, name, containerStatuses=[task])

    def _probe(self, status: Any) -> None:
        if status.get("containerStatuses"):
            return
        self.probes += 1
        state = {"terminated": {"exitCode": 0}} if self.pulls else {"waiting": {"reason": "ErrImagePull"}}
        found = {"imageID": f"docker-pullable://r/x@{self.digest}"} if self.pulls else {}
        phase = "Succeeded" if self.pulls else "Pending"
        told = [{"name": names.IMAGE_CHECK, "image": "x", "state": state, **found}]
        self.kube.set_status(PODS, NS, PROBE, phase=phase, containerStatuses=told)


async def roll(registry: Registry, replica: Replica, rounds: int = 30, seconds: float = 3.0) -> int:
    """Let time pass, kubelets and agents at work; the most node pods that were away at once."""
    most = 0
    for _ in range(rounds):
        await pass_time(seconds)
        pods = [one for one in registry.kube.objects(PODS, NS) if one["metadata"]["name"] != PROBE]
        most = max(most, 2 - sum(not is_ending(one) and one["status"].get("phase") == "Running" for one in pods))
        registry.look()
        agents_connect(registry.kube, replica)
    return most


def pool() -> dict[str, Any]:
    view = builders.manifest(builders.pool("demo", target_dedicated_nodes=2))
    view["spec"]["upgradePolicy"] = {"imageCheckInterval": "10m", "maxUnavailable": 1}
    return view


def said(kube: FakeKube) -> dict[str, Any]:
    held = kube.object(POOLS, NS, "demo")
    assert held is not None
    return dict(held["status"].get("imageCheck") or {})


async def started(clock: VirtualClock) -> tuple[FakeKube, Registry, Replica]:
    """A pool of two nodes whose image was looked at once."""
    kube = FakeKube(clock)
    registry, replica = Registry(kube), Replica(kube, clock)
    await replica.start()
    kube.seed(pool())
    await roll(registry, replica, 20)
    assert live(kube, PODS) == [f"{name}-1" for name in NODES], "the probe has gone"
    assert said(kube)["digest"] == registry.digest
    assert registry.probes == 1
    return kube, registry, replica


@pytest.mark.parametrize(
    "fault", ["none", "leader change", "leader change after the answer", "somebody deletes the probe"]
)
def test_a_tag_that_moves_rolls_nodes_one_by_one_whatever_stops_in_between(fault: str) -> None:
    async def main(clock: VirtualClock) -> None:
        kube, registry, replica = await started(clock)
        await roll(registry, replica, 5, 60)
        registry.move()
        for _ in range(600):
            await pass_time(1)
            if PROBE in live(kube, PODS):
                break
        assert live(kube, PODS)[2] == PROBE
        if fault == "leader change after the answer":
            registry.look()
        if fault.startswith("leader change"):
            await replica.stop()
            replica = Replica(kube, clock)
            agents_connect(kube, replica)
            await replica.start()
        elif fault == "somebody deletes the probe":
            await delete(kube, PODS, PROBE)
        assert await roll(registry, replica) == 1
        assert live(kube, PODS) == [f"{name}-2" for name in NODES]
        stamps = {one["metadata"]["annotations"][names.ANNOTATION_IMAGE_DIGEST] for one in kube.objects(PODS, NS)}
        assert stamps == {registry.digest} == {said(kube)["digest"]}
        await roll(registry, replica, 30, 60)
        assert live(kube, PODS)[:2] == [f"{name}-2" for name in NODES], "and not again"
        assert registry.probes >= 4, "it is looked at again and again"
        await replica.stop()

    run_virtual(main)


def test_a_tag_that_moves_again_while_nodes_roll_ends_with_all_on_the_last_one() -> None:
    async def main(clock: VirtualClock) -> None:
        kube, registry, replica = await started(clock)
        registry.move()
        for _ in range(3):
            await roll(registry, replica, 12, 51)
            registry.move()
        await roll(registry, replica, 60, 30)
        images = {
            one["status"]["containerStatuses"][0]["imageID"].rpartition("@")[2]
            for one in kube.objects(PODS, NS)
            if one["metadata"]["name"].startswith("demo-0")
        }
        assert images == {registry.digest}
        await replica.stop()

    run_virtual(main)


def test_a_node_whose_machine_is_behind_is_renewed_once() -> None:
    async def main(clock: VirtualClock) -> None:
        kube, registry, replica = await started(clock)
        registry.behind = registry.digest
        registry.move()
        await roll(registry, replica, 60, 60)
        assert [name for name in live(kube, PODS) if name != PROBE] == [f"{name}-2" for name in NODES]
        nodes = [one["status"] for one in kube.objects(POOL_NODES, NS)]
        assert {one["imageDigest"] for one in nodes} == {registry.digest}
        assert {one["imageID"] for one in nodes} == {f"r/x@{registry.behind}"}
        await replica.stop()

    run_virtual(main)


def test_a_probe_that_cannot_pull_or_is_refused_says_so_and_rolls_nobody() -> None:
    async def main(clock: VirtualClock) -> None:
        kube, registry, replica = await started(clock)
        registry.move()
        registry.pulls = False
        await roll(registry, replica, 15, 60)
        assert "ErrImagePull" in said(kube)["message"]
        told = [one for one in kube.objects(EVENTS, NS) if one["reason"] == "ImageCheckFailed"]
        assert len(told) == 1, "told once"
        registry.pulls = True
        await delete(kube, PODS, PROBE)
        kube.faults.fail("create", ForbiddenError("exceeded quota: pods", 403), kind="Pod", times=3)
        await roll(registry, replica, 2, 5)
        assert live(kube, PODS) == [f"{name}-1" for name in NODES], "nobody is renewed"
        held = kube.object(POOLS, NS, "demo")
        assert held is not None
        assert held["status"].get("resizeErrors", []) == [], "it is no trouble of the pool's size"
        kube.faults = Faults()
        await roll(registry, replica, 60, 10)
        assert said(kube).get("message", "") == ""
        assert live(kube, PODS) == [f"{name}-2" for name in NODES]
        await replica.stop()

    run_virtual(main)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_pool_that_is_deleted_while_it_looks_leaves_nothing(hidden: bool) -> None:
    """Also a probe that the cache does not show any more (or yet): it is asked for by name."""

    async def main(clock: VirtualClock) -> None:
        kube, registry, replica = await started(clock)
        while PROBE not in live(kube, PODS):
            await pass_time(1)
        if hidden:
            probe = kube.object(PODS, NS, PROBE)
            assert probe is not None
            replica.pods.remove(NS, PROBE)
        await delete(kube, POOLS, "demo")
        await roll(registry, replica)
        assert (live(kube, PODS), live(kube, POOL_NODES), live(kube, POOLS)) == ([], [], [])
        await replica.stop()

    run_virtual(main)
