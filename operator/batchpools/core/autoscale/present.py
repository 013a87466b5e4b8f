"""What the variables of a pool are now, from the leader's book and the pool's nodes; and the samples that a formula reads. Pure.

A waiting task counts as active when it could run: its job is active, its dependencies are satisfied, a node is large enough.
So a task that no node can hold does not make a pool grow without end.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from batchpools.api.states import NodeState
from batchpools.core.autoscale.history import History
from batchpools.core.autoscale.series import PERIOD, Series
from batchpools.core.autoscale.vocabulary import SAMPLED
from batchpools.core.ledger import PoolLoad
from batchpools.core.pools.emptying import is_marked
from batchpools.core.views import PoolNodeView, PoolView

_USABLE = {NodeState.IDLE, NodeState.RUNNING}

Values = Mapping[str, float]


def present_values(pool: PoolView, nodes: Sequence[PoolNodeView], load: PoolLoad) -> Values:
    """The counted variables by name. Nodes that leave are usable no more, but count as current until they are gone."""
    status = pool.status
    staying = [node for node in nodes if node.metadata.deletion_timestamp is None and not is_marked(node)]
    low_priority = min(status.current_low_priority_nodes, len(nodes))
    numbers = {
        "$ActiveTasks": load.active,
        "$RunningTasks": load.running,
        "$PendingTasks": load.active + load.running,
        "$SucceededTasks": load.succeeded,
        "$FailedTasks": load.failed,
        "$ActiveTaskSlots": load.active_slots,
        "$RunningTaskSlots": load.running_slots,
        "$PendingTaskSlots": load.active_slots + load.running_slots,
        "$WallClockSeconds": load.running * PERIOD,
        "$TaskSlotsPerNode": pool.spec.task_slots_per_node,
        "$CurrentDedicatedNodes": len(nodes) - low_priority,
        "$CurrentLowPriorityNodes": low_priority,
        "$PreemptedNodeCount": status.node_counts.get("preempted", 0),
        "$UsableNodeCount": sum(node.status.state in _USABLE for node in staying),
    }
    return {name: float(number) for name, number in numbers.items()}


class PoolSamples(Mapping[str, Series]):
    """By lower-case name of the variable. Made when asked for: a formula reads few of them."""

    def __init__(self, history: History, present: Callable[[], Values]) -> None:
        self._history = history
        self._count = present
        self._present: Values | None = None
        self._made: dict[str, Series] = {}

    def __getitem__(self, lower: str) -> Series:
        """The samples of one variable and what it is now."""
        if self._present is None:
            self._present = self._count()
        if lower not in self._made:
            name = SAMPLED[lower]
            self._made[lower] = self._history.series(name, self._present.get(name))
        return self._made[lower]

    def __iter__(self) -> Iterator[str]:
        """All variables that are sampled."""
        return iter(SAMPLED)

    def __len__(self) -> int:
        """How many there are."""
        return len(SAMPLED)
