"""The scheduling cycle of one pool. Its cost follows what it binds and the nodes with room, not what waits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from batchpools.core.scheduling.book import JobQueue, PoolBook, WaitingTask
from batchpools.core.scheduling.placement import Room, place, space_of

MOST_PASSED_OVER = 1000  # tasks in one cycle, so that those which wait for an upgrade cost no more than that


@dataclass(frozen=True, slots=True)
class Binding:
    """A task goes to a node."""

    job: str
    task: WaitingTask
    node: str
    pod_uid: str


def schedule(book: PoolBook, rooms: Sequence[Room], fill: str) -> list[Binding]:
    """Bind what can be bound now. What is bound leaves the book, and its job is charged; `rooms` are not changed.

    A task whose container no free node has (the pool's template has it, pods of before have not), or whose files none brings,
    is passed over; a manager that fits nowhere keeps its job waiting.
    Why the rest waits is asked for one task at a time (`explain`): to say it for all would cost what waits.
    """
    # 1 and 2: the runnable tasks are in the book; the nodes with room are copied
    free = [replace(room) for room in rooms if room.free > 0]
    bindings: list[Binding] = []
    passed: list[tuple[JobQueue, WaitingTask]] = []
    closed: list[str] = []
    while free:
        # 3 and 4: whose turn it is, among jobs with something that fits into the largest room; its oldest such task
        space = space_of(free)
        queue = book.next_job(space)
        task = queue.oldest_fitting(space) if queue is not None else None
        # 5: where it goes, on the working copy
        if queue is None or task is None or len(passed) + len(closed) > MOST_PASSED_OVER:
            break
        room = place(free, task, fill)
        if room is None and task.manages:
            closed.append(queue.name)
            book.close(queue.name)
            continue
        if room is None:
            passed.append((queue, task))
            book.remove(queue.name, task.uid)
            continue
        # 6: bind
        bindings.append(Binding(queue.name, task, room.node, room.pod_uid))
        taken = room.taken_by(task)
        room.free -= taken
        if room.free <= 0:
            free.remove(room)
        book.charge(queue.name, taken)
        book.remove(queue.name, task.uid)
    for queue, task in passed:
        book.add(queue.name, task, priority=queue.priority, created=queue.created, job_uid=queue.uid)
    for name in closed:
        book.open(name)
    return bindings
