"""Decides which runs end so that a job manager which must run again has room: of its own job, then of jobs of lower priority.

Source: overview and REST reference, JobManagerTask: highest priority within its job when it is restarted, and no priority over the
tasks of jobs of the same or a higher one. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from batchpools.core.scheduling.book import JobQueue, PoolBook
from batchpools.core.scheduling.placement import Room


@dataclass(frozen=True, slots=True)
class Holder:
    """A task that holds slots of a node. is_ending: its end was asked for; is_fixed: nobody may end it for this."""

    uid: str
    slots: int
    job: str
    priority: int
    attempt_began: float = 0.0
    is_ending: bool = False
    is_fixed: bool = False


@dataclass(frozen=True, slots=True)
class Occupied:
    """A node that takes tasks, and who holds its slots."""

    room: Room
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class Displacement:
    """A node that is made free, and whose runs end for it: uids of tasks."""

    pod_uid: str
    ended: tuple[str, ...]


def displace(book: PoolBook, queue: JobQueue, nodes: Sequence[Occupied]) -> Displacement | None:
    """Which node is made free for the manager of this job; None when it has to wait.

    What is made free would be taken by jobs of higher priority that wait, so nothing is as long as one does. The node is the one
    where least is lost: first of other jobs, then in slots.
    """
    manager = queue.manager
    if manager is None or not manager.again or any(other.priority > queue.priority for other in book.jobs()):
        return None
    best: tuple[tuple[int, int, str], Displacement] | None = None
    for node in nodes:
        if not node.room.suits(manager):
            continue
        chosen = _chosen(node, queue, node.room.taken_by(manager))
        if chosen is None:
            continue
        others = sum(one.slots for one in chosen if one.job != queue.name)
        cost = (others, sum(one.slots for one in chosen), node.room.node)
        if best is None or cost < best[0]:
            best = (cost, Displacement(node.room.pod_uid, tuple(one.uid for one in chosen)))
    return best[1] if best is not None else None


def _chosen(node: Occupied, queue: JobQueue, wanted: int) -> list[Holder] | None:
    """Whose runs end on this node, as few as are enough; None when not even all of them are."""
    free = node.room.free + sum(one.slots for one in node.holders if one.is_ending)
    may_end = [
        one
        for one in node.holders
        if not one.is_ending and not one.is_fixed and (one.job == queue.name or one.priority < queue.priority)
    ]
    chosen = []
    for one in sorted(may_end, key=lambda one: (one.job != queue.name, one.priority, -one.attempt_began, one.uid)):
        if free >= wanted:
            break
        chosen.append(one)
        free += one.slots
    return chosen if free >= wanted else None
