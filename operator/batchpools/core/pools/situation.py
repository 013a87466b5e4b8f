"""All that a decision about one pool may look at, frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchpools.core.autoscale.run import Step
from batchpools.core.pools.target import Target, target_of
from batchpools.core.views import PoolNodeView, PoolView


@dataclass(frozen=True, slots=True)
class PoolSituation:
    """A pool, its nodes, and what the ledger says of them.

    used_slots: by node name; slots: (total, used) of ready nodes; counts_due: the last write of counters is long enough ago.
    leaving: uids of nodes whose deletion was asked for, which the cache may not show yet; renewing: of nodes that were marked
    for a new pod, likewise. refusal: the API server's sentence for the last node that it did not make. closing: the
    namespace is being deleted. When the pool is to go, `nodes` without any are what the API server says. scaled: what
    autoscaling says of it now, if it was asked.
    """

    pool: PoolView
    nodes: tuple[PoolNodeView, ...] = ()
    used_slots: Mapping[str, int] = field(default_factory=dict)
    slots: tuple[int, int] = (0, 0)
    counts_due: bool = True
    leaving: frozenset[str] = frozenset()
    renewing: frozenset[str] = frozenset()
    refusal: str = ""
    closing: bool = False
    scaled: Step | None = None

    def is_leaving(self, node: PoolNodeView) -> bool:
        """Whether a node is on its way out: it counts no more, but keeps its name until it is gone."""
        return node.metadata.deletion_timestamp is not None or node.metadata.uid in self.leaving

    @property
    def target(self) -> Target:
        """The target in force."""
        return target_of(self.pool)

    @property
    def staying(self) -> tuple[PoolNodeView, ...]:
        """The nodes that are to stay."""
        return tuple(node for node in self.nodes if not self.is_leaving(node))
