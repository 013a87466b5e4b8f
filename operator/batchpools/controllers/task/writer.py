"""Writes statuses of tasks: results first, 32 at a time, one at a time per task, a failed one again for ever (rules S5.1, S5.2).

It decides order and repetition, never content. Nothing is acknowledged here: who waits for a write is told when it is persisted.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import msgspec

from batchpools.api.states import TaskState
from batchpools.core.identity import Key
from batchpools.core.plan import Event, Plan, WriteStatus
from batchpools.core.tasks import status as statuses
from batchpools.core.views import TaskStatus, TaskView
from batchpools.kube.applier import Applier, NotLeadingError
from batchpools.kube.errors import InvalidError, KubeError, NotFoundError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import TASKS
from batchpools.telemetry.clock import Clock
from batchpools.telemetry.logs import Logger, about

_log = logging.getLogger(__name__)

IN_FLIGHT = 32
_FIRST_DELAY = 0.2
_LAST_DELAY = 5.0


class Lane(IntEnum):
    """Who goes first."""

    RESULT = 0  # an agent keeps it, a slot or a retry waits for it
    RUNNING = 1  # for people
    BACKGROUND = 2  # ends of tasks that never ran


@dataclass(eq=False, slots=True)
class Write:
    """One status of one life of a task. done(status) is told what is persisted then; None = that life is over.

    Without `done` it is a passing status: a later one takes its place, and `wanted` is asked before it is sent.
    """

    key: Key
    uid: str
    status: TaskStatus
    lane: Lane
    generation: int = 0
    done: Callable[[TaskStatus | None], None] | None = None
    wanted: Callable[[], bool] | None = None
    failures: int = 0
    event: Event | None = None  # to be told once it is persisted


class StatusWriter:
    """The one way by which the book reaches the API server."""

    def __init__(self, applier: Applier, api: KubeApi, clock: Clock) -> None:
        self._applier = applier
        self._api = api
        self._clock = clock
        self._lanes: dict[Lane, deque[Write]] = {lane: deque() for lane in Lane}
        self._due: dict[str, Write] = {}  # uid -> what is to be written next
        self._flying: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()

    def put(self, write: Write) -> None:
        """Write this as soon as its turn comes, after what is on its way for the same task."""
        held = self._due.get(write.uid)
        if held is not None and held.done is not None:
            return  # a result waits: nothing passing may replace it, and there is never a second one
        self._due[write.uid] = write
        if write.uid not in self._flying:
            self._lanes[write.lane].append(write)
            self._pump()

    async def put_last(self, key: Key, uid: str, status: TaskStatus) -> None:
        """Promise a status that nobody waits for: behind the bucket of counters, and only if nothing else comes first."""
        if uid not in self._flying and uid not in self._due:
            await self._applier.write_status(WriteStatus(key, uid, status, urgent=False))

    async def stop(self) -> None:
        """Write no more; what was not persisted was not acknowledged either."""
        for timer in self._timers:
            timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self._lanes.values():
            lane.clear()
        for held in (self._timers, self._due, self._flying, self._tasks):
            held.clear()

    # ---------------------------------------------------------------- inside

    def _pump(self) -> None:
        while len(self._flying) < IN_FLIGHT and (write := self._next()) is not None:
            del self._due[write.uid]
            self._flying.add(write.uid)
            task = asyncio.get_running_loop().create_task(self._fly(write))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next(self) -> Write | None:
        for queue in self._lanes.values():
            while queue:
                write = queue.popleft()
                if self._due.get(write.uid) is write:  # else another took its place
                    return write
        return None

    async def _fly(self, write: Write) -> None:
        try:
            persisted = await self._attempt(write)
        except (KubeError, NotLeadingError) as error:
            self._land(write)
            self._try_later(write, error)
            return
        self._land(write)
        if write.done is not None:
            write.done(persisted)
        if write.event is not None and persisted is not None:
            await self._applier.publish(write.event)

    def _land(self, write: Write) -> None:
        self._flying.discard(write.uid)
        behind = self._due.get(write.uid)
        if behind is not None:
            self._lanes[behind.lane].append(behind)
        self._pump()

    async def _attempt(self, write: Write) -> TaskStatus | None:
        if write.wanted is not None and not write.wanted():
            return write.status
        try:
            return await self._send(write, write.status)
        except InvalidError as refused:
            _of(write).error("the status of task %s/%s was refused: %s", *write.key[1:], refused.sentence)
            return await self._after_refusal(write, refused.sentence) if write.done is not None else None

    async def _after_refusal(self, write: Write, sentence: str) -> TaskStatus | None:
        """Perhaps it has ended already (that beats us); else it gets the least that is accepted, so that it ends at all."""
        try:
            raw = await self._api.get(TASKS, write.key.namespace, write.key.name)
        except NotFoundError:
            return None
        live = msgspec.json.decode(raw, type=TaskView)
        if live.metadata.uid != write.uid:
            return None
        if live.status.state == TaskState.COMPLETED:
            return live.status
        return await self._send(
            write, statuses.rejected(write.status, sentence, generation=write.generation, now=self._clock.now())
        )

    async def _send(self, write: Write, status: TaskStatus) -> TaskStatus | None:
        alive = await self._applier.write_status(WriteStatus(write.key, write.uid, status))
        if alive and write.event is not None:
            told: Plan[None] = Plan(events=(write.event,))
            await self._applier.apply(write.key, write.uid, told)
        return status if alive else None

    def _try_later(self, write: Write, error: Exception) -> None:
        write.failures += 1
        is_said = isinstance(error, NotLeadingError)  # once for all, by the election
        if write.failures in {1, 5, 20} and not is_said:
            _of(write).warning(
                "the status of task %s/%s was not written (%d): %r", *write.key[1:], write.failures, error
            )
        delay = min(_FIRST_DELAY * 2 ** min(write.failures - 1, 10), _LAST_DELAY)
        timer: asyncio.TimerHandle

        def again() -> None:
            self._timers.discard(timer)
            if write.done is not None or (write.uid not in self._due and write.uid not in self._flying):
                self.put(write)

        timer = asyncio.get_running_loop().call_later(delay, again)
        self._timers.add(timer)


def _of(write: Write) -> Logger:
    return about(_log, write.key, uid=write.uid, attempt=write.status.attempt, execution=write.status.execution_id)
