"""Shell of the nodes: wakes on edges of nodes, pods and sessions, gathers a `NodeSituation`, has the plan applied."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from batchpools.api import names
from batchpools.api.reasons import Reason
from batchpools.api.states import NodeDeallocationOption
from batchpools.core.identity import Key
from batchpools.core.ledger import Contact, RunLedger
from batchpools.core.packages.resolution import pools_with, resolve
from batchpools.core.plan import Create
from batchpools.core.pools.emptying import emptied_by
from batchpools.core.pools.node_plan import COUNTER_INTERVAL, RETAINED_AGAIN, NodeSituation, plan_node
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.core.pools.node_state import Report, StartTaskFacts
from batchpools.core.pools.reach import is_set_aside
from batchpools.core.pools.retention import retained_until
from batchpools.core.views import ApplicationPackageView, PodView, PoolNodeStatus, PoolNodeView, PoolView
from batchpools.hub.port import HubPort
from batchpools.kube.applier import Applier, Outcome, Refusal
from batchpools.kube.cache import Cache
from batchpools.kube.live import Namespaces, live
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import PODS, POOL_NODES
from batchpools.link.messages import NodeReport
from batchpools.telemetry.clock import Clock

_AT_ONCE = 0.01
_RESTART_RULE = "spec.containers[0].restartPolicy"  # what the API server names when it does not take the rule


class NodeController:
    """Reconciles PoolNodes. What it remembers a restart learns again: by trying, by waiting, from the cache."""

    def __init__(
        self, cache: Cache, api: KubeApi, applier: Applier, ledger: RunLedger, hub: HubPort, clock: Clock
    ) -> None:
        self._cache = cache
        self._api = api
        self._applier = applier
        self._ledger = ledger
        self._hub = hub
        self._clock = clock
        self._namespaces = Namespaces(api, clock)
        self._settings: NodePodSettings | None = None
        self._restarts = True  # until a pod is refused for the rule of a reboot in place
        self._wake: Callable[[Key], None] = lambda _: None
        self._refusals: dict[Key, Refusal] = {}  # the answer to the last create
        self._counted: dict[Key, float] = {}
        self._retained: dict[Key, tuple[float, datetime | None]] = {}  # when it was asked, and the answer
        self._written: dict[Key, tuple[str, int]] = {}  # uid and podGeneration: the cache may not show it yet

    def use(self, settings: NodePodSettings) -> None:
        """What goes into node pods beside the user's part; pods that are there are told of other CAs."""
        settings = replace(settings, restarts=settings.restarts and self._restarts)
        if settings == self._settings:
            return
        self._settings = settings
        for node in self._cache.nodes:
            self._wake(_key(node))

    def wire(self, wake: Callable[[Key], None]) -> None:
        """Wake a node when it, its pod, its pool or one of its packages changes."""
        self._wake = wake

        def node_changed(old: PoolNodeView | None, new: PoolNodeView | None) -> None:
            view = new or old
            if view is not None:
                wake(_key(view))

        def pod_changed(old: PodView | None, new: PodView | None) -> None:
            view = new or old
            node = view.metadata.labels.get(names.LABEL_NODE, "") if view is not None else ""
            if view is not None and node:
                wake(Key("PoolNode", view.metadata.namespace, node))

        def pool_changed(old: PoolView | None, new: PoolView | None) -> None:
            view = new or old
            same = old is not None and new is not None and old.metadata.generation == new.metadata.generation
            if view is not None and not same:
                for node in self._cache.nodes.indexed("by_pool", (view.metadata.namespace, view.metadata.name)):
                    wake(_key(node))

        def package_changed(old: ApplicationPackageView | None, new: ApplicationPackageView | None) -> None:
            view = new or old
            for pool in pools_with(view, self._cache.pools) if view is not None else ():
                for node in self._cache.nodes.indexed("by_pool", (pool.metadata.namespace, pool.metadata.name)):
                    wake(_key(node))

        self._cache.packages.subscribe(package_changed)
        self._cache.nodes.subscribe(node_changed)
        self._cache.pods.subscribe(pod_changed)
        self._cache.pools.subscribe(pool_changed)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one node nearer to what it should be; seconds until the next look, None = on the next edge."""
        held = self._cache.nodes.get(key.namespace, key.name)
        if held is None or self._settings is None:
            for memory in (self._refusals, self._counted, self._written, self._retained):
                memory.pop(key, None)
            return None
        node, pod = await self._confirmed(key, held)
        if node is None:
            return None  # it is gone: the cache will say so
        situation = self._situation(key, node, pod, self._settings)
        if node.metadata.deletion_timestamp is not None and await self._namespaces.is_closing(key.namespace):
            situation = replace(situation, closing=True)
        plan = plan_node(situation, now=self._clock.now())
        uid = node.status.pod_uid
        if plan.status is not None and is_set_aside(plan.status):
            self._ledger.set_aside(uid)
        refusals = await self._applier.apply(key, node.metadata.uid, plan, current=node.status)
        self._take_back(situation, plan.status or node.status)
        told = [one for one in refusals if not one.only_needs_time]
        if any(_RESTART_RULE in one.sentence for one in told):
            self._settings = replace(self._settings, restarts=False)  # this cluster has no reboot in place
            self._restarts = False
            return _AT_ONCE
        if told:
            self._refusals[key] = told[0]
        elif pod is not None or any(isinstance(effect, Create) for effect in plan.effects):
            self._refusals.pop(key, None)
        if plan.status is not None:
            self._counted[key] = self._clock.monotonic()
            self._written[key] = (node.metadata.uid, plan.status.pod_generation)
        return plan.requeue_after

    async def _confirmed(self, key: Key, held: PoolNodeView) -> tuple[PoolNodeView | None, PodView | None]:
        """The node and its present pod. What would make a pod, or give a silent node tasks again, is believed only as the API
        server says it now.

        The cache may be late: a node in a former state, a pod that is not there yet, or one of a later generation. A node that
        is silent, or was never heard, is looked at as it is in the cache: what it says at worst is said once more.
        """
        uid, generation = self._written.get(key, ("", 0))
        late = uid == held.metadata.uid and held.status.pod_generation < generation
        pod = self._cache.pods.get(key.namespace, held.status.pod_name) if held.status.pod_name else None
        late = late or self._may_be_taken_back(held.status.pod_uid)
        if pod is not None and _owns(held, pod) and not late and not self._other_pods(held):
            return held, pod
        node = await live(self._api, POOL_NODES, PoolNodeView, key.namespace, key.name)
        if node is None or node.metadata.uid != held.metadata.uid:
            return None, None
        name = node.status.pod_name
        pod = await live(self._api, PODS, PodView, key.namespace, name) if name else None
        return node, pod if pod is not None and _owns(node, pod) else None  # somebody else may hold the name

    def _situation(self, key: Key, node: PoolNodeView, pod: PodView | None, settings: NodePodSettings) -> NodeSituation:
        uid = pod.metadata.uid if pod is not None else node.status.pod_uid
        contact = self._ledger.contact(uid)
        report = self._report(uid) if contact is Contact.IN_TOUCH else None
        refusal = self._refusals.get(key) if pod is None else None
        conflict = refusal is not None and refusal.outcome == Outcome.NAME_CONFLICT
        last = self._counted.get(key)
        pool = self._cache.pools.get(key.namespace, node.spec.pool_name)
        references = pool.spec.application_package_references if pool is not None else ()
        return NodeSituation(
            node=node,
            pool=pool,
            packages=resolve(references, partial(self._cache.packages.get, key.namespace)),
            pod=pod,
            settings=settings,
            other_pods=self._other_pods(node),
            report=report,
            runs=self._ledger.node_runs(uid),
            draining=self._ledger.is_draining(uid),
            drained=self._ledger.is_drained(uid),
            retained_until=self._retained_until(key, node),
            released=self._ledger.is_released(uid),
            contact=contact,
            refusal=refusal.sentence if refusal is not None else "",
            refused_for=Reason.NAME_CONFLICT if conflict else Reason.ALLOCATION_FAILED,
            counts_due=last is None or self._clock.monotonic() - last >= COUNTER_INTERVAL,
        )

    def _retained_until(self, key: Key, node: PoolNodeView) -> datetime | None:
        """Until when what tasks left on the node is to be kept, if that is waited for; all tasks are looked at, so seldom."""
        pool = self._cache.pools.get(key.namespace, node.spec.pool_name)
        is_drained = self._ledger.is_drained(node.status.pod_uid)
        if not is_drained or emptied_by(node, pool) is not NodeDeallocationOption.RETAINED_DATA:
            self._retained.pop(key, None)
            return None
        now = self._clock.monotonic()
        if key not in self._retained or now - self._retained[key][0] >= RETAINED_AGAIN:
            self._retained[key] = (now, retained_until(self._cache.tasks, node))
        return self._retained[key][1]

    def _take_back(self, situation: NodeSituation, persisted: PoolNodeStatus) -> None:
        """A node that is heard again takes tasks once its status, as the API server has it, says so (safety rule S3.4)."""
        uid = situation.node.status.pod_uid
        heard = situation.contact is Contact.IN_TOUCH and situation.report is not None  # so the node was read live
        if heard and not is_set_aside(persisted) and self._ledger.is_set_aside(uid):
            self._ledger.take_back(uid)

    def _may_be_taken_back(self, uid: str) -> bool:
        """Whether it takes no tasks for its silence, and is heard."""
        is_aside = self._ledger.is_set_aside(uid)
        return is_aside and self._ledger.contact(uid) is Contact.IN_TOUCH and self._report(uid) is not None

    def _other_pods(self, node: PoolNodeView) -> tuple[PodView, ...]:
        pods = self._cache.pods.indexed("by_node", (node.metadata.namespace, node.metadata.name))
        return tuple(pod for pod in pods if pod.metadata.name != node.status.pod_name and _owns(node, pod))

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
    return Report(report.phase, report.boot_id, facts, report.message, report.code)


def _owns(node: PoolNodeView, pod: PodView) -> bool:
    return any(owner.uid == node.metadata.uid for owner in pod.metadata.owner_references)


def _key(view: PoolNodeView) -> Key:
    return Key("PoolNode", view.metadata.namespace, view.metadata.name)
