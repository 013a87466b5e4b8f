"""What each node has room for: its slots, which tasks hold them, and whether it takes more."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from batchpools.controllers.task.entry import PoolKey
from batchpools.core.scheduling.placement import ONLY_TASK, Room
from batchpools.core.scheduling.quarantine import Standing
from batchpools.hub.port import NodeIdentity
from batchpools.link.messages import NodeReport
from batchpools.link.words import NodePhase


@dataclass(slots=True)
class NodePage:
    """One pod of one node. It takes tasks when every word of it is right."""

    identity: NodeIdentity
    total: int = 0
    containers: frozenset[str] = ONLY_TASK  # those that its pod has; during an upgrade not all nodes have the same
    ready: bool = False  # its agent says so
    elevates: bool = False  # and that elevated tasks may run there
    fetches: bool = False  # and that it brings files
    heard: bool = False  # its inventory of the present epoch and session has come
    wanted: bool = False  # its PoolNode names this pod, and stays
    draining: bool = False
    cordoned: bool = False  # its pool has chosen it to leave
    paused: bool = False  # it refused a moment ago
    standing: Standing = field(default_factory=Standing)
    quarantined: bool = False  # it could not launch tasks, one after another
    vouched: bool = False  # it has our pong of this epoch and session
    set_aside: bool = False  # its status may say that it is disconnected
    strangers: set[str] = field(default_factory=set)  # live runs there that are no task's: their slots are not free
    holding: dict[str, int] = field(default_factory=dict)
    used: int = 0
    managers: set[str] = field(default_factory=set)  # those of `holding` that are managers of their jobs
    is_dedicated: bool = True

    @property
    def pool(self) -> PoolKey:
        """The pool it belongs to."""
        return (self.identity.namespace, self.identity.pool)

    @property
    def takes_tasks(self) -> bool:
        """Whether a run may be sent there now."""
        told = self.ready and self.heard and self.vouched
        return (
            told
            and self.wanted
            and not (self.draining or self.cordoned or self.paused or self.set_aside or self.strangers)
            and not self.quarantined
        )


class Nodes:
    """All nodes that the leader knows of, by pod uid."""

    def __init__(self) -> None:
        self._pages: dict[str, NodePage] = {}
        self._by_pool: dict[PoolKey, dict[str, NodePage]] = {}
        self._drained: set[str] = set()  # pod uids: also of pods that are not connected
        self._set_aside: set[str] = set()
        self._cordoned: dict[PoolKey, frozenset[str]] = {}

    def __iter__(self) -> Iterator[NodePage]:
        """All pages."""
        return iter(list(self._pages.values()))

    def get(self, pod_uid: str) -> NodePage | None:
        """One node."""
        return self._pages.get(pod_uid)

    def know(self, identity: NodeIdentity) -> NodePage:
        """The node's page, made when it is new."""
        page = self._pages.get(identity.pod_uid)
        if page is None:
            uid = identity.pod_uid
            page = NodePage(identity, draining=uid in self._drained, set_aside=uid in self._set_aside)
            page.cordoned = uid in self.cordoned(page.pool)
            self._pages[identity.pod_uid] = page
            self._by_pool.setdefault(page.pool, {})[identity.pod_uid] = page
        return page

    def reported(self, identity: NodeIdentity, report: NodeReport) -> NodePage:
        """The agent says how it stands."""
        page = self.know(identity)
        page.total = report.slots
        page.elevates = report.elevates
        page.fetches = report.fetches
        page.containers = frozenset(report.containers)
        page.ready = report.phase == NodePhase.READY
        return page

    def drain(self, pod_uid: str) -> None:
        """It takes no more tasks, until it is resumed."""
        self._drained.add(pod_uid)
        page = self._pages.get(pod_uid)
        if page is not None:
            page.draining = True

    def resume(self, pod_uid: str) -> None:
        """It takes tasks again."""
        self._drained.discard(pod_uid)
        page = self._pages.get(pod_uid)
        if page is not None:
            page.draining = False

    def is_draining(self, pod_uid: str) -> bool:
        """Whether it takes no more tasks."""
        return pod_uid in self._drained

    def cordon(self, pool: PoolKey, pod_uids: frozenset[str]) -> bool:
        """Exactly these nodes of the pool take no tasks, since they are to leave; whether one of before takes tasks again."""
        before = self._cordoned.pop(pool, frozenset())
        if pod_uids:
            self._cordoned[pool] = pod_uids
        for page in self._by_pool.get(pool, {}).values():
            page.cordoned = page.identity.pod_uid in pod_uids
        return not before <= pod_uids

    def cordoned(self, pool: PoolKey) -> frozenset[str]:
        """The pods of the pool that were last said to leave."""
        return self._cordoned.get(pool, frozenset())

    def set_aside(self, pod_uid: str, is_so: bool) -> None:
        """Whether it takes no tasks because its status may say that it is disconnected."""
        (self._set_aside.add if is_so else self._set_aside.discard)(pod_uid)
        page = self._pages.get(pod_uid)
        if page is not None:
            page.set_aside = is_so

    def is_set_aside(self, pod_uid: str) -> bool:
        """Whether it takes no tasks for that reason."""
        return pod_uid in self._set_aside

    def forget(self, pod_uid: str) -> None:
        """The pod is dead and nothing is held on it."""
        page = self._pages.pop(pod_uid, None)
        if page is not None:
            pool = self._by_pool[page.pool]
            del pool[pod_uid]
            if not pool:
                del self._by_pool[page.pool]

    def hold(self, pod_uid: str, task_uid: str, slots: int, *, manages: bool = False) -> None:
        """A task takes its slots; twice is once. manages: it is its job's manager."""
        page = self._pages.get(pod_uid)
        if page is not None and task_uid not in page.holding:
            page.holding[task_uid] = slots
            page.used += slots
            if manages:
                page.managers.add(task_uid)

    def free(self, pod_uid: str, task_uid: str) -> None:
        """A task gives its slots back; twice is once."""
        page = self._pages.get(pod_uid)
        if page is not None:
            page.used -= page.holding.pop(task_uid, 0)
            page.managers.discard(task_uid)

    def of_pool(self, pool: PoolKey) -> list[NodePage]:
        """The nodes of a pool."""
        return list(self._by_pool.get(pool, {}).values())

    def rooms(self, pool: PoolKey, *, any_elevates: bool = False) -> list[Room]:
        """The nodes of a pool that take tasks. any_elevates: an elevated one is not to wait for a node that takes it."""
        return [
            Room(
                page.identity.node,
                page.identity.pod_uid,
                page.total,
                page.total - page.used,
                any_elevates or page.elevates,
                page.containers,
                page.is_dedicated,
                fetches=page.fetches,
            )
            for page in self.of_pool(pool)
            if page.takes_tasks
        ]

    def clear(self) -> None:
        """Nothing is known any more."""
        self._pages.clear()
        self._by_pool.clear()
        self._drained.clear()
        self._set_aside.clear()
        self._cordoned.clear()
