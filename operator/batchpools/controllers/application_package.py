"""Shell of the application packages: wakes when nodes come to have them or cannot, has what they said written into status."""

from collections.abc import Callable

from batchpools.core.identity import Key
from batchpools.core.packages.plan import PackageSituation, plan_package
from batchpools.core.packages.resolution import pools_with
from batchpools.core.views import ApplicationPackageView, PodView, PoolNodeView, PoolView
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.telemetry.clock import Clock


class ApplicationPackageController:
    """Reconciles ApplicationPackages."""

    def __init__(self, cache: Cache, applier: Applier, clock: Clock) -> None:
        self._cache = cache
        self._applier = applier
        self._clock = clock

    def wire(self, wake: Callable[[Key], None]) -> None:
        """Wake a package when it changes, when a pool comes to name it or does not any more, and when a node of such a pool
        changes its state or goes.
        """

        def package_changed(old: ApplicationPackageView | None, new: ApplicationPackageView | None) -> None:
            view = new or old
            if view is not None:
                wake(_key(view.metadata.namespace, view.metadata.name))

        def node_changed(old: PoolNodeView | None, new: PoolNodeView | None) -> None:
            view = new or old
            if view is None or (old is not None and new is not None and _standing(old) == _standing(new)):
                return
            pool = self._cache.pools.get(view.metadata.namespace, view.spec.pool_name)
            for one in pool.spec.application_package_references if pool is not None else ():
                wake(_key(view.metadata.namespace, one.name))

        def pool_changed(old: PoolView | None, new: PoolView | None) -> None:
            before, now = (dict.fromkeys(_named(pool)) for pool in (old, new))
            for namespace, name in () if before == now else {**before, **now}:
                wake(_key(namespace, name))

        self._cache.packages.subscribe(package_changed)
        self._cache.nodes.subscribe(node_changed)
        self._cache.pools.subscribe(pool_changed)

    async def reconcile(self, key: Key) -> float | None:
        """Write what nodes have said of one package; None = until the next edge."""
        package = self._cache.packages.get(key.namespace, key.name)
        if package is None:
            return None
        plan = plan_package(PackageSituation(package, self._nodes(package)), now=self._clock.now())
        await self._applier.apply(key, package.metadata.uid, plan, current=package.status)
        return plan.requeue_after

    def _nodes(self, package: ApplicationPackageView) -> tuple[tuple[PoolNodeView, PodView], ...]:
        """Those of pools that name it, each with the pod that its status speaks of."""
        namespace, found = package.metadata.namespace, []
        for pool in pools_with(package, self._cache.pools):
            for node in self._cache.nodes.indexed("by_pool", (namespace, pool.metadata.name)):
                pod = self._cache.pods.get(namespace, node.status.pod_name)
                if pod is not None and pod.metadata.uid == node.status.pod_uid:
                    found.append((node, pod))
        return tuple(sorted(found, key=lambda one: one[0].metadata.name))


def _key(namespace: str, name: str) -> Key:
    return Key("ApplicationPackage", namespace, name)


def _named(pool: PoolView | None) -> list[tuple[str, str]]:
    """The packages that a pool names."""
    if pool is None:
        return []
    return [(pool.metadata.namespace, one.name) for one in pool.spec.application_package_references]


def _standing(node: PoolNodeView) -> tuple[object, ...]:
    return node.status.state, node.status.errors, node.status.pod_uid
