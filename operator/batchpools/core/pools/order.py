"""Decides in which order the nodes of a pool leave, or are renewed: those first that are missed least. Pure.

Source: overview ("Resize a pool": nodes with job managers go last); the rest of the order is ours (docs/decisions.md).
"""

from collections.abc import Collection, Mapping, Sequence

from batchpools.api.states import NodeState
from batchpools.core.pools.node_action import is_to_be_removed
from batchpools.core.views import PoolNodeView

_FAULTY = {NodeState.UNUSABLE, NodeState.START_TASK_FAILED, NodeState.DISCONNECTED, NodeState.UNKNOWN}
_ORDER: tuple[set[str], ...] = ({*_FAULTY, NodeState.PREEMPTED}, {NodeState.OFFLINE})  # then what starts, idles, runs
_USABLE = {NodeState.IDLE, NodeState.RUNNING}


def in_order(
    nodes: Sequence[PoolNodeView],
    used_slots: Mapping[str, int],
    first: frozenset[str] = frozenset(),
    managing: Collection[str] = (),
) -> list[PoolNodeView]:
    """Broken nodes first, then offline ones, those that start, idle ones, those that lose least, and last of all those with a job
    manager; of equals the newest number.

    used_slots: by name, as the book of runs has it now: a node that it calls busy is busy whatever its status says.
    first: uids of nodes that go before all others, as those do whose removal is asked for. managing: names of nodes with a job
    manager.
    """
    ordered = sorted(nodes, key=_number, reverse=True)
    ordered.sort(
        key=lambda node: (
            not is_to_be_removed(node) and node.metadata.uid not in first,
            node.metadata.name in managing,
            _rank(node, used_slots),
            used_slots.get(node.metadata.name, 0),
        )
    )
    return ordered


def _rank(node: PoolNodeView, used_slots: Mapping[str, int]) -> int:
    if used_slots.get(node.metadata.name, 0):
        return len(_ORDER) + 2
    state = node.status.state
    found = next((rank for rank, states in enumerate(_ORDER) if state in states), None)
    if found is not None:
        return found
    return len(_ORDER) + (state in _USABLE)


def _number(node: PoolNodeView) -> int:
    tail = node.metadata.name.rpartition("-")[2].removeprefix("l")
    return int(tail) if tail.isdigit() else -1
