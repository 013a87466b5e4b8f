"""Decides which nodes a pool makes and which leave it. Deterministic: a node takes the lowest free number. Pure."""

from collections.abc import Mapping, Sequence

from batchpools.api.states import NodeState
from batchpools.core.views import PoolNodeView

NODES_PER_PLAN = 50

_STARTING = {NodeState.CREATING, NodeState.STARTING, NodeState.WAITING_FOR_START_TASK}
_FAULTY = {NodeState.UNUSABLE, NodeState.START_TASK_FAILED, NodeState.DISCONNECTED, NodeState.UNKNOWN}


def node_name(pool: str, number: int) -> str:
    """`<pool>-0003`."""
    return f"{pool}-{number:04d}"


def names_to_make(pool: str, taken: set[str], count: int) -> list[str]:
    """Names for `count` new nodes: the lowest numbers that no node holds, also none that is still leaving."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        name = node_name(pool, number)
        if name not in taken:
            found.append(name)
        number += 1
    return found


def nodes_to_leave(nodes: Sequence[PoolNodeView], count: int, used_slots: Mapping[str, int]) -> list[PoolNodeView]:
    """Faulty ones first, then those that start, then idle ones, then those that lose least; of equals the newest number."""
    ordered = sorted(nodes, key=_number, reverse=True)
    ordered.sort(key=lambda node: (_rank(node, used_slots), used_slots.get(node.metadata.name, 0)))
    return ordered[:count]


def _rank(node: PoolNodeView, used_slots: Mapping[str, int]) -> int:
    if used_slots.get(node.metadata.name, 0):
        return 3
    state = node.status.state
    if state in _FAULTY:
        return 0
    return 1 if state in _STARTING else 2


def _number(node: PoolNodeView) -> int:
    tail = node.metadata.name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1
