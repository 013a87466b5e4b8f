"""The scheduling cycle of one pool. Its cost follows what it binds and the nodes with room, not what waits."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

from batchpools.core.scheduling.book import PoolBook, WaitingTask
from batchpools.core.scheduling.ordering import turn
from batchpools.core.scheduling.placement import Room, place


@dataclass(frozen=True, slots=True)
class Binding:
    """A task goes to a node."""

    job: str
    task: WaitingTask
    node: str
    pod_uid: str


def schedule(book: PoolBook, rooms: Sequence[Room], fill: str) -> list[Binding]:
    """Bind what can be bound now. What is bound leaves the book, and its job is charged; `rooms` are not changed."""
    # 1 and 2: the runnable tasks are in the book, the nodes with room are copied
    free = [replace(room) for room in rooms if room.free > 0]
    # 3: whose turn it is
    order = [(turn(job), job.name) for job in book.jobs()] if free else []
    heapq.heapify(order)
    bindings: list[Binding] = []
    while order and free:
        name = order[0][1]
        queue = book.job(name)
        # 4: what of it fits into the largest room
        task = queue.oldest_fitting(max(room.free for room in free)) if queue is not None else None
        # 5: where it goes
        room = place(free, task.slots, fill) if task is not None else None
        if queue is None or task is None or room is None:
            heapq.heappop(order)
            continue
        # 6: bind
        bindings.append(Binding(name, task, room.node, room.pod_uid))
        room.free -= task.slots
        free = [one for one in free if one.free > 0]
        queue.given += task.slots
        book.remove(name, task.uid)
        heapq.heapreplace(order, (turn(queue), name))
    return bindings
