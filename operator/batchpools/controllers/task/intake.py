"""Follows the cache: tasks that come, change, end and go; jobs and pools that decide about their tasks."""

from collections.abc import Callable

from batchpools.api.reasons import FailureCode
from batchpools.api.states import JobState
from batchpools.controllers.task.book import Entry, RunBook, is_terminal
from batchpools.controllers.task.settler import Settler, directory_of
from batchpools.core.tasks.lifecycle import Bound, Done, Ending, Held, Running, Waiting, Why
from batchpools.core.views import JobView, PoolView, TaskView
from batchpools.hub.port import HubPort

KILL_GRACE = 5.0
_ENDED = {JobState.COMPLETED, JobState.TERMINATING}

IdKey = tuple[str, str, str]


class Intake:
    """Observers of the cache. They keep counts on every replica and change entries on the leader alone."""

    def __init__(self, book: RunBook, settler: Settler, hub: HubPort, monotonic: Callable[[], float]) -> None:
        self._book = book
        self._settler = settler
        self._hub = hub
        self._monotonic = monotonic
        self._ids: dict[IdKey, str] = {}  # who has an id in a job, without regard to case

    def task_changed(self, old: TaskView | None, new: TaskView | None) -> None:
        """The cache has another view of a task."""
        self._book.tally.observe(old, new)
        if new is None:
            assert old is not None  # noqa: S101 (one of the two is there)
            self._release_id(old)
            if self._book.leading:
                self._gone(old)
        elif self._book.leading:
            self.admit(new)

    def job_changed(self, old: JobView | None, new: JobView | None) -> None:
        """A job came, changed or went: its waiting tasks look again where something that counts for them changed."""
        if not self._book.leading:
            return
        view = new or old
        assert view is not None  # noqa: S101 (one of the two is there)
        if old is not None and new is not None and _alike(old, new):
            if old.spec.priority != new.spec.priority:
                self._book.reprioritize(new)
            return
        self._book.requeue_job(view.metadata.namespace, view.metadata.name)
        self._fail_tasks_of_ended(view)

    def pool_changed(self, old: PoolView | None, new: PoolView | None) -> None:
        """A pool came, went, or its slots changed: the tasks of its jobs look again."""
        if not self._book.leading:
            return
        if old is not None and new is not None and _same_for_tasks(old, new):
            return
        view = new or old
        assert view is not None  # noqa: S101 (one of the two is there)
        key = (view.metadata.namespace, view.metadata.name)
        for job in list(self._book.cache.jobs.indexed("by_pool", key)):
            self._book.requeue_job(job.metadata.namespace, job.metadata.name)

    def admit(self, view: TaskView, *, held: bool = False) -> Entry | None:
        """Take a task into the book, or note how it stands; terminal ones leave it: the API server beats memory."""
        entry = self._book.entries.get(view.metadata.uid)
        if is_terminal(view):
            if entry is not None:
                self._seen_terminal(entry, view)
            return None
        if entry is not None:
            entry.view = view
            return entry
        entry = Entry(view, view.status, self._monotonic(), attempt=view.status.attempt)
        if held:
            entry.state = Held()
            entry.story = ["Held"]
            self._book.held.add(entry.uid)
        self._book.entries[entry.uid] = entry
        if not self._claim_id(view):
            self._settler.fail(entry, FailureCode.TASK_EXISTS, f"Another task of the job has the id {_id(view)!r}.")
        elif self._job_has_ended(entry):
            self._settler.fail(entry, FailureCode.JOB_COMPLETED, f"Job {view.spec.job_name!r} has ended.")
        elif not held:
            self._book.enqueue(entry)
        return entry

    # ---------------------------------------------------------------- inside

    def _seen_terminal(self, entry: Entry, view: TaskView) -> None:
        """Ended in the API. Our own write, or somebody's that we did not know of: a run that still goes is ended."""
        entry.view = view
        if isinstance(entry.state, Bound | Running):
            self._end_run(entry, Why.DELETED)
        elif isinstance(entry.state, Waiting | Held | Done):
            self._book.drop(entry)

    def _gone(self, view: TaskView) -> None:
        entry = self._book.entries.get(view.metadata.uid)
        if entry is None:
            self._remove_files(view)
            return
        entry.deleted = True
        if isinstance(entry.state, Bound | Running):
            self._end_run(entry, Why.DELETED)
        elif isinstance(entry.state, Waiting | Held | Done):
            self._book.drop(entry)
            self._remove_files(view)

    def _end_run(self, entry: Entry, why: Why) -> None:
        state = entry.state
        assert isinstance(state, Bound | Running)  # noqa: S101 (asked before)
        started = state.started_at if isinstance(state, Running) else 0.0
        self._book.move(entry, Ending(state.pod_uid, state.node, state.execution, started, why))
        self._hub.kill(state.pod_uid, str(state.execution), KILL_GRACE)

    def _remove_files(self, view: TaskView) -> None:
        """A deleted task's files go too, from the node that ran it."""
        if not view.status.pool_node_name:
            return
        node = self._book.cache.nodes.get(view.metadata.namespace, view.status.pool_node_name)
        if node is not None and node.status.pod_uid:
            self._hub.remove_directory(node.status.pod_uid, directory_of(Entry(view, view.status, 0.0)))

    def _fail_tasks_of_ended(self, job: JobView) -> None:
        if job.status.state not in _ENDED:
            return
        key = (job.metadata.namespace, job.metadata.name)
        for view in list(self._book.cache.tasks.indexed("by_job", key)):
            entry = self._book.entries.get(view.metadata.uid)
            if entry is not None and isinstance(entry.state, Waiting):
                self._settler.fail(entry, FailureCode.JOB_COMPLETED, f"Job {view.spec.job_name!r} has ended.")

    def _job_has_ended(self, entry: Entry) -> bool:
        job = self._book.cache.jobs.get(*entry.job_key)
        return job is not None and job.status.state in _ENDED and isinstance(entry.state, Waiting)

    def _claim_id(self, view: TaskView) -> bool:
        """Whether the id is this task's: the first to be seen has it, and of two the older."""
        key = _id_key(view)
        holder = self._ids.setdefault(key, view.metadata.uid)
        if holder == view.metadata.uid:
            return True
        other = self._book.cache.tasks.by_uid(holder)
        if other is None or _id_key(other) != key:
            self._ids[key] = view.metadata.uid
            return True
        return False

    def _release_id(self, view: TaskView) -> None:
        key = _id_key(view)
        if self._ids.get(key) == view.metadata.uid:
            del self._ids[key]

    def claim_all(self) -> None:
        """Hand out ids anew from the cache, the oldest task first (after an election)."""
        self._ids.clear()
        tasks = sorted(
            self._book.cache.tasks, key=lambda view: (str(view.metadata.creation_timestamp), view.metadata.uid)
        )
        for view in tasks:
            self._ids.setdefault(_id_key(view), view.metadata.uid)


def _id(view: TaskView) -> str:
    return view.spec.id or view.metadata.name


def _id_key(view: TaskView) -> IdKey:
    return (view.metadata.namespace, view.spec.job_name, _id(view).lower())


def _alike(old: JobView, new: JobView) -> bool:
    """Whether nothing changed that decides about tasks (but the priority)."""
    return (
        old.metadata.uid == new.metadata.uid
        and old.status.state == new.status.state
        and old.spec.pool_name == new.spec.pool_name
        and (old.metadata.deletion_timestamp is None) == (new.metadata.deletion_timestamp is None)
    )


def _same_for_tasks(old: PoolView, new: PoolView) -> bool:
    return (
        old.metadata.uid == new.metadata.uid
        and old.spec.task_slots_per_node == new.spec.task_slots_per_node
        and (old.metadata.deletion_timestamp is None) == (new.metadata.deletion_timestamp is None)
    )
