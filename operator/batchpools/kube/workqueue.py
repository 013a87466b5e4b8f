"""A queue of keys: each at most once in it, each by one worker at a time, failures with growing delays.

Level-triggered: a key says "look again", never what happened. So edges that come close together are one: after a look a key
rests for a moment, and what comes meanwhile is seen by one look at its end. The first edge is always followed at once.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from batchpools.core.identity import Key
from batchpools.kube.errors import KubeError
from batchpools.telemetry.clock import Clock
from batchpools.telemetry.logs import about

_log = logging.getLogger(__name__)

_FIRST_DELAY = 0.1
_LAST_DELAY = 60.0

Reconcile = Callable[[Key], Awaitable[float | None]]


class WorkQueue:
    """Keys waiting for `reconcile`, which returns after how many seconds it wants to look again (None = on the next edge)."""

    def __init__(self, clock: Clock, *, workers: int = 8) -> None:
        self._clock = clock
        self._workers = workers
        self._reconcilers: dict[str, Reconcile] = {}
        self._rests: dict[str, float] = {}  # by kind, seconds
        self._looked: dict[Key, float] = {}  # when each key of late was looked at last, oldest first
        self._waiting: asyncio.Queue[Key] = asyncio.Queue()  # wakes one worker a key
        self._queued: dict[Key, float] = {}
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[Key, tuple[int, str]] = {}  # how often in a row, and how last
        self._tasks: list[asyncio.Task[None]] = []
        self.last_latency = 0.0  # seconds that the last key waited

    def register(self, kind: str, reconcile: Reconcile, *, rest: float = 0.0) -> None:
        """Keys of this kind go to this reconciler. rest: seconds between the end of a look and the next one by an edge."""
        self._reconcilers[kind] = reconcile
        self._rests[kind] = rest

    @property
    def depth(self) -> int:
        """Keys that wait."""
        return self._waiting.qsize()

    def add(self, key: Key) -> None:
        """Look at this key soon; a key that is being looked at is looked at again after."""
        if not self._tasks:
            return  # a standby: the leader-to-be adds everything when it starts
        left = self._left_to_rest(key)
        if left > 0 and key not in self._busy and key not in self._queued:
            self.add_after(key, left)
        else:
            self._put(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Look at this key after a while; an earlier appointment stays."""
        if not self._tasks:
            return
        due = self._clock.monotonic() + seconds
        held = self._timers.get(key)
        if held is not None:
            if held[0] <= due:
                return
            held[1].cancel()
        self._timers[key] = (due, asyncio.get_running_loop().call_later(seconds, self._ring, key))

    def start(self) -> None:
        """Start the workers."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._work(), name=f"worker-{n}") for n in range(self._workers)]

    async def stop(self) -> None:
        """Stop the workers and forget everything: a later leader starts from the cache."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, timer in self._timers.values():
            timer.cancel()
        self._waiting = asyncio.Queue()
        for held in (self._queued, self._busy, self._again, self._timers, self._failures, self._looked):
            held.clear()

    def _ring(self, key: Key) -> None:
        self._timers.pop(key, None)
        self._put(key)

    def _put(self, key: Key) -> None:
        """Have it looked at, after the present look at it if there is one."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._queued:
            self._queued[key] = self._clock.monotonic()
            self._waiting.put_nowait(key)

    def _left_to_rest(self, key: Key) -> float:
        """Seconds; 0 or less = it has rested."""
        looked = self._looked.get(key)
        return 0.0 if looked is None else looked + self._rests[key.kind] - self._clock.monotonic()

    def _has_looked(self, key: Key) -> None:
        """It rests from now on; those that have rested are forgotten."""
        if not self._rests[key.kind]:
            return
        now, longest = self._clock.monotonic(), max(self._rests.values())
        self._looked.pop(key, None)
        self._looked[key] = now
        while (oldest := next(iter(self._looked))) != key and self._looked[oldest] + longest < now:
            del self._looked[oldest]

    async def _work(self) -> None:
        while True:
            key = await self._waiting.get()
            self.last_latency = self._clock.monotonic() - self._queued.pop(key)
            self._busy.add(key)
            try:
                await self._one(key)
            finally:
                self._busy.discard(key)
            self._has_looked(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _one(self, key: Key) -> None:
        try:
            after = await self._reconcilers[key.kind](key)
        except Exception as error:  # noqa: BLE001 (the runtime decides about back-off: no reconciler may end the operator)
            self._put_off(key, error)
            return
        self._failures.pop(key, None)
        if after is not None:
            self.add_after(key, after)

    def _put_off(self, key: Key, error: Exception) -> None:
        """Try again later, each time later (with jitter: what failed together need not come back together)."""
        before, known = self._failures.get(key, (0, ""))
        story = repr(error)
        if story != known:
            trace = None if isinstance(error, KubeError) else error
            about(_log, key).warning("%s %s/%s failed: %s", *key, story, exc_info=trace)
        self._failures[key] = (before + 1, story)
        delay = min(_FIRST_DELAY * 2 ** min(before, 20), _LAST_DELAY)
        self.add_after(key, delay * random.uniform(0.75, 1.25))  # noqa: S311 (spreads load, guards nothing)
