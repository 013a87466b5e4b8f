"""Reads a task's stdout.txt or stderr.txt from its node, piece by piece, to the end or as it grows.

It decides where a task's files are and when a log is over. It never writes, and asks this replica's own sessions alone.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple

from batchpools.api.states import TaskState
from batchpools.core.ledger import RunLedger
from batchpools.core.pools.retention import was_cleaned
from batchpools.core.tasks.retention import DEFAULT, kept_until
from batchpools.core.views import TaskView
from batchpools.hub.port import HubPort
from batchpools.kube.cache import Cache
from batchpools.link.messages import FileChunk
from batchpools.telemetry.clock import Clock

PIECE = 64 << 10  # bytes; what the runner reads at once, and so the most that `tail` can go back
CLEANED, UNAVAILABLE = "TaskFilesCleanedup", "TaskFilesUnavailable"
_FIRST_POLL, _LAST_POLL = 0.2, 1.0  # seconds between looks at a file that does not grow
_PATIENCE = 30  # looks at a node that does not answer, while its task is followed


class LogError(Exception):
    """There is nothing to read; status and reason for the answer, a sentence for people."""

    def __init__(self, status: int, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason


class Wanted(NamedTuple):
    """Which file of which task."""

    namespace: str
    name: str
    stream: str = "stdout"


class _Place(NamedTuple):
    """Where the file is now: `node` is the PoolNode's name, the path is relative to the node's root."""

    node: str
    pod_uid: str
    path: str


class TaskLogs:
    """Logs from this replica's own sessions; no leader is needed for a task whose node is known."""

    def __init__(
        self,
        cache: Cache,
        ledger: RunLedger,
        hub: HubPort,
        clock: Clock,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._cache = cache
        self._ledger = ledger
        self._hub = hub
        self._clock = clock
        self._pause = pause

    def is_placed(self, wanted: Wanted) -> bool:
        """Whether this replica knows by itself where the file is, or that there is no such task."""
        try:
            return self._place(wanted) is not None
        except LogError:
            return True

    async def read(self, wanted: Wanted, *, follow: bool, tail: int) -> AsyncGenerator[bytes, None]:
        """Bytes of the file; tail > 0 begins that many lines (at most 64 KiB) before its end. LogError.

        Not following, it ends where the file ended when it was asked for; following, when the task is complete and all was
        read. A further run of a followed task (retry, requeue to another node) is read from its beginning.
        """
        place = await self._find(wanted, follow=follow)
        offset, last = await self._last_lines(place, tail) if tail else (0, b"")
        if last:
            yield last
        rest = self._growing(wanted, place, offset) if follow else self._as_it_is(wanted, place, offset)
        async with aclosing(rest):
            async for piece in rest:
                yield piece

    async def _as_it_is(self, wanted: Wanted, place: _Place, offset: int) -> AsyncGenerator[bytes, None]:
        end: int | None = None
        while end is None or offset < end:
            chunk = await self._chunk(place, offset)
            if chunk is None:
                raise self._why_nothing(wanted)
            end = chunk.size if end is None else end
            if not chunk.content:
                return
            offset += len(chunk.content)
            yield chunk.content

    async def _growing(self, wanted: Wanted, place: _Place, offset: int) -> AsyncGenerator[bytes, None]:
        wait, failures = _FIRST_POLL, 0
        while True:
            ended = self._has_ended(wanted)  # asked before reading: what came last is still read
            try:
                chunk, failures = await self._chunk(place, offset), 0
            except LogError as error:
                failures += 1
                if error.status != 503 or ended or failures > _PATIENCE:
                    raise
                chunk = None
            if chunk is not None and chunk.content:
                offset += len(chunk.content)
                wait = _FIRST_POLL
                yield chunk.content
            elif chunk is not None and chunk.size < offset:
                offset = 0  # a further run has emptied the file
            elif ended:
                if chunk is None:
                    raise self._why_nothing(wanted)
                return
            else:
                await self._pause(wait)
                wait = min(wait * 1.5, _LAST_POLL)
                place, offset = self._followed_to(wanted, place, offset)

    async def _find(self, wanted: Wanted, *, follow: bool) -> _Place:
        """Where the file is; waits for the start of a task that is followed."""
        while (place := self._place(wanted)) is None:
            if not follow or self._has_ended(wanted):
                raise self._why_nothing(wanted)
            await self._pause(_FIRST_POLL)
        return place

    def _followed_to(self, wanted: Wanted, place: _Place, offset: int) -> tuple[_Place, int]:
        """Where to go on, should the task have been requeued to another node since."""
        if self._cache.tasks.get(wanted.namespace, wanted.name) is None:
            return place, offset
        now = self._place(wanted)
        return (place, offset) if now is None or now == place else (now, 0)

    async def _last_lines(self, place: _Place, tail: int) -> tuple[int, bytes]:
        """(where to go on, the last lines)."""
        chunk = await self._chunk(place, -PIECE)
        if chunk is None:
            return 0, b""
        lines = chunk.content.splitlines(keepends=True)
        return chunk.offset + len(chunk.content), b"".join(lines[-tail:])

    async def _chunk(self, place: _Place, offset: int) -> FileChunk | None:
        """A piece; None when there is no such file."""
        try:
            chunk = await self._hub.read_file(place.pod_uid, place.path, offset, PIECE)
        except (ConnectionError, TimeoutError) as error:
            told = str(error) or "out of time"
            raise LogError(503, "ServiceUnavailable", f"Node {place.node} does not answer now: {told}") from None
        if chunk.error == "NotReady":
            raise LogError(503, "ServiceUnavailable", f"Node {place.node} is not ready: {chunk.message}")
        if chunk.error == "NotFound":
            return None
        if chunk.error:
            raise LogError(409, "Conflict", f"The file cannot be read: {chunk.message}")
        return chunk

    def _place(self, wanted: Wanted) -> _Place | None:
        """Where the task runs or ran; None when it has not, or the node is gone."""
        task = self._task(wanted)
        node_name = self._node_of(wanted, task)
        node = self._cache.nodes.get(wanted.namespace, node_name) if node_name else None
        if node is None or not node.status.pod_uid:
            return None
        path = f"workitems/{task.spec.job_name}/{task.spec.id or task.metadata.name}/{wanted.stream}.txt"
        return _Place(node_name, node.status.pod_uid, path)

    def _node_of(self, wanted: Wanted, task: TaskView) -> str:
        told = self._ledger.explain(wanted.namespace, wanted.name)
        return (told.node if told is not None else "") or task.status.pool_node_name

    def _why_nothing(self, wanted: Wanted) -> LogError:
        """What to say when there is no place, or no file in it. Reasons are Azure's codes where it has one."""
        task = self._task(wanted)
        node_name = self._node_of(wanted, task)
        if not node_name:
            return LogError(409, "Conflict", f"Task {wanted.name} has not run yet.")
        node = self._cache.nodes.get(wanted.namespace, node_name)
        if node is None or not node.status.pod_uid:
            return LogError(410, UNAVAILABLE, f"Node {node_name}, which held the files of this task, is gone.")
        if not self._has_ended(wanted):
            return LogError(409, "Conflict", f"Task {wanted.name} has written nothing yet: it is about to start.")
        until = kept_until(task)
        if until is not None and was_cleaned(task, node, self._clock.now()):
            kept = f"its retentionTime of {task.spec.constraints.retention_time or DEFAULT} was over at {until.isoformat()}"
            return LogError(
                410, CLEANED, f"The files of task {wanted.name} were removed from node {node_name}: {kept}."
            )
        return LogError(410, UNAVAILABLE, f"Node {node_name} no longer has the files of this task.")

    def _task(self, wanted: Wanted) -> TaskView:
        task = self._cache.tasks.get(wanted.namespace, wanted.name)
        if task is None:
            raise LogError(404, "NotFound", f"Task {wanted.name!r} is not in namespace {wanted.namespace!r}.")
        return task

    def _has_ended(self, wanted: Wanted) -> bool:
        task = self._cache.tasks.get(wanted.namespace, wanted.name)
        return task is None or task.status.state == TaskState.COMPLETED
