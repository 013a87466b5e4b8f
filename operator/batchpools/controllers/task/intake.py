"""Follows the cache: tasks that come, change, end and go; jobs, pools and nodes that decide about their tasks."""

from collections.abc import Callable

from batchpools.api.reasons import FailureCode
from batchpools.api.states import JobState
from batchpools.controllers.task.book import RunBook, is_terminal
from batchpools.controllers.task.entry import Entry, task_id
from batchpools.controllers.task.settler import Settler
from batchpools.core.pools.emptying import emptied_by
from batchpools.core.pools.template import containers_of
from batchpools.core.tasks.lifecycle import Bound, Done, Held, Running, Settling, Waiting, Why
from batchpools.core.tasks.status import is_newer
from batchpools.core.views import JobView, PoolNodeView, PoolView, TaskView


class Intake:
    """Observers of the cache. They keep counts on every replica and change entries on the leader alone.

    `must_hold(view)` says whether a task may be running on a node that was not heard from since we lead; `on_deleted(view, pod
    uid)` is told of a task that is gone, and that ran there last.
    """

    def __init__(self, book: RunBook, settler: Settler, monotonic: Callable[[], float]) -> None:
        self._book = book
        self._settler = settler
        self._monotonic = monotonic
        self.on_deleted: Callable[[TaskView, str], None] = lambda _, __: None
        self.must_hold: Callable[[TaskView], bool] = lambda _: False
        book.on_job_ended = self._fail_for_job

    def task_changed(self, old: TaskView | None, new: TaskView | None) -> None:
        """The cache has another view of a task."""
        self._book.tally.observe(old, new)
        if not self._book.leading:
            return
        if new is not None:
            self.admit(new)
        elif old is not None:
            self._gone(old)

    def job_changed(self, old: JobView | None, new: JobView | None) -> None:
        """A job came, changed or went: its waiting tasks look again where something that counts for them changed."""
        view = new or old
        if view is None or not self._book.leading:
            return
        if old is None or new is None or not _alike(old, new):
            self._book.look_again(view.metadata.namespace, view.metadata.name)
        elif old.spec.priority != new.spec.priority:
            self._book.reprioritize(new)

    def pool_changed(self, old: PoolView | None, new: PoolView | None) -> None:
        """A pool came, went, or its slots or containers changed: the tasks of its jobs look again."""
        view = new or old
        if view is None or not self._book.leading or (old and new and _same_for_tasks(old, new)):
            return
        key = (view.metadata.namespace, view.metadata.name)
        for job in list(self._book.cache.jobs.indexed("by_pool", key)):
            self._book.look_again(job.metadata.namespace, job.metadata.name)

    def node_changed(self, old: PoolNodeView | None, new: PoolNodeView | None) -> None:
        """A node takes tasks in the pod that its status names, until anybody can see that it leaves."""
        if not self._book.leading:
            return
        if new is None and old is not None:
            self._book.records.forget(old.metadata.namespace, old.metadata.name)
        for pod_uid in sorted({view.status.pod_uid for view in (old, new) if view is not None}):
            self.judge_node(pod_uid)

    def judge_node(self, pod_uid: str) -> None:
        """Whether the cache wants tasks in this pod."""
        page = self._book.nodes.get(pod_uid)
        if page is None:
            return
        node = self._book.cache.nodes.get(page.identity.namespace, page.identity.node)
        pool = self._book.cache.pools.get(*page.pool)
        wanted = node is not None and node.status.pod_uid == pod_uid and emptied_by(node, pool) is None
        if wanted and not page.wanted:
            self._book.wake_pool(page.pool)
        page.wanted = wanted
        page.is_dedicated = node is None or node.spec.is_dedicated

    def admit(self, view: TaskView) -> Entry | None:
        """Take a task into the book, or note how it stands; ended ones leave it: the API server beats memory."""
        entry = self._book.entries.get(view.metadata.uid)
        if is_terminal(view):
            if entry is not None:
                self._seen_terminal(entry, view)
            else:
                self._book.claims.claim(view)
            return None
        if entry is not None:
            entry.view = view
            if is_newer(view.status, entry.status):  # a former leader's last word, late
                entry.status = view.status
                entry.attempt = max(entry.attempt, view.status.attempt)
            return entry
        return self._enter(view)

    # ---------------------------------------------------------------- inside

    def _enter(self, view: TaskView) -> Entry:
        held = self.must_hold(view)
        entry = Entry(view, view.status, self._monotonic(), Held() if held else Waiting(), attempt=view.status.attempt)
        self._book.enter(entry)
        if not self._book.claims.claim(view):
            sentence = f"Another task of job {view.spec.job_name!r} has the id {task_id(view)!r}."
            self._settler.fail(entry, FailureCode.TASK_EXISTS, sentence)
        elif not held:
            self._book.enqueue(entry)
        return entry

    def _seen_terminal(self, entry: Entry, view: TaskView) -> None:
        """Ended in the API. Our own write, or somebody's that we did not know of: then a run that still goes is ended."""
        entry.view = view
        if isinstance(entry.state, Bound | Running):
            self._settler.end_run(entry, Why.DELETED)
        elif isinstance(entry.state, Waiting | Held | Done):
            self._book.drop(entry)

    def _gone(self, view: TaskView) -> None:
        self._book.claims.release(view)
        entry = self._book.entries.get(view.metadata.uid)
        if entry is None:
            self._remove_files(view, view.status.pool_node_name)
            return
        entry.deleted = True
        if isinstance(entry.state, Waiting | Held | Done):
            self._book.drop(entry)
            self._remove_files(view, entry.status.pool_node_name)
            return
        self._book.claims.leaves(view)
        if not isinstance(entry.state, Settling):
            self._settler.end_run(entry, Why.DELETED)

    def _remove_files(self, view: TaskView, node_name: str) -> None:
        """A deleted task's files go too, from the node that ran it last."""
        node = self._book.cache.nodes.get(view.metadata.namespace, node_name) if node_name else None
        self.on_deleted(view, node.status.pod_uid if node is not None else "")

    def _fail_for_job(self, entry: Entry) -> None:
        """It waits while its job is being ended: it ends with it. One that comes when the job has ended came too late."""
        job = self._book.cache.jobs.get(*entry.job_key)
        if job is not None and job.status.state == JobState.TERMINATING:
            self._settler.fail(entry, FailureCode.TASK_ENDED, "The task was ended with its job while it waited.")
        else:
            sentence = f"Job {entry.view.spec.job_name!r} has ended."
            self._settler.fail(entry, FailureCode.JOB_COMPLETED, sentence)


def _alike(old: JobView, new: JobView) -> bool:
    """Whether nothing changed that decides about tasks (but the priority)."""
    return (
        _misses_its_manager(old) == _misses_its_manager(new)
        and old.metadata.uid == new.metadata.uid
        and old.status.state == new.status.state
        and old.pool == new.pool
        and (old.metadata.deletion_timestamp is None) == (new.metadata.deletion_timestamp is None)
    )


def _misses_its_manager(job: JobView) -> bool:
    return job.spec.job_manager_task is not None and not job.status.tasks_created


def _same_for_tasks(old: PoolView, new: PoolView) -> bool:
    return (
        old.metadata.uid == new.metadata.uid
        and old.spec.task_slots_per_node == new.spec.task_slots_per_node
        and containers_of(old.spec) == containers_of(new.spec)
        and (old.metadata.deletion_timestamp is None) == (new.metadata.deletion_timestamp is None)
    )
