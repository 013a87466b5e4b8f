"""Decides which of the nodes with room gets a task: Spread takes the emptiest, Pack the fullest that fits; ties by name."""

from collections.abc import Iterable
from dataclasses import dataclass

from batchpools.api.names import TASK_CONTAINER
from batchpools.api.states import NodeFillType

ONLY_TASK = frozenset({TASK_CONTAINER})


@dataclass(slots=True)
class Room:
    """A node that takes tasks; a working copy, `free` shrinks as the cycle places. containers: those that its pod has."""

    node: str
    pod_uid: str
    total: int
    free: int
    elevates: bool = True  # elevated tasks may go there
    containers: frozenset[str] = ONLY_TASK


def place(
    rooms: Iterable[Room], slots: int, fill: str, container: str = TASK_CONTAINER, *, elevated: bool = False
) -> Room | None:
    """The node for a task of that many slots which runs in that container."""
    fitting = [
        room
        for room in rooms
        if room.free >= slots and container in room.containers and (room.elevates or not elevated)
    ]
    if not fitting:
        return None
    if fill == NodeFillType.PACK:
        return min(fitting, key=lambda room: (room.free, room.node))
    return min(fitting, key=lambda room: (room.total - room.free, room.node))
