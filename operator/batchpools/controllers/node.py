"""Shell of the nodes: wakes on edges of nodes, pods and sessions, gathers a `NodeSituation`, has the plan applied."""

from collections.abc import Callable

import msgspec

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.ledger import RunLedger
from batchpools.core.pools.node_plan import COUNTER_INTERVAL, NodeSituation, plan_node
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.core.pools.node_state import Report, StartTaskFacts
from batchpools.core.views import PodView, PoolNodeView
from batchpools.hub.port import HubPort
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.errors import NotFoundError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import PODS
from batchpools.link.messages import NodeReport
from batchpools.telemetry.clock import Clock


class NodeController:
    """Reconciles PoolNodes."""

    def __init__(
        self, cache: Cache, api: KubeApi, applier: Applier, ledger: RunLedger, hub: HubPort, clock: Clock
    ) -> None:
        self._cache = cache
        self._api = api
        self._applier = applier
        self._ledger = ledger
        self._hub = hub
        self._clock = clock
        self._settings: NodePodSettings | None = None
        self._refusals: dict[Key, str] = {}  # the answer to the last create; a restart asks again
        self._counted: dict[Key, float] = {}

    def use(self, settings: NodePodSettings) -> None:
        """What goes into node pods beside the user's part."""
        self._settings = settings

    def wire(self, wake: Callable[[Key], None]) -> None:
        """Wake a node when it, its pod or its pool changes."""

        def node_changed(old: PoolNodeView | None, new: PoolNodeView | None) -> None:
            view = new or old
            if view is not None:
                wake(_key(view))

        def pod_changed(old: PodView | None, new: PodView | None) -> None:
            view = new or old
            node = view.metadata.labels.get(names.LABEL_NODE, "") if view is not None else ""
            if view is not None and node:
                wake(Key("PoolNode", view.metadata.namespace, node))

        self._cache.nodes.subscribe(node_changed)
        self._cache.pods.subscribe(pod_changed)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one node nearer to what it should be; seconds until the next look, None = on the next edge."""
        node = self._cache.nodes.get(key.namespace, key.name)
        if node is None or self._settings is None:
            self._refusals.pop(key, None)
            self._counted.pop(key, None)
            return None
        situation = await self._situation(key, node, self._settings)
        plan = plan_node(situation, now=self._clock.now())
        refusals = await self._applier.apply(key, node.metadata.uid, plan, current=node.status)
        if refusals:
            self._refusals[key] = refusals[0].sentence
        elif situation.pod is not None:
            self._refusals.pop(key, None)
        if plan.status is not None:
            self._counted[key] = self._clock.monotonic()
        return plan.requeue_after

    async def _situation(self, key: Key, node: PoolNodeView, settings: NodePodSettings) -> NodeSituation:
        status = node.status
        pod = self._cache.pods.get(key.namespace, status.pod_name) if status.pod_name else None
        if pod is None and status.pod_uid:
            pod = await self._live_pod(key.namespace, status.pod_name)
        if pod is not None and all(owner.uid != node.metadata.uid for owner in pod.metadata.owner_references):
            pod = None  # somebody else holds the name: it is no pod of ours
        uid = pod.metadata.uid if pod is not None else status.pod_uid
        last = self._counted.get(key)
        return NodeSituation(
            node=node,
            pool=self._cache.pools.get(key.namespace, node.spec.pool_name),
            pod=pod,
            settings=settings,
            other_pods=self._other_pods(node),
            report=self._report(uid),
            runs=self._ledger.node_runs(uid),
            drained=self._ledger.is_drained(uid),
            released=self._ledger.is_released(uid),
            refusal="" if pod is not None else self._refusals.get(key, ""),
            counts_due=last is None or self._clock.monotonic() - last >= COUNTER_INTERVAL,
        )

    async def _live_pod(self, namespace: str, name: str) -> PodView | None:
        """That a pod is gone is believed only when the API server says so now: the cache may be late."""
        try:
            return msgspec.json.decode(await self._api.get(PODS, namespace, name), type=PodView)
        except NotFoundError:
            return None

    def _other_pods(self, node: PoolNodeView) -> tuple[PodView, ...]:
        meta = node.metadata
        pods = self._cache.pods.indexed("by_pool", (meta.namespace, node.spec.pool_name))
        return tuple(
            pod
            for pod in pods
            if pod.metadata.name != node.status.pod_name
            and any(owner.uid == meta.uid for owner in pod.metadata.owner_references)
        )

    def _report(self, pod_uid: str) -> Report | None:
        session = self._hub.session(pod_uid) if pod_uid else None
        return _read(session.report) if session is not None and session.report is not None else None


def _read(report: NodeReport) -> Report:
    told = report.start_task
    facts = None
    if told is not None:
        facts = StartTaskFacts(
            told.retry_count, told.started_at, told.ended_at, told.exit_code, told.code, told.message
        )
    return Report(report.phase, report.boot_id, facts)


def _key(view: PoolNodeView) -> Key:
    return Key("PoolNode", view.metadata.namespace, view.metadata.name)
