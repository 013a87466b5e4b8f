"""The book itself: an entry for each task that has not ended, the queues of the pools, the nodes, the counts.

`move` is the only way in which an entry changes its state: slots, counts and queues follow from it.
"""

from collections.abc import Callable

from batchpools.api.reasons import Reason
from batchpools.api.states import JobState, TaskState
from batchpools.controllers.task.claims import Claims
from batchpools.controllers.task.entry import Entry, JobKey, PoolKey, created_at
from batchpools.controllers.task.nodes import Nodes
from batchpools.controllers.task.records import Records
from batchpools.controllers.task.tally import Tally
from batchpools.core.jobs.manager import manages
from batchpools.core.scheduling.book import PoolBook, WaitingTask
from batchpools.core.scheduling.fit import (
    Question,
    container_exists,
    first_refusal,
    job_exists,
    job_is_active,
    manager_was_made,
    pool_exists,
    slots_fit_the_pool,
)
from batchpools.core.scheduling.ordering import MANAGER, ORDINARY
from batchpools.core.tasks.lifecycle import TABLE, Done, Held, State, Waiting, holds_slots, name_of, pod_of
from batchpools.core.transitions import check
from batchpools.core.views import JobManagerTask, JobView, PoolView, TaskView
from batchpools.kube.cache import Cache

_STORY_KEPT = 20
_ENTRY_CHECKS = (job_exists, job_is_active, manager_was_made, pool_exists, container_exists, slots_fit_the_pool)
_ENDED = {JobState.COMPLETED, JobState.TERMINATING}


