"""A stage for one node whose cache shows only what a test lets it see. The API server is FakeKube, time is virtual."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from tests.controllers.pool_stage import QuietLedger
from tests.controllers.task_stage import MemoryHub

from batchpools.api import names
from batchpools.controllers.node import NodeController
from batchpools.core.identity import Key
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.core.views import (
    ContainerState,
    ContainerStatus,
    PodSpec,
    PodStatus,
    PodView,
    PoolNodeStatus,
    PoolNodeView,
    PoolView,
)
from batchpools.hub.port import NodeIdentity, SessionInfo
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.resources import PODS, POOL_NODES, POOLS
from batchpools.link.messages import NodeReport
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import VirtualClock, run_virtual

NS = builders.NAMESPACE
NODE = "demo-0000"
KEY = Key("PoolNode", NS, NODE)
RUNNING = ContainerStatus(name="task", state=ContainerState(running={}))


class Stage:
    """One node of pool `demo`, made by hand; `show` lets the cache catch up."""

    def __init__(self, clock: VirtualClock) -> None:
        self.kube, self.cache, self.hub = FakeKube(clock), Cache(), MemoryHub()
        self.ledger = QuietLedger(self.cache)
        applier = Applier(self.kube, clock, lambda: 1, self.ledger)
        self.controller = NodeController(self.cache, self.kube, applier, self.ledger, self.hub, clock)
        self.controller.use(NodePodSettings("image", "hub", 1, "CA"))
        self.kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))

    def node(self, **status: Any) -> PoolNodeView:
        """The node as a view, not yet anywhere."""
        meta = builders.meta(NODE, kind="PoolNode", finalizers=(names.FINALIZER_NODE,))
        return builders.node(NODE, metadata=meta, status=PoolNodeStatus(**status))

    def pod(self, generation: int, *, owner: PoolNodeView | None = None, **fields: Any) -> PodView:
        """A pod of the node that runs."""
        labels = {names.LABEL_NODE: NODE, names.LABEL_POOL: "demo"}
        name = f"{NODE}-{generation}"
        fields = {"annotations": {names.ANNOTATION_CA: "CA"}, "finalizers": (names.FINALIZER_POD,), **fields}
        meta = builders.meta(name, kind="Pod", labels=labels, owner=owner or self.node(), **fields)
        running = PodStatus(phase="Running", container_statuses=(RUNNING,))
        return PodView(metadata=meta, spec=PodSpec(node_name="machine"), status=running)

    def seed(self, *views: PoolNodeView | PodView) -> None:
        for view in views:
            self.kube.seed(builders.manifest(view))

    def show(self) -> None:
        """The cache sees what the API server has."""
        kinds: tuple[tuple[Any, Any, Any], ...] = (
            (POOLS, self.cache.pools, PoolView),
            (POOL_NODES, self.cache.nodes, PoolNodeView),
            (PODS, self.cache.pods, PodView),
        )
        for resource, store, view in kinds:
            live = [msgspec.convert(one, view) for one in self.kube.objects(resource, NS)]
            for gone in {one.metadata.name for one in store} - {one.metadata.name for one in live}:
                store.remove(NS, gone)
            for one in live:
                store.put(one)

    async def look(self, times: int = 1) -> float | None:
        """Reconcile, showing the cache nothing in between."""
        after = None
        for _ in range(times):
            after = await self.controller.reconcile(KEY)
        return after

    def connect(self, pod_uid: str) -> None:
        """The agent of that pod has a session and is ready."""
        identity = NodeIdentity(NS, "demo", NODE, "", pod_uid)
        self.hub.connected[pod_uid] = SessionInfo(identity, NodeReport("Ready", "boot", 1, None, ""), 1)

    def end(self, name: str, *, phase: str = "Succeeded") -> None:
        """What the kubelet writes when nothing of a pod runs any more; of a deleted pod it then ends the grace."""
        dead = [{"name": "task", "state": {"terminated": {"exitCode": 0}}}]
        held = self.kube.set_status(PODS, NS, name, phase=phase, containerStatuses=dead)
        if "deletionTimestamp" in held["metadata"]:
            self.kube.end_pod(NS, name)

    def status(self) -> dict[str, Any]:
        held = self.kube.object(POOL_NODES, NS, NODE)
        assert held is not None
        return dict(held["status"])

    def pods(self) -> dict[str, bool]:
        """Pods by name, and whether they are being deleted."""
        return {one["metadata"]["name"]: "deletionTimestamp" in one["metadata"] for one in self.kube.objects(PODS, NS)}


def play(story: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a story in virtual time."""

    async def main(clock: VirtualClock) -> None:
        await story(Stage(clock))

    run_virtual(main)
