"""Shell of the pools' PodDisruptionBudgets: wakes on edges of pools and budgets, and has the plan applied."""

from collections.abc import Callable

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.plan import Event, Plan
from batchpools.core.pools.disruption import budget_name, plan_budget
from batchpools.core.views import BudgetView, PoolView
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache

KIND = "PodDisruptionBudget"  # of the keys in the queue; they name the pool
REFUSED_AGAIN = 15.0


class DisruptionBudgetController:
    """Keeps one PodDisruptionBudget a pool."""

    def __init__(self, cache: Cache, applier: Applier) -> None:
        self._cache = cache
        self._applier = applier
        self._refusals: dict[Key, str] = {}  # what was told of the last try

    def wire(self, wake: Callable[[Key], None]) -> None:
        """Wake when a pool or its budget changes."""

        def pool_changed(old: PoolView | None, new: PoolView | None) -> None:
            view = new or old
            if view is not None:
                wake(Key(KIND, view.metadata.namespace, view.metadata.name))

        def budget_changed(old: BudgetView | None, new: BudgetView | None) -> None:
            view = new or old
            if view is not None:
                wake(Key(KIND, view.metadata.namespace, view.metadata.labels.get(names.LABEL_POOL, "")))

        self._cache.pools.subscribe(pool_changed)
        self._cache.budgets.subscribe(budget_changed)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one pool's budget to what it should be; seconds until the next look, None = on the next edge."""
        pool = self._cache.pools.get(key.namespace, key.name)
        if pool is None:
            self._refusals.pop(key, None)
            return None
        effects = plan_budget(pool, self._cache.budgets.get(key.namespace, budget_name(key.name)))
        if not effects:
            return None
        about = Key("Pool", key.namespace, key.name)
        plan: Plan[None] = Plan(effects=effects)
        refusals = await self._applier.apply(about, pool.metadata.uid, plan)
        told = next((one.sentence for one in refusals if not one.only_needs_time), "")
        if told and told != self._refusals.get(key):
            event = Event(about, pool.metadata.uid, "DisruptionBudgetRefused", told, warning=True)
            await self._applier.apply(about, pool.metadata.uid, Plan(events=(event,)))
        self._refusals[key] = told
        return REFUSED_AGAIN if refusals else None
