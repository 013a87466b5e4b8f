"""Shell of the pools: wakes on edges of pools and nodes, gathers a `PoolSituation`, has the plan applied."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from batchpools.api import names
from batchpools.api.states import TaskState
from batchpools.controllers.elevation import Elevation
from batchpools.core.autoscale.run import Scaling
from batchpools.core.identity import Key
from batchpools.core.jobs.manager import manager_name, manages
from batchpools.core.ledger import RunLedger
from batchpools.core.packages.resolution import pools_with, resolve
from batchpools.core.plan import Annotate, Delete
from batchpools.core.pools.emptying import is_marked
from batchpools.core.pools.image_probe import probe_key
from batchpools.core.pools.pool_plan import COUNTER_INTERVAL, plan_pool
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.upgrade import is_outdated, is_renewing, wanted_pod
from batchpools.core.views import ApplicationPackageView, PodView, PoolNodeView, PoolView
from batchpools.kube.applier import Applier, Refusal
from batchpools.kube.cache import Cache
from batchpools.kube.live import Namespaces, listed, live
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import PODS, POOL_NODES
from batchpools.telemetry.clock import Clock


class PoolController:
    """Reconciles Pools."""

    def __init__(
        self,
        cache: Cache,
        api: KubeApi,
        applier: Applier,
        ledger: RunLedger,
        clock: Clock,
        scaling: Scaling | None = None,
    ) -> None:
        self._cache = cache
        self._api = api
        self._namespaces = Namespaces(api, clock)
        self._applier = applier
        self._ledger = ledger
        self._clock = clock
        self._scaling = scaling
        self._elevation = Elevation(api, clock)
        self._counted: dict[Key, float] = {}
        self._refusals: dict[Key, str] = {}  # the answer to the last create; a restart asks again
        self._probe_refusals: dict[Key, str] = {}  # the same of the pod that finds out what the image is
        self._marks: dict[Key, dict[str, bool]] = {}  # by uid what we wrote last: the cache may not show it yet
        self._leaving: dict[Key, frozenset[str]] = {}  # uids of nodes that we deleted: the cache may not show it yet
        self._renewing: dict[Key, tuple[str, frozenset[str]]] = {}  # of nodes that we marked, and for which template

    def wire(self, wake: Callable[[Key], None]) -> None:
        """Wake a pool when it, one of its nodes, its probe or one of its packages changes."""

        def pool_changed(old: PoolView | None, new: PoolView | None) -> None:
            view = new or old
            if view is not None:
                wake(Key("Pool", view.metadata.namespace, view.metadata.name))

        def node_changed(old: PoolNodeView | None, new: PoolNodeView | None) -> None:
            view = new or old
            if view is not None:
                wake(Key("Pool", view.metadata.namespace, view.spec.pool_name))

        def pod_changed(old: PodView | None, new: PodView | None) -> None:
            view = new or old
            name = view.metadata.labels.get(names.LABEL_IMAGE_CHECK, "") if view is not None else ""
            if view is not None and name:
                wake(Key("Pool", view.metadata.namespace, name))

        def package_changed(old: ApplicationPackageView | None, new: ApplicationPackageView | None) -> None:
            view = new or old
            for pool in pools_with(view, self._cache.pools) if view is not None else ():
                wake(Key("Pool", pool.metadata.namespace, pool.metadata.name))

        self._cache.packages.subscribe(package_changed)
        self._cache.pods.subscribe(pod_changed)
        self._cache.pools.subscribe(pool_changed)
        self._cache.nodes.subscribe(node_changed)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one pool nearer to what it should be; seconds until the next look, None = on the next edge."""
        pool = self._cache.pools.get(key.namespace, key.name)
        if pool is None:
            remembered = (
                self._counted,
                self._refusals,
                self._probe_refusals,
                self._leaving,
                self._marks,
                self._renewing,
            )
            for memory in remembered:
                memory.pop(key, None)
            self._elevation.forget(key)
            self._ledger.cordon(key.namespace, key.name, frozenset())
            return None
        wanted = _wanted(pool)
        if pool.metadata.deletion_timestamp is None:
            situation = self._situation(key, pool, wanted, await self._elevation.refusal(pool))
        else:
            situation = await self._last(self._situation(key, pool, wanted))
        plan = plan_pool(situation, now=self._clock.now())
        refusals = await self._applier.apply(key, pool.metadata.uid, plan, current=pool.status)
        self._note_refusals(key, refusals, probe_key(pool))
        kept = {one.key for one in refusals}
        deleted = {one.uid for one in plan.effects if isinstance(one, Delete) and one.key not in kept}
        self._leaving[key] = situation.leaving | deleted
        noted = [one for one in plan.effects if isinstance(one, Annotate) and one.key not in kept]
        leaves = {one.uid: one.value == "true" for one in noted if one.name == names.ANNOTATION_LEAVING}
        self._marks[key] = {**situation.marks, **leaves}
        renewed = {one.uid for one in noted if one.name == names.ANNOTATION_RENEW}
        self._renewing[key] = (wanted, situation.renewing | renewed)
        if plan.status is not None:
            self._counted[key] = self._clock.monotonic()
        return plan.requeue_after

    def _note_refusals(self, key: Key, refusals: Iterable[Refusal], probe: Key) -> None:
        """Keep the first sentence for nodes, and the one for the probe."""
        told = [one for one in refusals if not one.only_needs_time]
        nodes = [one.sentence for one in told if one.key != probe]
        probes = [one.sentence for one in told if one.key == probe]
        for memory, sentences in ((self._refusals, nodes), (self._probe_refusals, probes)):
            if sentences:
                memory[key] = sentences[0]
            else:
                memory.pop(key, None)

    async def _last(self, situation: PoolSituation) -> PoolSituation:
        """Before a pool goes: no node of it is left, also none that the cache does not show (rules S2.2, S7.1)."""
        meta = situation.pool.metadata
        if await self._namespaces.is_closing(meta.namespace):
            return replace(situation, closing=True)
        if situation.nodes:
            return situation
        label = f"{names.LABEL_POOL}={meta.name}"
        found = await listed(self._api, POOL_NODES, PoolNodeView, meta.namespace, labels=label)
        nodes = tuple(node for node in found if _is_of(node, situation.pool))
        probe = probe_key(situation.pool)
        return replace(situation, nodes=nodes, probe=await live(self._api, PODS, PodView, probe.namespace, probe.name))

    def _situation(self, key: Key, pool: PoolView, pod: str, elevation: str = "") -> PoolSituation:
        """What is known of the pool. pod: what makes its pods now; elevation: why it gets none."""
        found = self._cache.nodes.indexed("by_pool", (key.namespace, key.name))
        nodes = tuple(sorted(found, key=lambda node: node.metadata.name))
        runs = {node.metadata.name: self._ledger.node_runs(node.status.pod_uid) for node in nodes}
        asked = self._leaving.get(key, frozenset())
        wanted, renewing = self._renewing.get(key, ("", frozenset()))
        if wanted != pod:
            renewing = frozenset()
        marks = self._marks.get(key, {})
        last = self._counted.get(key)
        deleted = pool.metadata.deletion_timestamp is not None
        due = last is None or self._clock.monotonic() - last >= COUNTER_INTERVAL
        return PoolSituation(
            pool=pool,
            nodes=nodes,
            used_slots={name: told.slots_used for name, told in runs.items()},
            managing=self._recorded_managers(key) | {name for name, told in runs.items() if told.manages},
            slots=self._ledger.pool_slots(key.namespace, key.name),
            counts_due=due,
            leaving=frozenset(node.metadata.uid for node in nodes if node.metadata.uid in asked),
            renewing=frozenset(node.metadata.uid for node in nodes if _waits_for_mark(node, pool, renewing)),
            marks={
                node.metadata.uid: marks[node.metadata.uid]
                for node in nodes
                if marks.get(node.metadata.uid, is_marked(node)) != is_marked(node)
            },
            cordoned=self._ledger.cordoned(key.namespace, key.name),
            refusal=self._refusals.get(key, ""),
            probe=self._cache.pods.get(*probe_key(pool)[1:]),
            probe_refusal=self._probe_refusals.get(key, ""),
            elevation=elevation,
            packages=resolve(
                pool.spec.application_package_references, partial(self._cache.packages.get, key.namespace)
            ),
            scaled=self._scaling.turn(pool, nodes) if self._scaling is not None and not deleted else None,
        )

    def _recorded_managers(self, key: Key) -> frozenset[str]:
        """Nodes on which job managers run, as is persisted: what the book may not have heard yet since an election."""
        found = set()
        for job in self._cache.jobs.indexed("by_pool", (key.namespace, key.name)):
            manager = self._cache.tasks.get(key.namespace, name) if (name := manager_name(job)) else None
            if manager is not None and manages(manager, job) and manager.status.state == TaskState.RUNNING:
                found.add(manager.status.pool_node_name)
        return frozenset(found)


def _waits_for_mark(node: PoolNodeView, pool: PoolView, asked: frozenset[str]) -> bool:
    """Whether we marked this node and the cache does not show it yet."""
    return node.metadata.uid in asked and is_outdated(node, pool) and not is_renewing(node, pool)


def _is_of(node: PoolNodeView, pool: PoolView) -> bool:
    return any(owner.uid == pool.metadata.uid for owner in node.metadata.owner_references)


def _wanted(pool: PoolView) -> str:
    """Changes when a pod of either sort would be made otherwise."""
    return wanted_pod(pool, is_dedicated=True) + wanted_pod(pool, is_dedicated=False)
