"""Shell of the pools' NetworkPolicies: wakes on edges of pools, their nodes and policies, and has the plan applied."""

from collections.abc import Callable

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.plan import Event, Plan
from batchpools.core.pools.network_policy import plan_policy, policy_name
from batchpools.core.views import NetworkPolicyView, PoolNodeView, PoolView
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache

KIND = "NetworkPolicy"  # of the keys in the queue; they name the pool
REFUSED_AGAIN = 15.0


class NetworkPolicyController:
    """Keeps one NetworkPolicy a pool."""

    def __init__(self, cache: Cache, applier: Applier) -> None:
        self._cache = cache
        self._applier = applier
        self._refusals: dict[Key, str] = {}  # what was told of the last try

    def wire(self, wake: Callable[[Key], None]) -> None:
        """Wake when a pool, its policy, or the number of its nodes changes."""

        def pool_changed(old: PoolView | None, new: PoolView | None) -> None:
            view = new or old
            if view is not None:
                wake(Key(KIND, view.metadata.namespace, view.metadata.name))

        def policy_changed(old: NetworkPolicyView | None, new: NetworkPolicyView | None) -> None:
            view = new or old
            if view is not None:
                wake(Key(KIND, view.metadata.namespace, view.metadata.labels.get(names.LABEL_POOL, "")))

        def node_changed(old: PoolNodeView | None, new: PoolNodeView | None) -> None:
            if new is None and old is not None:
                wake(Key(KIND, old.metadata.namespace, old.spec.pool_name))

        self._cache.pools.subscribe(pool_changed)
        self._cache.policies.subscribe(policy_changed)
        self._cache.nodes.subscribe(node_changed)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one pool's policy to what it should be; seconds until the next look, None = on the next edge."""
        pool = self._cache.pools.get(key.namespace, key.name)
        if pool is None:
            self._refusals.pop(key, None)
            return None
        nodes = self._cache.nodes.indexed("by_pool", (key.namespace, key.name))
        held = self._cache.policies.get(key.namespace, policy_name(key.name))
        plan: Plan[None] = Plan(effects=plan_policy(pool, held, has_nodes=bool(nodes)))
        if not plan.effects:
            return None
        about = Key("Pool", key.namespace, key.name)
        refusals = await self._applier.apply(about, pool.metadata.uid, plan)
        told = next((one.sentence for one in refusals if not one.only_needs_time), "")
        if told and told != self._refusals.get(key):
            event = Event(about, pool.metadata.uid, "NetworkPolicyRefused", told, warning=True)
            await self._applier.apply(about, pool.metadata.uid, Plan(events=(event,)))
        self._refusals[key] = told
        return REFUSED_AGAIN if refusals else None
