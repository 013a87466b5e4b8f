"""Shells of what each pool has one of beside its nodes: a NetworkPolicy and a PodDisruptionBudget.

They wake on edges of pools and of these objects, and have the plan applied. What the objects say is decided in `core.pools`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.plan import Effect, Event, Plan
from batchpools.core.pools.disruption import budget_name, plan_budget
from batchpools.core.pools.network_policy import plan_policy, policy_name
from batchpools.core.views import PoolNodeView, PoolView
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache, Store

REFUSED_AGAIN = 15.0


class Companions(ABC):
    """Keeps one object of a kind for each pool; keys in the queue are of that kind and name the pool."""

    kind: ClassVar[str]
    refused: ClassVar[str]  # the reason of the Event

    def __init__(self, cache: Cache, applier: Applier) -> None:
        self._cache = cache
        self._applier = applier
        self._refusals: dict[Key, str] = {}  # what was told of the last try

    @abstractmethod
    def store(self) -> Store[Any]:
        """The objects of the kind."""

    @abstractmethod
    def effects(self, pool: PoolView) -> tuple[Effect, ...]:
        """What makes the pool's object what it should be."""

    def wire(self, wake: Callable[[Key], None]) -> None:
        """Wake when a pool or its object changes."""

        def pool_changed(old: PoolView | None, new: PoolView | None) -> None:
            view = new or old
            if view is not None and not _is_same(old, new):
                wake(Key(self.kind, view.metadata.namespace, view.metadata.name))

        def companion_changed(old: Any, new: Any) -> None:
            meta = (new or old).metadata
            wake(Key(self.kind, meta.namespace, meta.labels.get(names.LABEL_POOL, "")))

        self._cache.pools.subscribe(pool_changed)
        self.store().subscribe(companion_changed)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one pool's object to what it should be; seconds until the next look, None = on the next edge."""
        pool = self._cache.pools.get(key.namespace, key.name)
        if pool is None:
            self._refusals.pop(key, None)
            return None
        effects = self.effects(pool)
        if not effects:
            return None
        about = Key("Pool", key.namespace, key.name)
        plan: Plan[None] = Plan(effects=effects)
        refusals = await self._applier.apply(about, pool.metadata.uid, plan)
        told = next((one.sentence for one in refusals if not one.only_needs_time), "")
        if told and told != self._refusals.get(key):
            event = Event(about, pool.metadata.uid, self.refused, told, warning=True)
            await self._applier.apply(about, pool.metadata.uid, Plan(events=(event,)))
        self._refusals[key] = told
        return REFUSED_AGAIN if refusals else None


class NetworkPolicyController(Companions):
    """Who reaches the nodes of a pool."""

    kind = "NetworkPolicy"
    refused = "NetworkPolicyRefused"

    def store(self) -> Store[Any]:
        """All policies of ours."""
        return self._cache.policies

    def effects(self, pool: PoolView) -> tuple[Effect, ...]:
        """Of a pool that goes it stays until the last node has gone."""
        place, name = pool.metadata.namespace, pool.metadata.name
        nodes = self._cache.nodes.indexed("by_pool", (place, name))
        return plan_policy(pool, self._cache.policies.get(place, policy_name(name)), has_nodes=bool(nodes))

    def wire(self, wake: Callable[[Key], None]) -> None:
        """Also when a node has gone."""
        super().wire(wake)

        def node_changed(old: PoolNodeView | None, new: PoolNodeView | None) -> None:
            if new is None and old is not None:
                wake(Key(self.kind, old.metadata.namespace, old.spec.pool_name))

        self._cache.nodes.subscribe(node_changed)


class DisruptionBudgetController(Companions):
    """Which pods of a pool voluntary disruption may take."""

    kind = "PodDisruptionBudget"
    refused = "DisruptionBudgetRefused"

    def store(self) -> Store[Any]:
        """All budgets of ours."""
        return self._cache.budgets

    def effects(self, pool: PoolView) -> tuple[Effect, ...]:
        """It goes with its pool."""
        meta = pool.metadata
        return plan_budget(pool, self._cache.budgets.get(meta.namespace, budget_name(meta.name)))


def _is_same(old: PoolView | None, new: PoolView | None) -> bool:
    """Whether nothing has changed that a companion depends on: a pool's spec, and whether it goes."""
    if old is None or new is None:
        return False
    was, now = old.metadata, new.metadata
    return (was.uid, was.generation, was.deletion_timestamp) == (now.uid, now.generation, now.deletion_timestamp)
