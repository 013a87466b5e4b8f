"""The book itself: an entry for each task that has not ended, the queues of the pools, the nodes, the counts."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from batchpools.api.states import TaskState
from batchpools.controllers.task.nodes import Nodes, PoolKey
from batchpools.controllers.task.tally import Tally
from batchpools.core.identity import Key
from batchpools.core.scheduling.book import PoolBook, WaitingTask
from batchpools.core.scheduling.fit import (
    Question,
    Refusal,
    first_refusal,
    job_exists,
    job_is_active,
    pool_exists,
    slots_fit_the_pool,
)
from batchpools.core.tasks.lifecycle import TABLE, Bound, Ending, Held, Running, State, Waiting, name_of
from batchpools.core.transitions import check
from batchpools.core.views import JobView, TaskStatus, TaskView
from batchpools.kube.cache import Cache

_STORY_KEPT = 20
_ENTRY_CHECKS = (job_exists, job_is_active, pool_exists, slots_fit_the_pool)
_WITH_RUN = (Bound, Running, Ending)


@dataclass(slots=True)
class Entry:
    """A task that has not ended. `status` is what we last wrote or saw; `refusal` why it is in no queue."""

    view: TaskView
    status: TaskStatus
    since: float
    state: State = field(default_factory=Waiting)
    refusal: Refusal | None = None
    refusal_told: str = ""
    queued_in: PoolKey | None = None
    attempt: int = 0  # of the latest run that we sent or saw
    fresh: bool = True
    pending: "asyncio.Task[None] | None" = None  # a write that the next one must wait for
    deleted: bool = False
    losers: dict[str, str] = field(default_factory=dict)  # execution id -> pod uid: to be confirmed dead first
    story: list[str] = field(default_factory=lambda: ["Waiting"])

    @property
    def uid(self) -> str:
        """The task's uid."""
        return self.view.metadata.uid

    @property
    def key(self) -> Key:
        """The task's name."""
        return Key("Task", self.view.metadata.namespace, self.view.metadata.name)

    @property
    def job_key(self) -> tuple[str, str]:
        """The job it names."""
        return (self.view.metadata.namespace, self.view.spec.job_name)


