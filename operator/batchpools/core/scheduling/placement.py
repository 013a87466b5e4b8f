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
    fetches: bool = True  # its agent brings files; one of an earlier release does not
    kept_for: str = ""

    def suits(self, task: WaitingTask) -> bool:
        """Whether the task could run there, were nothing else there."""
        return (
            self.total >= task.slots
            and task.container in self.containers
            and (self.elevates or not task.elevated)
            and (self.is_dedicated or not task.dedicated)
            and (self.fetches or not task.fetches)
            and self.kept_for in {"", task.uid}
        )

    def takes(self, task: WaitingTask) -> bool:
        """Whether it can run there now."""
        return self.free >= self.taken_by(task) and self.suits(task)

    def taken_by(self, task: WaitingTask) -> int:
        """Slots that the task takes there: all of them if nothing is to run beside it."""
        return self.total if task.exclusive else task.slots


def space_of(rooms: Iterable[Room]) -> Space:
    """The largest rooms of each sort."""
    free = elevating = empty = 0
    for room in rooms:  # the innermost loop of a cycle
        slots = room.free
        if slots > free:  # noqa: PLR1730 (a call of max costs more than the rest of the loop)
            free = slots
        if slots > elevating and room.elevates:
            elevating = slots
        if slots > empty and slots == room.total:
            empty = slots
    return Space(free, elevating, empty)


def place(rooms: Iterable[Room], task: WaitingTask, fill: str) -> Room | None:
    """The node for a task."""
    slots = task.slots
    roomy = [room for room in rooms if room.free >= slots]
    order = _fullest if fill == NodeFillType.PACK else _emptiest
    best = min(roomy, key=order, default=None)
    if best is None or best.takes(task):
        return best
    return next((room for room in sorted(roomy, key=order) if room.takes(task)), None)


def _fullest(room: Room) -> tuple[int, str]:
    return (room.free, room.node)


def _emptiest(room: Room) -> tuple[int, str]:
    return (room.total - room.free, room.node)
