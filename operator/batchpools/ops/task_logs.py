"""Reads a task's stdout.txt or stderr.txt from its node, piece by piece, to the end or as it grows."""

import asyncio
from collections.abc import AsyncIterator

from batchpools.api.states import TaskState
from batchpools.core.ledger import RunLedger
from batchpools.core.views import TaskView
from batchpools.hub.port import HubPort
from batchpools.kube.cache import Cache

_PIECE = 64 << 10
_POLL = 0.2
_TAIL_BYTES = 64 << 10


class LogError(Exception):
    """There is nothing to read; status and reason for the answer, a sentence for people."""

    def __init__(self, status: int, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason


class TaskLogs:
    """Logs from this replica's own sessions; no leader is needed for a task whose node is known."""

    def __init__(self, cache: Cache, ledger: RunLedger, hub: HubPort) -> None:
        self._cache = cache
        self._ledger = ledger
        self._hub = hub

    async def read(self, namespace: str, name: str, stream: str, *, follow: bool, tail: int) -> AsyncIterator[bytes]:
        """Bytes of the file; tail > 0 begins that many lines before the end. Ends with the task when following. LogError."""
        task = self._task(namespace, name)
        pod_uid = await self._where(namespace, name, follow=follow)
        path = f"workitems/{task.spec.job_name}/{task.spec.id or task.metadata.name}/{stream}.txt"
        offset, first = await self._begin(pod_uid, path, tail) if tail else (0, b"")
        if first:
            yield first
        while True:
            ended = self._has_ended(namespace, name)  # asked before reading: what came last is still read
            piece, size = await self._piece(pod_uid, path, offset)
            if piece:
                offset += len(piece)
                yield piece
            elif size < offset:
                offset = 0  # a further run has emptied the file
            elif not follow or ended:
                return
            else:
                await asyncio.sleep(_POLL)

    async def _begin(self, pod_uid: str, path: str, tail: int) -> tuple[int, bytes]:
        """(where to go on, the last lines)."""
        chunk = await self._hub.read_file(pod_uid, path, -_TAIL_BYTES, _TAIL_BYTES)
        lines = chunk.content.splitlines(keepends=True)
        return chunk.offset + len(chunk.content), b"".join(lines[-tail:])

    async def _piece(self, pod_uid: str, path: str, offset: int) -> tuple[bytes, int]:
        try:
            chunk = await self._hub.read_file(pod_uid, path, offset, _PIECE)
        except (ConnectionError, TimeoutError) as error:
            raise LogError(503, "ServiceUnavailable", f"The node does not answer: {error}") from None
        if chunk.error == "NotFound":
            raise LogError(410, "Gone", "The node no longer has the files of this task.")
        if chunk.error:
            raise LogError(409, "Conflict", f"The file cannot be read: {chunk.message}")
        return chunk.content, chunk.size

    async def _where(self, namespace: str, name: str, *, follow: bool) -> str:
        """The uid of the pod that has the files; waits for the start of a task that is followed."""
        while True:
            task = self._task(namespace, name)
            told = self._ledger.explain(namespace, name)
            node_name = (told.node if told is not None else "") or task.status.pool_node_name
            if node_name:
                return self._pod_of(namespace, node_name)
            if not follow or self._has_ended(namespace, name):
                raise LogError(409, "Conflict", f"Task {name} has not run yet.")
            await asyncio.sleep(_POLL)

    def _pod_of(self, namespace: str, node_name: str) -> str:
        node = self._cache.nodes.get(namespace, node_name)
        if node is None or not node.status.pod_uid:
            raise LogError(410, "Gone", f"Node {node_name}, which held the files of this task, is gone.")
        if self._hub.session(node.status.pod_uid) is None:
            raise LogError(503, "ServiceUnavailable", f"Node {node_name} is not connected now.")
        return node.status.pod_uid

    def _task(self, namespace: str, name: str) -> TaskView:
        task = self._cache.tasks.get(namespace, name)
        if task is None:
            raise LogError(404, "NotFound", f"Task {name!r} is not in namespace {namespace!r}.")
        return task

    def _has_ended(self, namespace: str, name: str) -> bool:
        task = self._cache.tasks.get(namespace, name)
        return task is None or task.status.state == TaskState.COMPLETED
