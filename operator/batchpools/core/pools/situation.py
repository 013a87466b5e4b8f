"""All that a decision about one pool may look at, frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchpools.core.views import PoolNodeView, PoolView


@dataclass(frozen=True, slots=True)
class PoolSituation:
    """A pool, its nodes, and what the ledger says of them.

    used_slots: by node name; slots: (total, used) of ready nodes; counts_due: the last write of counters is long enough ago.
    """

    pool: PoolView
    nodes: tuple[PoolNodeView, ...] = ()
    used_slots: Mapping[str, int] = field(default_factory=dict)
    slots: tuple[int, int] = (0, 0)
    counts_due: bool = True