class RunBook:
    """All entries. `wake_pool` and `wake_job` are called when there may be something to do.

    `on_job_ended(entry)` is called for a task that waits although its job has ended, `on_no_container(entry)` for one whose
    container its pool, as the cache has it, does not have.
    """

    def __init__(
        self,
        cache: Cache,
        monotonic: Callable[[], float],
        wake_pool: Callable[[PoolKey], None],
        wake_job: Callable[[str, str], None],
    ) -> None:
        self.cache = cache
        self.entries: dict[str, Entry] = {}
        self.nodes = Nodes()
        self.records = Records()
        self.tally = Tally()
        self.claims = Claims()
        self.held: dict[str, None] = {}  # uids of entries in state Held, in order
        self.leading = False
        self.epoch = 0
        self.on_job_ended: Callable[[Entry], None] = lambda _: None
        self.on_no_container: Callable[[Entry], None] = lambda _: None
        self._on_pod: dict[str, set[str]] = {}  # pod uid -> uids of entries with something to confirm there
        self._losing: set[str] = set()  # uids of entries with losers
        self._pools: dict[PoolKey, PoolBook] = {}
        self._monotonic = monotonic
        self.wake_pool = wake_pool
        self._wake_job = wake_job

    # ---------------------------------------------------------------- entries

    def enter(self, entry: Entry) -> None:
        """A new line."""
        self.entries[entry.uid] = entry
        self._note_held(entry)

    def move(self, entry: Entry, state: State) -> None:
        """Change the state of an entry, and everything that follows from it. InvalidTransition otherwise."""
        meta = entry.view.metadata
        check(TABLE, f"task {meta.namespace}/{meta.name}", name_of(entry.state), name_of(state), entry.story)
        entry.story = (*entry.story[-_STORY_KEPT:], name_of(state))
        entry.state = state
        self._note_held(entry)
        counts = bool(pod_of(state)) or (isinstance(state, Done) and entry.counted)
        self._place(entry, pod_of(state), pod_of(state) if holds_slots(state) else "", counted=counts)
        if isinstance(state, Waiting):
            entry.since = self._monotonic()
            self.enqueue(entry)
        else:
            self.dequeue(entry)
        self._wake_job(*entry.job_key)

    def drop(self, entry: Entry) -> None:
        """Forget an entry. A new task of the same id that had to wait for it may go on."""
        self._place(entry, "", "", counted=False)
        self.dequeue(entry)
        self.held.pop(entry.uid, None)
        self._losing.discard(entry.uid)
        self.entries.pop(entry.uid, None)
        heir = self.entries.get(self.claims.left(entry.view))
        if heir is not None:
            self.enqueue(heir)
        self._wake_job(*entry.job_key)

    def on_pod(self, pod_uid: str) -> list[Entry]:
        """Entries with something to confirm or to write for this pod."""
        return [self.entries[uid] for uid in sorted(self._on_pod.get(pod_uid, ()))]  # in an order that a replay repeats

    def lose(self, entry: Entry, execution_id: str, pod_uid: str) -> None:
        """A run that is not the task's: nothing else happens to the task before its end is confirmed."""
        entry.losers[execution_id] = pod_uid
        self._losing.add(entry.uid)
        self.enqueue(entry)

    def lost(self, entry: Entry, execution_id: str) -> bool:
        """Such a run has ended; False when it was none."""
        if entry.losers.pop(execution_id, None) is None:
            return False
        if not entry.losers:
            self._losing.discard(entry.uid)
            self.enqueue(entry)
        return True

    def losers_on(self, pod_uid: str) -> list[tuple[Entry, str]]:
        """Runs on this pod that are to end, with the tasks that they are not of."""
        losing = [self.entries[uid] for uid in sorted(self._losing)]
        return [(entry, one) for entry in losing for one, pod in entry.losers.items() if pod == pod_uid]

    def _note_held(self, entry: Entry) -> None:
        self.held.pop(entry.uid, None)
        if isinstance(entry.state, Held):
            self.held[entry.uid] = None

    def _place(self, entry: Entry, pod: str, slots_on: str, *, counted: bool) -> None:
        """Where an entry stands now: pod, slots, count."""
        if pod != entry.pod:
            there = self._on_pod.get(entry.pod, set())
            there.discard(entry.uid)
            if not there:
                self._on_pod.pop(entry.pod, None)
            if pod:
                self._on_pod.setdefault(pod, set()).add(entry.uid)
            entry.pod = pod
        if slots_on != entry.slots_on:
            self._free(entry)
            if slots_on:
                self._hold(entry, slots_on)
            entry.slots_on = slots_on
        if counted != entry.counted:
            self.tally.running(entry.view, 1 if counted else -1)
            entry.counted = counted

    def _hold(self, entry: Entry, pod_uid: str) -> None:
        """An exclusive manager takes all slots of its node: nothing runs beside it."""
        manager, page = self.manager(entry), self.nodes.get(pod_uid)
        alone = page is not None and manager is not None and manager.run_exclusive
        slots = page.total if page is not None and alone else entry.view.spec.required_slots
        self.nodes.hold(pod_uid, entry.uid, slots, manages=manager is not None)

    def _free(self, entry: Entry) -> None:
        self.nodes.free(entry.slots_on, entry.uid)
        page = self.nodes.get(entry.slots_on)
        if page is not None:
            self.wake_pool(page.pool)

    # ---------------------------------------------------------------- queues

    def question(self, entry: Entry, live_pool: PoolView | None = None) -> Question:
        """What the checks want to know of a task, nodes apart (`nodes` costs what the pool has of them).

        live_pool: its pool as the API server has it, in place of the cache's.
        """
        namespace, job_name = entry.job_key
        job = self.cache.jobs.get(namespace, job_name)
        pool = live_pool or (self.cache.pools.get(namespace, job.pool) if job is not None else None)
        spec = entry.view.spec
        manager = manages(entry.view, job)
        fetches = bool(spec.resource_files)
        return Question(
            job_name, spec.required_slots, job, pool, container=spec.container, fetches=fetches, manager=manager
        )

    def manager(self, entry: Entry) -> JobManagerTask | None:
        """What is said of the task beside, if it is its job's manager."""
        return manages(entry.view, self.cache.jobs.get(*entry.job_key))

    def pool_of(self, job: JobKey) -> PoolKey | None:
        """The pool of a job; None when the cache has no such job."""
        view = self.cache.jobs.get(*job)
        return None if view is None else (job[0], view.pool)

    def enqueue(self, entry: Entry) -> None:
        """Put a waiting entry into its pool's queue, or note why it is in none."""
        if not isinstance(entry.state, Waiting) or entry.deleted or entry.losers or self.claims.must_wait(entry.view):
            self.dequeue(entry)
            return
        question = self.question(entry)
        entry.refusal = first_refusal(question, _ENTRY_CHECKS)
        job = question.job
        if entry.refusal is None and job is not None:
            self._queue(entry, job, question)
            return
        self.dequeue(entry)
        if job is not None and job.status.state in _ENDED:
            self.on_job_ended(entry)
        elif entry.refusal is not None and entry.refusal.reason is Reason.CONTAINER_NOT_FOUND:
            self.on_no_container(entry)

    def _queue(self, entry: Entry, job: JobView, question: Question) -> None:
        key = (job.metadata.namespace, job.pool)
        if entry.queued_in not in {None, key}:
            self.dequeue(entry)
        born = job.metadata.creation_timestamp
        self._pools.setdefault(key, PoolBook()).add(
            job.metadata.name,
            _waiting(entry, question),
            priority=job.spec.priority,
            created=born.timestamp() if born else 0.0,
            job_uid=job.metadata.uid,
        )
        entry.queued_in = key
        self.wake_pool(key)

    def dequeue(self, entry: Entry) -> None:
        """Take an entry out of its queue, if it is in one."""
        book = self._pools.get(entry.queued_in) if entry.queued_in is not None else None
        if book is not None and entry.queued_in is not None:
            gone = book.remove(entry.view.spec.job_name, entry.uid)
            if not len(book):
                del self._pools[entry.queued_in]
            if gone is not None and gone.manages:
                self.wake_pool(entry.queued_in)  # its job, and whatever room was kept for it, waited for it
        entry.queued_in = None

    def look_again(self, namespace: str, job: str) -> None:
        """A job or its pool changed: look again at all of its waiting tasks."""
        for view in list(self.cache.tasks.indexed("by_job", (namespace, job))):
            entry = self.entries.get(view.metadata.uid)
            if entry is not None and isinstance(entry.state, Waiting):
                self.enqueue(entry)

    def reprioritize(self, job: JobView) -> None:
        """A job's priority changed."""
        book = self._pools.get((job.metadata.namespace, job.pool))
        if book is not None:
            book.reprioritize(job.metadata.name, job.spec.priority)
            self.wake_pool((job.metadata.namespace, job.pool))

    def pool_book(self, pool: PoolKey | None) -> PoolBook | None:
        """The queue of a pool; None when nothing waits."""
        return self._pools.get(pool) if pool is not None else None

    def clear(self) -> None:
        """Forget all that a leader knows; counts of what the cache holds stay."""
        self.entries.clear()
        self.nodes.clear()
        self.records.clear()
        self.claims.clear()
        self.held.clear()
        self._on_pod.clear()
        self._losing.clear()
        self._pools.clear()
        self.tally.reset_running()


def _waiting(entry: Entry, question: Question) -> WaitingTask:
    spec, whole = entry.view.spec, 0
    if question.is_exclusive and question.pool is not None:
        whole = question.pool.spec.task_slots_per_node
    return WaitingTask(
        created_at(entry.view),
        entry.uid,
        spec.required_slots,
        spec.elevated,
        spec.container,
        rank=ORDINARY if question.manager is None else MANAGER,
        exclusive=question.is_exclusive,
        dedicated=question.is_dedicated,
        again=max(entry.attempt, entry.status.attempt) > 0,
        whole=whole,
        fetches=question.fetches,
    )


def is_terminal(view: TaskView) -> bool:
    """Whether the API says that a task has ended."""
    return view.status.state == TaskState.COMPLETED
