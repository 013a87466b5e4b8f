"""A template changes under a pool of three: its nodes get other pods one by one, whatever stops in between."""

from typing import Any

import pytest
from tests.controllers.pool_stage import NS, Replica, live, pass_time, pod_dies, pod_runs

from batchpools.hub.port import NodeIdentity, SessionInfo
from batchpools.kube.errors import UnreachableError
from batchpools.kube.resources import PODS, POOLS
from batchpools.link.messages import NodeReport
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.faults import Faults
from batchpools.testing.virtual_time import VirtualClock, run_virtual


def is_ending(one: dict[str, Any]) -> bool:
    return "deletionTimestamp" in one["metadata"]


def agents_connect(kube: FakeKube, replica: Replica) -> None:
    """Of every pod that runs and is not ending."""
    replica.hub.connected = {}
    for one in kube.objects(PODS, NS):
        meta = one["metadata"]
        if not is_ending(one) and one["status"].get("phase") == "Running":
            identity = NodeIdentity(NS, "demo", meta["name"].rpartition("-")[0], meta["name"], meta["uid"])
            replica.hub.connected[meta["uid"]] = SessionInfo(identity, NodeReport("Ready", "boot", 1, None, ""), 1)


async def roll(kube: FakeKube, replica: Replica, rounds: int = 40) -> int:
    """Play kubelet and agents for a while; the most pods that were away at once."""
    most = 0
    for _ in range(rounds):
        await pass_time(3)
        pods = kube.objects(PODS, NS)
        most = max(most, 3 - sum(not is_ending(one) and one["status"].get("phase") == "Running" for one in pods))
        for one in pods:
            name = one["metadata"]["name"]
            if is_ending(one):
                pod_dies(kube, name)
                kube.end_pod(NS, name)
            elif one["status"].get("phase") != "Running" and one["spec"].get("nodeName") is None:
                kube.bind_pod(NS, name, "machine")
                pod_runs(kube, name)
        agents_connect(kube, replica)
    return most


@pytest.mark.parametrize("fault", ["none", "annotate fails", "its answer is lost", "the operator restarts"])
def test_nodes_get_other_pods_one_by_one_under_their_names(fault: str) -> None:
    async def main(clock: VirtualClock) -> None:
        kube = FakeKube(clock)
        replica = Replica(kube, clock)
        await replica.start()
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=3)))
        await roll(kube, replica, 4)
        assert live(kube, PODS) == ["demo-0000-1", "demo-0001-1", "demo-0002-1"]
        if fault == "annotate fails":
            kube.faults.fail("patch", UnreachableError("gone"), kind="PoolNode", times=3)
        elif fault == "its answer is lost":
            kube.faults.lose_answer("patch", kind="PoolNode")
        await kube.patch(POOLS, NS, "demo", [{"op": "replace", "path": "/spec/image", "value": "other"}])
        if fault == "the operator restarts":
            await pass_time(1)
            await replica.stop()
            kube.faults = Faults()
            replica = Replica(kube, clock)
            agents_connect(kube, replica)
            await replica.start()
        assert await roll(kube, replica) == 1
        assert live(kube, PODS) == ["demo-0000-2", "demo-0001-2", "demo-0002-2"]
        images = {one["spec"]["containers"][0]["image"] for one in kube.objects(PODS, NS)}
        assert images == {"other"}
        await replica.stop()

    run_virtual(main)