class RunBook:
    """All entries. `wake_pool` and `wake_job` are called when there may be something to do."""

    def __init__(
        self, cache: Cache, wake_pool: Callable[[PoolKey], None], wake_job: Callable[[str, str], None]
    ) -> None:
        self.cache = cache
        self.entries: dict[str, Entry] = {}
        self.nodes = Nodes()
        self.tally = Tally()
        self.unheard: dict[
            PoolKey, dict[str, str]
        ] = {}  # pod uid -> node: may run what it was given by a former leader
        self.on_pod: dict[str, set[str]] = {}  # pod uid -> uids of entries with a run there
        self.ended_jobs: set[str] = set()  # uids
        self.held: set[str] = set()  # uids of entries in state Held
        self.leading = False
        self._pools: dict[PoolKey, PoolBook] = {}
        self._wake_pool = wake_pool
        self._wake_job = wake_job

    # ---------------------------------------------------------------- entries

    def move(self, entry: Entry, state: State) -> None:
        """Change the state of an entry, and everything that follows: slots, counts, queues. InvalidTransition otherwise."""
        before = entry.state
        meta = entry.view.metadata
        check(TABLE, f"task {meta.namespace}/{meta.name}", name_of(before), name_of(state), tuple(entry.story))
        entry.story = [*entry.story[-_STORY_KEPT:], name_of(state)]
        entry.state = state
        self.held.discard(entry.uid)
        if isinstance(before, _WITH_RUN):
            self._left_node(entry, before.pod_uid)
        if isinstance(state, _WITH_RUN):
            self._entered_node(entry, state.pod_uid)
        if isinstance(state, Waiting):
            self.enqueue(entry)
        else:
            self.dequeue(entry)
        self._wake_job(*entry.job_key)

    def drop(self, entry: Entry) -> None:
        """Forget an entry."""
        if isinstance(entry.state, _WITH_RUN):
            self._left_node(entry, entry.state.pod_uid)
        self.dequeue(entry)
        self.held.discard(entry.uid)
        self.entries.pop(entry.uid, None)
        self._wake_job(*entry.job_key)

    def _entered_node(self, entry: Entry, pod_uid: str) -> None:
        self.nodes.hold(pod_uid, entry.uid, entry.view.spec.required_slots)
        self.on_pod.setdefault(pod_uid, set()).add(entry.uid)
        self.tally.running(entry.view, 1)

    def _left_node(self, entry: Entry, pod_uid: str) -> None:
        self.nodes.free(pod_uid, entry.uid)
        self.tally.running(entry.view, -1)
        there = self.on_pod.get(pod_uid)
        if there is not None:
            there.discard(entry.uid)
            if not there:
                del self.on_pod[pod_uid]
        node = self.nodes.get(pod_uid)
        if node is not None:
            self._wake_pool(node.pool)

    # ---------------------------------------------------------------- queues

    def question(self, entry: Entry) -> Question:
        """What the chain of checks wants to know of a task."""
        namespace, job_name = entry.job_key
        job = self.cache.jobs.get(namespace, job_name)
        pool = self.cache.pools.get(namespace, job.spec.pool_name) if job is not None else None
        pool_key = (namespace, job.spec.pool_name) if job is not None else ("", "")
        unheard = list(self.unheard.get(pool_key, {}).values()) if isinstance(entry.state, Held) else []
        rooms = self.nodes.rooms(pool_key)
        return Question(job_name, entry.view.spec.required_slots, job, pool, rooms, unheard)

    def enqueue(self, entry: Entry) -> None:
        """Put a waiting entry into its pool's queue, or note why it is in none."""
        self.dequeue(entry)
        if not isinstance(entry.state, Waiting) or entry.deleted or entry.losers:
            return
        question = self.question(entry)
        entry.refusal = first_refusal(question, _ENTRY_CHECKS)
        job = question.job
        if entry.refusal is not None or job is None or job.metadata.uid in self.ended_jobs:
            return
        meta = entry.view.metadata
        created = meta.creation_timestamp.timestamp() if meta.creation_timestamp else 0.0
        waiting = WaitingTask(created, entry.uid, entry.view.spec.required_slots)
        key = (meta.namespace, job.spec.pool_name)
        born = job.metadata.creation_timestamp
        self._pools.setdefault(key, PoolBook()).add(
            job.metadata.name,
            waiting,
            priority=job.spec.priority,
            created=born.timestamp() if born else 0.0,
            job_uid=job.metadata.uid,
        )
        entry.queued_in = key
        self._wake_pool(key)

    def dequeue(self, entry: Entry) -> None:
        """Take an entry out of its queue, if it is in one."""
        if entry.queued_in is not None:
            book = self._pools.get(entry.queued_in)
            if book is not None:
                book.remove(entry.view.spec.job_name, entry.uid)
                if not len(book):
                    del self._pools[entry.queued_in]
            entry.queued_in = None

    def requeue_job(self, namespace: str, job: str) -> None:
        """A job or its pool changed: look again at all of its waiting tasks."""
        for view in list(self.cache.tasks.indexed("by_job", (namespace, job))):
            entry = self.entries.get(view.metadata.uid)
            if entry is not None and isinstance(entry.state, Waiting):
                self.enqueue(entry)

    def reprioritize(self, job: JobView) -> None:
        """A job's priority changed."""
        book = self._pools.get((job.metadata.namespace, job.spec.pool_name))
        if book is not None:
            book.reprioritize(job.metadata.name, job.spec.priority)

    def pool_book(self, pool: PoolKey) -> PoolBook | None:
        """The queue of a pool; None when nothing waits."""
        return self._pools.get(pool)

    def entry_of(self, namespace: str, name: str) -> Entry | None:
        """The entry of a task by name."""
        view = self.cache.tasks.get(namespace, name)
        return None if view is None else self.entries.get(view.metadata.uid)

    def clear(self) -> None:
        """Forget all that a leader knows; counts of what the cache holds stay."""
        self.entries.clear()
        self.nodes.clear()
        self.unheard.clear()
        self.on_pod.clear()
        self.ended_jobs.clear()
        self.held.clear()
        self._pools.clear()
        self.tally.reset_running()


def is_terminal(view: TaskView) -> bool:
    """Whether the API says that a task has ended."""
    return view.status.state == TaskState.COMPLETED
