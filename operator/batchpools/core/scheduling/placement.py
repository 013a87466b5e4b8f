"""Decides which of the nodes with room gets a task: Spread takes the emptiest, Pack the fullest that fits; ties by name."""

from collections.abc import Iterable
from dataclasses import dataclass

from batchpools.api.names import TASK_CONTAINER
from batchpools.api.states import NodeFillType
from batchpools.core.scheduling.book import Space, WaitingTask

ONLY_TASK = frozenset({TASK_CONTAINER})


@dataclass(slots=True)
class Room:
    """A node that takes tasks; a working copy, `free` shrinks as the cycle places. containers: those that its pod has;
    kept_for: uid of the one task that it is being made free for.
    """

    node: str
    pod_uid: str
    total: int
    free: int
    elevates: bool = True  # elevated tasks may go there
    containers: frozenset[str] = ONLY_TASK
    is_dedicated: bool = True
    kept_for: str = ""

    def suits(self, task: WaitingTask) -> bool:
        """Whether the task could run there, were nothing else there."""
        return (
            self.total >= task.slots
            and task.container in self.containers
            and (self.elevates or not task.elevated)
            and (self.is_dedicated or not task.dedicated)
            and self.kept_for in {"", task.uid}
        )

    def taken_by(self, task: WaitingTask) -> int:
        """Slots that the task takes there: all of them if nothing is to run beside it."""
        return self.total if task.exclusive else task.slots


def space_of(rooms: Iterable[Room]) -> Space:
    """The largest rooms of each sort."""
    free = elevating = empty = 0
    for room in rooms:
        free = max(free, room.free)
        if room.elevates:
            elevating = max(elevating, room.free)
        if room.free == room.total:
            empty = max(empty, room.free)
    return Space(free, elevating, empty)


def place(rooms: Iterable[Room], task: WaitingTask, fill: str) -> Room | None:
    """The node for a task."""
    fitting = [room for room in rooms if room.free >= room.taken_by(task) and room.suits(task)]
    if not fitting:
        return None
    if fill == NodeFillType.PACK:
        return min(fitting, key=lambda room: (room.free, room.node))
    return min(fitting, key=lambda room: (room.total - room.free, room.node))
