"""The one cache of a replica: a store per kind, fed by the informers, read by everybody. It decides nothing."""

from collections.abc import Callable, Collection, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

from msgspec.structs import replace

from batchpools.api import names
from batchpools.core.views import (
    ApplicationPackageView,
    BudgetView,
    JobScheduleView,
    JobView,
    Meta,
    NetworkPolicyView,
    PodView,
    PoolNodeView,
    PoolView,
    TaskView,
)


class _HasMeta(Protocol):
    @property
    def metadata(self) -> Meta: ...


ViewT = TypeVar("ViewT", bound=_HasMeta)
Observer = Callable[[ViewT | None, ViewT | None], None]
Index = Callable[[ViewT], Hashable]


class Store(Generic[ViewT]):
    """Objects of one kind by (namespace, name), by uid, and by the indices it was given.

    renew(old, new): what is kept of an object that has changed, in place of `new`.
    """

    def __init__(self, renew: Callable[[ViewT, ViewT], ViewT] | None = None, **indices: Index[ViewT]) -> None:
        self._objects: dict[tuple[str, str], ViewT] = {}
        self._uids: dict[str, tuple[str, str]] = {}
        self._renew = renew
        self._indices = indices
        self._indexed: dict[str, dict[Hashable, dict[tuple[str, str], ViewT]]] = {name: {} for name in indices}
        self._observers: list[Observer[ViewT]] = []

    def __len__(self) -> int:
        """How many objects there are."""
        return len(self._objects)

    def __iter__(self) -> Iterator[ViewT]:
        """All objects, as of now."""
        return iter(list(self._objects.values()))

    def get(self, namespace: str, name: str) -> ViewT | None:
        """One object."""
        return self._objects.get((namespace, name))

    def by_uid(self, uid: str) -> ViewT | None:
        """The object of that life."""
        place = self._uids.get(uid)
        return None if place is None else self._objects.get(place)

    def indexed(self, index: str, key: Hashable) -> Collection[ViewT]:
        """The objects with that key; a live view, to be read at once."""
        return self._indexed[index].get(key, {}).values()

    def subscribe(self, observer: Observer[ViewT]) -> None:
        """Call observer(old, new) after each change; old None = added, new None = gone."""
        self._observers.append(observer)

    def put(self, view: ViewT) -> None:
        """What a list or a watch says, in its own order. Another life under the same name ends the former one first.

        The same version once more (a relist) is no news.
        """
        place = (view.metadata.namespace, view.metadata.name)
        old = self._objects.get(place)
        if old is not None and old.metadata.uid != view.metadata.uid:
            self.remove(*place)
            old = None
        if old is not None and "" != old.metadata.resource_version == view.metadata.resource_version:
            return
        if old is not None and self._renew is not None:
            view = self._renew(old, view)
        self._objects[place] = view
        self._uids[view.metadata.uid] = place
        for name, index in self._indices.items():
            key = index(view)
            if old is not None and index(old) != key:
                self._unindex(name, place, old)
            self._indexed[name].setdefault(key, {})[place] = view
        self._tell(old, view)

    def remove(self, namespace: str, name: str) -> None:
        """The object is gone."""
        place = (namespace, name)
        old = self._objects.pop(place, None)
        if old is None:
            return
        self._uids.pop(old.metadata.uid, None)
        for index in self._indices:
            self._unindex(index, place, old)
        self._tell(old, None)

    def _unindex(self, index: str, place: tuple[str, str], view: ViewT) -> None:
        key = self._indices[index](view)
        bucket = self._indexed[index].get(key)
        if bucket is not None:
            bucket.pop(place, None)
            if not bucket:
                del self._indexed[index][key]

    def _tell(self, old: ViewT | None, new: ViewT | None) -> None:
        for observer in self._observers:
            observer(old, new)


class Cache:
    """All kinds. Indices: nodes, jobs and pods `by_pool`, pods `by_node`, tasks `by_job`, each key (namespace, name); and jobs
    `by_schedule`, the key its uid (empty: of none), pools `by_owner`, the key the uid of what they were made for.
    """

    def __init__(self) -> None:
        self.pools: Store[PoolView] = Store(
            _with_former_spec,
            by_owner=lambda pool: pool.metadata.labels.get(names.LABEL_AUTO_POOL_OF, ""),
        )
        self.nodes: Store[PoolNodeView] = Store(by_pool=lambda node: (node.metadata.namespace, node.spec.pool_name))
        self.jobs: Store[JobView] = Store(
            by_pool=lambda job: (job.metadata.namespace, job.pool),
            by_schedule=lambda job: job.schedule.uid if job.schedule is not None else "",
        )
        self.packages: Store[ApplicationPackageView] = Store()
        self.schedules: Store[JobScheduleView] = Store()
        self.tasks: Store[TaskView] = Store(by_job=lambda task: (task.metadata.namespace, task.spec.job_name))
        self.policies: Store[NetworkPolicyView] = Store()
        self.budgets: Store[BudgetView] = Store()
        self.pods: Store[PodView] = Store(
            by_pool=lambda pod: (pod.metadata.namespace, pod.metadata.labels.get(names.LABEL_POOL, "")),
            by_node=lambda pod: (pod.metadata.namespace, pod.metadata.labels.get(names.LABEL_NODE, "")),
        )


def _with_former_spec(old: PoolView, new: PoolView) -> PoolView:
    """With the very same spec if it says the same: what was worked out of it (`core.pools.pod_hash`) holds on."""
    return replace(new, spec=old.spec) if new.spec == old.spec else new
