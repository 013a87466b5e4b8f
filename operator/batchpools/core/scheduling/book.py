"""What waits in one pool: jobs, and in each job its tasks by required slots. Every change costs a logarithm of what waits.

While a job's manager waits none of the job's other tasks goes: it is what they wait for.

It knows order and counts, and decides nothing about nodes. Heaps are cleaned when their heads are looked at: an entry counts
only as long as it says what is true now.
"""

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

from batchpools.api.names import TASK_CONTAINER
from batchpools.core.scheduling.ordering import MANAGER, ORDINARY, Turn, turn_of

_KEPT_AT_LEAST = 32


class Space(NamedTuple):
    """Slots of the largest room that there is: of any, of a node for elevated tasks, of a node on which nothing runs."""

    free: int
    elevating: int
    empty: int


class Need(NamedTuple):
    """What a task takes of a node; `elevated`: not every node has it; `exclusive`: nothing runs beside it."""

    slots: int
    elevated: bool = False
    exclusive: bool = False

    def fits(self, space: Space) -> bool:
        """Whether a room may have it: one of each sort is large enough."""
        has_room = self.slots <= (space.elevating if self.elevated else space.free)
        return has_room and (not self.exclusive or self.slots <= space.empty)


@dataclass(frozen=True, slots=True, order=True)
class WaitingTask:
    """A task that could run. Ordered by rank and age: (rank, creation in Unix seconds, uid).

    dedicated: no low-priority node takes it; fetches: files are brought for it; again: it has run before; of an exclusive one
    `whole` are the slots of a node, for nothing else runs there.
    """

    rank: int = field(default=ORDINARY, kw_only=True)
    created: float
    uid: str
    slots: int = field(compare=False)
    elevated: bool = field(default=False, compare=False)
    container: str = field(default=TASK_CONTAINER, compare=False)
    exclusive: bool = field(default=False, compare=False, kw_only=True)
    dedicated: bool = field(default=False, compare=False, kw_only=True)
    again: bool = field(default=False, compare=False, kw_only=True)
    whole: int = field(default=0, compare=False, kw_only=True)
    fetches: bool = field(default=False, compare=False, kw_only=True)

    @property
    def need(self) -> Need:
        """What it takes."""
        return Need(self.slots, self.elevated, self.exclusive)

    @property
    def manages(self) -> bool:
        """Whether it is its job's manager."""
        return self.rank == MANAGER


class JobQueue:
    """The waiting tasks of one job. `given` are the slots that it got since it became runnable (equal chance)."""

    def __init__(self, name: str, priority: int, created: float, uid: str, given: int) -> None:
        self.name = name
        self.priority = priority
        self.created = created
        self.uid = uid
        self.given = given
        self.manager: WaitingTask | None = None  # when it waits
        self.closed = False  # nothing of it goes in this cycle
        self._heaps: dict[Need, list[WaitingTask]] = {}
        self._counts: dict[Need, int] = {}
        self._alive: dict[str, WaitingTask] = {}

    def __len__(self) -> int:
        """How many tasks wait."""
        return len(self._alive)

    def __contains__(self, uid: str) -> bool:
        """Whether a task waits here."""
        return uid in self._alive

    @property
    def turn(self) -> Turn:
        """When it is this job's turn; smaller comes first."""
        return turn_of(self.priority, self.given, self.created, self.uid)

    def sizes(self) -> list[Need]:
        """What those of its tasks need that could go now."""
        return [need for need in self._counts if self.offers(need)]

    @property
    def slots(self) -> int:
        """The slots that its tasks need together."""
        beside = max(self.manager.whole - self.manager.slots, 0) if self.manager is not None else 0
        return sum(need.slots * count for need, count in self._counts.items()) + beside

    def wants(self, need: Need) -> bool:
        """Whether a task waits that needs exactly that."""
        return need in self._counts

    def offers(self, need: Need) -> bool:
        """Whether a task that needs exactly that could go now; while its manager waits, that one alone."""
        if self.closed:
            return False
        return need in self._counts if self.manager is None else need == self.manager.need

    def add(self, task: WaitingTask) -> None:
        """Put a task in; twice is once."""
        if task.uid in self._alive:
            return
        need = task.need
        if task.manages:
            self.manager = task
        self._alive[task.uid] = task
        self._counts[need] = self._counts.get(need, 0) + 1
        heap = self._heaps.setdefault(need, [])
        heapq.heappush(heap, task)
        if len(heap) > 2 * self._counts[need] + _KEPT_AT_LEAST:
            self._heaps[need] = sorted(one for one in self._alive.values() if one.need == need)

    def remove(self, uid: str) -> WaitingTask | None:
        """Take a task out; its entry in the heap is passed over later."""
        task = self._alive.pop(uid, None)
        if task is not None:
            if self.manager is task:
                self.manager = None
            need = task.need
            self._counts[need] -= 1
            if not self._counts[need]:
                del self._counts[need], self._heaps[need]
        return task

    def oldest_fitting(self, space: Space) -> WaitingTask | None:
        """The first task of those that could go into such rooms; it stays in."""
        fitting = [need for need in self._counts if self.offers(need) and need.fits(space)]
        return self.manager if self.manager is not None and fitting else min(map(self._head, fitting), default=None)

    def ahead_of(self, uid: str) -> int:
        """How many tasks of this job come before; linear, for explanations only."""
        task = self._alive[uid]
        return sum(other < task for other in self._alive.values())

    def _head(self, need: Need) -> WaitingTask:
        heap = self._heaps[need]
        while self._alive.get(heap[0].uid) is not heap[0]:
            heapq.heappop(heap)
        return heap[0]


