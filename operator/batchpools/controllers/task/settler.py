"""What follows from the end of a run: it is decided, written, and only then acknowledged and acted upon (rules S5.1 to S5.3)."""

from collections.abc import Callable
from dataclasses import replace

from batchpools.api.reasons import FailureCode, RequeueReason
from batchpools.api.states import FailureCategory, JobState, NodeDeallocationOption, TaskState
from batchpools.controllers.task.book import RunBook, is_terminal
from batchpools.controllers.task.entry import Entry, task_id
from batchpools.controllers.task.writer import Lane, StatusWriter, Write
from batchpools.core.ended import Ended
from batchpools.core.plan import Event
from batchpools.core.pools.emptying import emptied_by
from batchpools.core.tasks import status as statuses
from batchpools.core.tasks.lifecycle import Bound, Done, Ending, OnNode, Running, Settling, Waiting, Why, ending
from batchpools.core.tasks.outcome import Failed, Requeue, Retry, Succeeded, Verdict, for_good, judge
from batchpools.core.views import FailureInfo, TaskStatus, TaskView
from batchpools.hub.port import HubPort
from batchpools.telemetry.clock import Clock

KILL_GRACE = 5.0
RUNNING_AFTER = 2.0  # seconds before Running is written: a short task costs no write for it


class Settler:
    """The ends of runs. `send_again(entry, pod uid)` has a retry sent to its node; False when that cannot be."""

    def __init__(self, book: RunBook, writer: StatusWriter, hub: HubPort, clock: Clock) -> None:
        self._book = book
        self._writer = writer
        self._hub = hub
        self._clock = clock
        self.on_deleted: Callable[[TaskView, str], None] = lambda _, __: None  # it is gone, and ran on this pod last
        self.on_ended: Callable[[str, Ended], None] = lambda _, __: None  # a run on this pod, however it ended
        self.send_again: Callable[[Entry, str], bool] = lambda _, __: False

    def settle(self, entry: Entry, ended: Ended) -> None:
        """The run of this entry has ended, confirmed. A task that is gone or has ended meanwhile is not written to."""
        state = entry.state
        if not isinstance(state, OnNode):
            return
        asked = state.reason if isinstance(state, Ending) else None
        with_job = self._job_is_terminated(entry)
        is_terminated = with_job or self._is_terminated(entry, state)
        verdict = judge(
            ended,
            retry_count=entry.status.retry_count,
            max_retries=0 if is_terminated else self._max_retries(entry),
            killed_for=asked,
            requeues=entry.status.requeue_reasons,
        )
        verdict = for_good(verdict, with_job=with_job) if is_terminated else verdict
        self._count(entry, state, verdict, ended)
        self.on_ended(state.pod_uid, ended)
        if entry.deleted or is_terminal(entry.view):
            self._acknowledge(state)
            if entry.deleted:
                self._remove_files(entry, state.pod_uid)
            self._book.drop(entry)
        elif isinstance(verdict, Requeue) and isinstance(state, Ending) and state.why is Why.JOB_ENDED:
            self._acknowledge(state)  # nothing runs again, and the task goes with its job: nothing to write
            self._book.move(entry, Waiting())
        else:
            retrying = isinstance(verdict, Retry)
            self._book.move(entry, Settling(state.pod_uid, state.node, state.execution, keeps_slots=retrying))
            self._write(entry, verdict, self._status_after(entry, verdict, ended), Lane.RESULT)

    def lose(self, entry: Entry, reason: RequeueReason = RequeueReason.NODE_LOST) -> None:
        """Its run is lost with its node; nobody will report its end."""
        if isinstance(entry.state, Ending):
            entry.state = replace(entry.state, reason=reason)
        cause = "expired" if reason is RequeueReason.NODE_UNREACHABLE else "nodeLost"
        if isinstance(entry.state, OnNode):
            self.settle(entry, Ended(cause))
            return
        gone = self._leaves_by_terminate(entry.key.namespace, entry.status.pool_node_name)
        verdict = for_good(Requeue(reason)) if gone else Requeue(reason)
        self._book.move(entry, Settling())
        self._write(entry, verdict, self._status_after(entry, verdict, Ended(cause)), Lane.RESULT)

    def put_back(self, entry: Entry) -> None:
        """What was sent was not started: it waits again, nothing is counted unless its status said already that it runs."""
        if entry.status.state == TaskState.RUNNING:
            self.lose(entry)
        else:
            self._book.move(entry, Waiting())

    def fail(self, entry: Entry, code: FailureCode, sentence: str, *, tell: bool = False) -> None:
        """It ends without having run. tell: with an Event, for what its user has written wrong."""
        verdict = Failed(FailureInfo(category=FailureCategory.USER_ERROR, code=code, message=sentence), None)
        event = Event(entry.key, entry.uid, code, sentence, warning=True) if tell else None
        self._book.move(entry, Settling())
        self._write(entry, verdict, self._status_after(entry, verdict, Ended("launchFailed")), Lane.BACKGROUND, event)

    def end_run(self, entry: Entry, why: Why, reason: RequeueReason = RequeueReason.POOL_RESIZED) -> None:
        """Ask for the end of its run, once more if need be. What happens then waits for the confirmation."""
        state = entry.state
        if isinstance(state, Bound | Running):
            self._book.move(entry, ending(state, why, reason))
        if isinstance(state, OnNode):
            self.kill(state.pod_uid, str(state.execution))

    def kill(self, pod_uid: str, execution_id: str) -> None:
        """Ask a node for the end of a run."""
        self._hub.kill(pod_uid, execution_id, KILL_GRACE)

    def write_running(self, entry: Entry, state: Running) -> None:
        """Say that it runs, if it still does."""
        if entry.state is not state or self._book.entries.get(entry.uid) is not entry:
            return
        self._write_running(entry, state, state.started_at)

    def record(self, entry: Entry) -> None:
        """Say at once where its run is, or may be: the node has fallen silent, and a next leader must know (S3.4)."""
        state = entry.state
        if isinstance(state, OnNode) and not entry.deleted and not statuses.says_running(entry.status, state):
            begun = state.started_at if isinstance(state, Running | Ending) else 0.0
            self._write_running(entry, state, begun or self._clock.now().timestamp())

    def forget_when_seen(self, entry: Entry) -> None:
        """Drop the entry, but not before the cache shows what we know: else a late event would begin it anew.

        A task that the cache has never shown (it was heard of from its node, and asked for) may still come.
        """
        seen = self._book.cache.tasks.by_uid(entry.uid)
        if (seen is None and entry.deleted) or (seen is not None and is_terminal(seen)):
            self._book.drop(entry)

    # ---------------------------------------------------------------- inside

    def _write_running(self, entry: Entry, state: OnNode, started_at: float) -> None:
        now = self._clock.now()
        entry.status = statuses.running(
            entry.status, node=state.node, execution=state.execution, started_at=started_at, now=now
        )
        write = Write(entry.key, entry.uid, entry.status, Lane.RUNNING, wanted=lambda: entry.state is state)
        self._writer.put(write)

    def _write(
        self, entry: Entry, verdict: Verdict, status: TaskStatus, lane: Lane, event: Event | None = None
    ) -> None:
        entry.status = status

        def done(persisted: TaskStatus | None) -> None:
            self._persisted(entry, verdict, persisted)

        generation = entry.view.metadata.generation
        self._writer.put(Write(entry.key, entry.uid, status, lane, generation, done, event=event))

    def _persisted(self, entry: Entry, verdict: Verdict, persisted: TaskStatus | None) -> None:
        """Acknowledge, then go on."""
        state = entry.state
        if not isinstance(state, Settling):
            return
        self._acknowledge(state)
        if persisted is None or entry.deleted:
            self._remove_files(entry, state.pod_uid)
        if persisted is None or persisted.state == TaskState.COMPLETED or entry.deleted or is_terminal(entry.view):
            self._book.move(entry, Done())
            self.forget_when_seen(entry)
        elif not (isinstance(verdict, Retry) and not entry.losers and self.send_again(entry, state.pod_uid)):
            self._book.move(entry, Waiting())

    def _acknowledge(self, state: OnNode | Settling) -> None:
        if state.execution is not None and state.pod_uid:
            self._hub.acknowledge(state.pod_uid, [str(state.execution)])

    def _remove_files(self, entry: Entry, pod_uid: str) -> None:
        if pod_uid:
            self.on_deleted(entry.view, pod_uid)

    def _status_after(self, entry: Entry, verdict: Verdict, ended: Ended) -> TaskStatus:
        state = entry.state
        node = state.node if isinstance(state, Settling) else ""
        execution = state.execution if isinstance(state, Settling) else None
        now = self._clock.now()
        if isinstance(verdict, Retry | Requeue):
            return statuses.again(entry.status, verdict, node=node, execution=execution, now=now)
        generation = entry.view.metadata.generation
        return statuses.completed(
            entry.status, verdict, ended, node=node, execution=execution, generation=generation, now=now
        )

    def _is_terminated(self, entry: Entry, state: OnNode) -> bool:
        """Whether the run ends for good with its node: we asked for it, or a former leader, as what is persisted says."""
        if isinstance(state, Ending):
            return state.why is Why.TERMINATED
        return self._leaves_by_terminate(entry.key.namespace, state.node)

    def _job_is_terminated(self, entry: Entry) -> bool:
        """Whether its job ends, as is persisted, and stays: a job that goes takes its tasks along."""
        job = self._book.cache.jobs.get(*entry.job_key)
        return job is not None and job.metadata.deletion_timestamp is None and job.status.state == JobState.TERMINATING

    def _leaves_by_terminate(self, namespace: str, name: str) -> bool:
        node = self._book.cache.nodes.get(namespace, name) if name else None
        if node is None:
            return False
        pool = self._book.cache.pools.get(namespace, node.spec.pool_name)
        return emptied_by(node, pool) is NodeDeallocationOption.TERMINATE

    def _max_retries(self, entry: Entry) -> int:
        """The task's own, else its job's, else none."""
        own = entry.view.spec.constraints.max_task_retry_count
        if own is not None:
            return own
        job = self._book.cache.jobs.get(*entry.job_key)
        return (job.spec.constraints.max_task_retry_count or 0) if job is not None else 0

    def _count(self, entry: Entry, state: OnNode, verdict: Verdict, ended: Ended) -> None:
        view = entry.view
        place, good = (view.metadata.namespace, state.node), isinstance(verdict, Succeeded)
        self._book.records.ended(place, view.spec.job_name, task_id(view), ended, succeeded=good)
