"""What waits in one pool: jobs, and in each job its tasks by required slots. Every change costs a logarithm of what waits.

It knows order and counts, and decides nothing about nodes.
"""

import heapq
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class WaitingTask:
    """A task that could run. Ordered by age: (creation in Unix seconds, uid)."""

    created: float
    uid: str
    slots: int = field(compare=False)


class JobQueue:
    """The waiting tasks of one job. `given` are the slots that it got since it became runnable (equal chance)."""

    def __init__(self, name: str, priority: int, created: float, uid: str, given: int) -> None:
        self.name = name
        self.priority = priority
        self.created = created
        self.uid = uid
        self.given = given
        self._heaps: dict[int, list[WaitingTask]] = {}
        self._alive: dict[str, WaitingTask] = {}

    def __len__(self) -> int:
        """How many tasks wait."""
        return len(self._alive)

    def __contains__(self, uid: str) -> bool:
        """Whether a task waits here."""
        return uid in self._alive

    def add(self, task: WaitingTask) -> None:
        """Put a task in; twice is once."""
        if task.uid not in self._alive:
            self._alive[task.uid] = task
            heapq.heappush(self._heaps.setdefault(task.slots, []), task)

    def remove(self, uid: str) -> None:
        """Take a task out; its entry in the heap is passed over later."""
        self._alive.pop(uid, None)

    def oldest_fitting(self, free: int) -> WaitingTask | None:
        """The oldest task that needs at most `free` slots; it stays in."""
        best: WaitingTask | None = None
        for slots in list(self._heaps):
            head = self._head(slots)
            if slots <= free and head is not None and (best is None or head < best):
                best = head
        return best

    def ahead_of(self, uid: str) -> int:
        """How many tasks of this job are older; linear, for explanations only."""
        task = self._alive[uid]
        return sum(other < task for other in self._alive.values())

    def _head(self, slots: int) -> WaitingTask | None:
        heap = self._heaps[slots]
        while heap and self._alive.get(heap[0].uid) is not heap[0]:
            heapq.heappop(heap)
        if not heap:
            del self._heaps[slots]
            return None
        return heap[0]


class PoolBook:
    """The runnable jobs of one pool."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobQueue] = {}

    def __len__(self) -> int:
        """How many tasks wait."""
        return sum(len(job) for job in self._jobs.values())

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
            given = min((other.given for other in self._jobs.values() if other.priority == priority), default=0)
            queue = self._jobs[job] = JobQueue(job, priority, created, job_uid, given)
        queue.add(task)

    def remove(self, job: str, uid: str) -> None:
        """A task is runnable no more; a job without tasks goes with it."""
        queue = self._jobs.get(job)
        if queue is not None:
            queue.remove(uid)
            if not queue:
                del self._jobs[job]

    def reprioritize(self, job: str, priority: int) -> None:
        """The job's priority changed."""
        queue = self._jobs.get(job)
        if queue is not None:
            queue.priority = priority