class PoolBook:
    """The runnable jobs of one pool."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobQueue] = {}
        self._waiting = 0
        self._managed: dict[str, None] = {}  # jobs whose manager waits
        self._by_size: dict[Need, list[tuple[Turn, str]]] = {}  # heap of the jobs with such tasks
        self._by_given: dict[int, list[tuple[int, str]]] = {}  # priority -> heap of (given, job)

    def __len__(self) -> int:
        """How many tasks wait."""
        return self._waiting

    @property
    def slots(self) -> int:
        """The slots that all tasks need together."""
        return sum(job.slots for job in self._jobs.values())

    def jobs(self) -> list[JobQueue]:
        """Jobs with something to run."""
        return list(self._jobs.values())

    def job(self, name: str) -> JobQueue | None:
        """One runnable job."""
        return self._jobs.get(name)

    def add(self, job: str, task: WaitingTask, *, priority: int, created: float, job_uid: str) -> None:
        """A task became runnable. A job that becomes runnable with it starts at the present minimum of its priority."""
        queue = self._jobs.get(job)
        if queue is None:
            queue = self._jobs[job] = JobQueue(job, priority, created, job_uid, self._least_given(priority))
            heapq.heappush(self._by_given.setdefault(priority, []), (queue.given, job))
        before = len(queue)
        is_first_of_size = not queue.wants(task.need)
        queue.add(task)
        if task.manages:
            self._managed[job] = None
        self._waiting += len(queue) - before
        if is_first_of_size:
            heapq.heappush(self._by_size.setdefault(task.need, []), (queue.turn, job))

    def remove(self, job: str, uid: str) -> WaitingTask | None:
        """A task is runnable no more; a job without tasks goes with it. The task, if it was here."""
        queue = self._jobs.get(job)
        task = queue.remove(uid) if queue is not None else None
        if queue is None or task is None:
            return None
        self._waiting -= 1
        if not queue:
            del self._jobs[job]
        if task.manages:
            self._managed.pop(job, None)
            if queue:
                self._reorder(queue)  # the others may go now
        return task

    def managed(self) -> list[JobQueue]:
        """Jobs whose manager waits."""
        return [self._jobs[name] for name in self._managed]

    def close(self, job: str) -> None:
        """Nothing of this job goes before it is opened again: its manager fits nowhere."""
        self._jobs[job].closed = True

    def open(self, job: str) -> None:
        """It is looked at again."""
        self._jobs[job].closed = False
        self._reorder(self._jobs[job])

    def charge(self, job: str, slots: int) -> None:
        """The job was given slots: others of its priority come first now."""
        queue = self._jobs.get(job)
        if queue is not None:
            queue.given += slots
            self._reorder(queue)

    def reprioritize(self, job: str, priority: int) -> None:
        """The job's priority changed: among its new equals it is a newcomer."""
        queue = self._jobs.get(job)
        if queue is not None and queue.priority != priority:
            queue.given = self._least_given(priority)
            queue.priority = priority
            self._reorder(queue)

    def next_job(self, space: Space) -> JobQueue | None:
        """The job whose turn it is, of those with a task that could go into such rooms."""
        fitting = [need for need in self._by_size if need.fits(space)]
        heads = [head for need in fitting if (head := self._first(need)) is not None]
        return self._jobs[min(heads)[1]] if heads else None

    def _first(self, need: Need) -> tuple[Turn, str] | None:
        """The first job with tasks of this size. What its heap says of former times is dropped."""
        heap = self._by_size[need]
        while heap:
            turn, name = heap[0]
            queue = self._jobs.get(name)
            if queue is not None and queue.offers(need) and queue.turn == turn:
                return heap[0]
            heapq.heappop(heap)
        del self._by_size[need]
        return None

    def _least_given(self, priority: int) -> int:
        """The fewest slots that a runnable job of this priority was given; 0 when there is none."""
        heap = self._by_given.get(priority, [])
        while heap:
            given, name = heap[0]
            queue = self._jobs.get(name)
            if queue is not None and (queue.priority, queue.given) == (priority, given):
                return given
            heapq.heappop(heap)
        self._by_given.pop(priority, None)
        return 0

    def _reorder(self, queue: JobQueue) -> None:
        heapq.heappush(self._by_given.setdefault(queue.priority, []), (queue.given, queue.name))
        for slots in queue.sizes():
            heapq.heappush(self._by_size.setdefault(slots, []), (queue.turn, queue.name))
