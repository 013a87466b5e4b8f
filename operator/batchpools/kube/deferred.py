"""Decides when statuses that only count go out: one by one, 20 a second for the whole operator (safety rule S5.4).

They never hold up a worker: what waits here is the newest status of each object, and an urgent write takes its place.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from batchpools.core.identity import Key
from batchpools.core.plan import WriteStatus
from batchpools.kube.bucket import Bucket
from batchpools.kube.errors import InvalidError, KubeError
from batchpools.telemetry.logs import about

_log = logging.getLogger(__name__)
_AFTER_ERROR = 1.0


class DeferredWrites:
    """The newest unwritten status of each object. A write that fails is repeated, unless the API server refused its content."""

    def __init__(
        self,
        write: Callable[[WriteStatus], Awaitable[None]],
        bucket: Bucket,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._write = write
        self._bucket = bucket
        self._pause = pause
        self._waiting: dict[Key, WriteStatus] = {}
        self._under_way: Key | None = None
        self._quiet = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many statuses wait."""
        return len(self._waiting)

    def put(self, effect: WriteStatus) -> None:
        """Write this some time soon, instead of an older one of the same object."""
        self._waiting[effect.key] = effect
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="deferred-writes")

    async def supersede(self, key: Key) -> None:
        """Forget what waits for this object; return when nothing older of it is on its way any more."""
        self._waiting.pop(key, None)
        while self._under_way == key:
            await self._quiet.wait()

    async def _run(self) -> None:
        while self._waiting:
            await self._bucket.take()
            key = next(iter(self._waiting), None)
            if key is not None:
                await self._one(key, self._waiting.pop(key))

    async def _one(self, key: Key, effect: WriteStatus) -> None:
        self._under_way = key
        self._quiet.clear()
        error: KubeError | None = None
        try:
            await self._write(effect)
        except KubeError as failure:
            error = failure
        finally:
            self._under_way = None
            self._quiet.set()
        if error is None:
            return
        about(_log, key).warning("the counters of %s %s/%s were not written: %s", *key, error.sentence)
        if not isinstance(error, InvalidError):
            self._waiting.setdefault(key, effect)
            await self._pause(_AFTER_ERROR)
