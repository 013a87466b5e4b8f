"""What each node has room for: its slots, and which tasks hold them."""

from dataclasses import dataclass, field

from batchpools.api.reasons import RequeueReason
from batchpools.core.ledger import NodeRuns
from batchpools.core.scheduling.placement import Room
from batchpools.hub.port import NodeIdentity
from batchpools.link.messages import NodeReport
from batchpools.link.words import NodePhase

PoolKey = tuple[str, str]


@dataclass(slots=True)
class NodeBook:
    """One pod of one node. heard: its inventory of the present epoch has come."""

    identity: NodeIdentity
    total: int = 0
    ready: bool = False
    heard: bool = False
    draining: RequeueReason | None = None
    holding: dict[str, int] = field(default_factory=dict)
    used: int = 0
    run: int = 0
    succeeded: int = 0

    @property
    def pool(self) -> PoolKey:
        """The pool it belongs to."""
        return (self.identity.namespace, self.identity.pool)


class Nodes:
    """All nodes that the leader knows of, by pod uid."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeBook] = {}
        self._by_pool: dict[PoolKey, dict[str, NodeBook]] = {}

    def get(self, pod_uid: str) -> NodeBook | None:
        """One node."""
        return self._nodes.get(pod_uid)

    def know(self, identity: NodeIdentity) -> NodeBook:
        """The node's page, made when it is new."""
        node = self._nodes.get(identity.pod_uid)
        if node is None:
            node = self._nodes[identity.pod_uid] = NodeBook(identity)
            self._by_pool.setdefault(node.pool, {})[identity.pod_uid] = node
        return node

    def reported(self, identity: NodeIdentity, report: NodeReport) -> NodeBook:
        """The agent says how it stands."""
        node = self.know(identity)
        node.total = report.slots
        node.ready = report.phase == NodePhase.READY
        return node

    def forget(self, pod_uid: str) -> None:
        """The pod is dead and nothing is held on it."""
        node = self._nodes.pop(pod_uid, None)
        if node is not None:
            pool = self._by_pool[node.pool]
            del pool[pod_uid]
            if not pool:
                del self._by_pool[node.pool]

    def hold(self, pod_uid: str, task_uid: str, slots: int) -> None:
        """A task takes its slots; twice is once."""
        node = self._nodes.get(pod_uid)
        if node is not None and task_uid not in node.holding:
            node.holding[task_uid] = slots
            node.used += slots

    def free(self, pod_uid: str, task_uid: str) -> None:
        """A task gives its slots back; twice is once."""
        node = self._nodes.get(pod_uid)
        if node is not None:
            node.used -= node.holding.pop(task_uid, 0)

    def of_pool(self, pool: PoolKey) -> list[NodeBook]:
        """The nodes of a pool."""
        return list(self._by_pool.get(pool, {}).values())

    def rooms(self, pool: PoolKey) -> list[Room]:
        """The nodes of a pool that take tasks."""
        return [
            Room(node.identity.node, node.identity.pod_uid, node.total, node.total - node.used)
            for node in self.of_pool(pool)
            if node.ready and node.heard and node.draining is None
        ]

    def runs(self, pod_uid: str) -> NodeRuns:
        """What a node does and did."""
        node = self._nodes.get(pod_uid)
        if node is None:
            return NodeRuns()
        return NodeRuns(node.used, len(node.holding), node.run, node.succeeded)

    def clear(self) -> None:
        """Nothing is known any more."""
        self._nodes.clear()
        self._by_pool.clear()
