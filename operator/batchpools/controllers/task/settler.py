"""Writes what follows from the end of a run, and only then acknowledges it and goes on (safety rules S5.1 to S5.3)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from batchpools.api.reasons import FailureCode, RequeueReason
from batchpools.api.states import FailureCategory
from batchpools.controllers.task.book import Entry, RunBook
from batchpools.core.plan import WriteStatus
from batchpools.core.tasks import status as statuses
from batchpools.core.tasks.lifecycle import Bound, Done, Ending, Running, Settling, Waiting
from batchpools.core.tasks.outcome import Ended, Failed, Requeue, Retry, Succeeded, Verdict, judge
from batchpools.core.views import FailureInfo, TaskStatus
from batchpools.hub.port import HubPort
from batchpools.kube.applier import Applier, NotLeadingError
from batchpools.kube.errors import InvalidError, KubeError
from batchpools.telemetry.clock import Clock

_log = logging.getLogger(__name__)

IN_FLIGHT = 32
_FIRST_DELAY = 0.2
_LAST_DELAY = 15.0


class Settler:
    """Up to 32 writes at a time; a write that fails is tried again for ever, while its result stays with the agent."""

    def __init__(
        self, book: RunBook, applier: Applier, hub: HubPort, clock: Clock, send_again: Callable[[Entry, str], bool]
    ) -> None:
        self._book = book
        self._applier = applier
        self._hub = hub
        self._clock = clock
        self._send_again = send_again
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._writes: set[asyncio.Task[None]] = set()

    def settle(self, entry: Entry, ended: Ended) -> None:
        """A run of this entry has ended: decide and write."""
        state = entry.state
        asked = state.reason if isinstance(state, Ending) else None
        if isinstance(state, Bound | Running | Ending):
            pod_uid, node, execution = state.pod_uid, state.node, state.execution
        else:
            pod_uid, node, execution = "", "", None
        verdict = judge(
            ended, retry_count=entry.status.retry_count, max_retries=self._max_retries(entry), killed_for=asked
        )
        self._count(pod_uid, verdict)
        self._book.move(entry, Settling(pod_uid, node, execution))
        if isinstance(verdict, Retry):  # keep its slots: it goes on in the same directory
            self._book.nodes.hold(pod_uid, entry.uid, entry.view.spec.required_slots)
        self._begin(entry, verdict, self._status_after(entry, verdict, ended))

    def requeue(self, entry: Entry, reason: RequeueReason) -> None:
        """Its run is lost."""
        state = entry.state
        if isinstance(state, Ending):
            entry.state = Ending(state.pod_uid, state.node, state.execution, state.started_at, state.why, reason)
        self.settle(entry, Ended("bootLost"))

    def fail(self, entry: Entry, code: FailureCode, sentence: str) -> None:
        """It ends without having run."""
        failure = FailureInfo(category=FailureCategory.USER_ERROR, code=code, message=sentence)
        verdict = Failed(failure, None)
        self._book.move(entry, Settling("", "", None))
        self._begin(entry, verdict, self._status_after(entry, verdict, Ended("launchFailed")))

    def write_later(self, entry: Entry, status: TaskStatus) -> None:
        """Write something that nobody waits for (Schedulable=False), behind everything else."""
        self._spawn(self._write_quietly(entry, status, urgent=False))

    def write_running(self, entry: Entry, status: TaskStatus) -> None:
        """Write that it has been running for a while; what ends meanwhile is written after it."""
        entry.status = status
        entry.pending = self._spawn(self._write_quietly(entry, status, urgent=True))

    async def stop(self) -> None:
        """Write no more; what was not persisted was not acknowledged either."""
        for write in list(self._writes):
            write.cancel()
        await asyncio.gather(*self._writes, return_exceptions=True)

    # ---------------------------------------------------------------- inside

    def _begin(self, entry: Entry, verdict: Verdict, status: TaskStatus) -> None:
        entry.status = status
        self._spawn(self._persist(entry, verdict, status))

    async def _persist(self, entry: Entry, verdict: Verdict, status: TaskStatus) -> None:
        if entry.pending is not None:
            await asyncio.gather(entry.pending, return_exceptions=True)
        delay = _FIRST_DELAY
        while True:
            try:
                async with self._slots:
                    alive = await self._write(entry, status)
                break
            except NotLeadingError:
                return
            except KubeError as error:
                _log.warning("the status of task %s could not be written: %s", entry.key.name, error.sentence)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LAST_DELAY)
        self._persisted(entry, verdict, alive=alive)

    async def _write(self, entry: Entry, status: TaskStatus) -> bool:
        """False when that life of the task is over. A refused status is replaced by the least that is accepted."""
        try:
            return await self._applier.write_status(WriteStatus(entry.key, entry.uid, status))
        except InvalidError as refused:
            _log.error("the status of task %s was refused: %s", entry.key.name, refused.sentence)
            generation = entry.view.metadata.generation
            least = statuses.rejected(status, refused.sentence, generation=generation, now=self._now())
            return await self._applier.write_status(WriteStatus(entry.key, entry.uid, least))

    async def _write_quietly(self, entry: Entry, status: TaskStatus, *, urgent: bool) -> None:
        try:
            async with self._slots:
                if entry.status is status:  # nothing newer is on its way
                    await self._applier.write_status(WriteStatus(entry.key, entry.uid, status, urgent))
        except (KubeError, NotLeadingError) as error:
            _log.info("a passing status of task %s was not written: %r", entry.key.name, error)

    def _persisted(self, entry: Entry, verdict: Verdict, *, alive: bool) -> None:
        """Acknowledge, then go on."""
        state = entry.state
        if not isinstance(state, Settling):
            return
        self._book.nodes.free(state.pod_uid, entry.uid)
        if state.execution is not None:
            self._hub.acknowledge(state.pod_uid, [str(state.execution)])
        if not alive or entry.deleted:
            self._end_of_life(entry, state.pod_uid)
        elif isinstance(verdict, Succeeded | Failed):
            self._book.move(entry, Done())
            self._forget_when_seen(entry)
        elif isinstance(verdict, Retry) and self._send_again(entry, state.pod_uid):
            return
        else:
            entry.fresh = True
            self._book.move(entry, Waiting())

    def _forget_when_seen(self, entry: Entry) -> None:
        seen = self._book.cache.tasks.by_uid(entry.uid)
        if seen is None or seen.status.state == "Completed":
            self._book.drop(entry)

    def _end_of_life(self, entry: Entry, pod_uid: str) -> None:
        if pod_uid:
            self._hub.remove_directory(pod_uid, directory_of(entry))
        self._book.drop(entry)

    def _status_after(self, entry: Entry, verdict: Verdict, ended: Ended) -> TaskStatus:
        state = entry.state
        node = state.node if isinstance(state, Settling) else ""
        execution = state.execution if isinstance(state, Settling) else None
        if isinstance(verdict, Retry | Requeue):
            return statuses.again(entry.status, verdict, node=node, execution=execution, now=self._now())
        generation = entry.view.metadata.generation
        return statuses.completed(
            entry.status, verdict, ended, node=node, execution=execution, generation=generation, now=self._now()
        )

    def _max_retries(self, entry: Entry) -> int:
        """The task's own, else its job's, else none."""
        own = entry.view.spec.constraints.max_task_retry_count
        if own is not None:
            return own
        job = self._book.cache.jobs.get(*entry.job_key)
        return (job.spec.constraints.max_task_retry_count or 0) if job is not None else 0

    def _count(self, pod_uid: str, verdict: Verdict) -> None:
        node = self._book.nodes.get(pod_uid)
        if node is not None:
            node.run += 1
            node.succeeded += isinstance(verdict, Succeeded)

    def _now(self) -> datetime:
        return self._clock.now()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        write = asyncio.get_running_loop().create_task(work)
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        return write


def directory_of(entry: Entry) -> str:
    """A task's directory on a node, relative to its root."""
    view = entry.view
    return f"workitems/{view.spec.job_name}/{view.spec.id or view.metadata.name}"
