"""Virtual processes: an event loop for each, one clock for all, and a scheduler that decides which turns next.

A process that is paused is a loop that does not turn (SIGSTOP: at its wake its timers are overdue); one that has crashed
never turns again. Nothing here sleeps, and nothing depends on the machine: the same calls give the same history.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any

from batchpools.testing.clock import EPOCH

_NEVER = float("inf")
_LONGEST_TURN = 100_000  # callbacks
_LONGEST_MOMENT = 100_000  # turns


class _Call(asyncio.TimerHandle):
    """What call_soon and call_at give: as asyncio's own, but without a copied context and a traceback; there are millions."""

    __slots__ = ("args", "at", "context", "function", "is_off", "process")

    def __init__(
        self,
        process: "Process",
        at: float,
        function: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> None:
        self.process = process
        self.at = at
        self.function = function
        self.args = args
        self.context = context
        self.is_off = False

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def cancel(self) -> None:
        """It will not run."""
        self.is_off = True

    def cancelled(self) -> bool:
        """Whether it will not run."""
        return self.is_off

    def when(self) -> float:
        """Virtual seconds."""
        return self.at


class Process(asyncio.AbstractEventLoop):
    """The event loop of one process, as far as asyncio needs one: callbacks, timers, futures, tasks."""

    def __init__(self, scheduler: "Scheduler", name: str) -> None:
        self.name = name
        self.dead = False
        self.defects: list[str] = []
        self._paused = False
        self._turns = False  # what it puts off in its own turn is done in that turn
        self._scheduler = scheduler
        self._ready: deque[_Call] = deque()
        self._overdue: list[_Call] = []  # what has come while it was paused
        self._tasks: list[asyncio.Task[Any]] = []

    # ---------------------------------------------------------------- what asyncio asks for

    def time(self) -> float:
        """Virtual seconds."""
        return self._scheduler.now

    def get_debug(self) -> bool:
        """No."""
        return False

    def is_running(self) -> bool:
        """While it turns."""
        return True

    def is_closed(self) -> bool:
        """Never: who comes late is not served."""
        return False

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        """In this turn, or else in the next."""
        call = _Call(self, self._scheduler.now, callback, args, context)
        if self._turns:
            self._ready.append(call)
        else:
            self._scheduler.put(call)
        return call

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        """At that time."""
        call = _Call(self, when, callback, args, context)
        self._scheduler.put(call)
        return call

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        """After so many seconds."""
        call = _Call(self, self._scheduler.now + delay, callback, args, context)
        self._scheduler.put(call)
        return call

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """A task of this loop; kept, so that nothing depends on when garbage is collected."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught is a defect."""
        self.defects.append(f"{self.name}: {context.get('message')}: {context.get('exception')!r}")

    # ---------------------------------------------------------------- turning

    @property
    def paused(self) -> bool:
        """Whether it is stopped (SIGSTOP)."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        if not paused:
            overdue, self._overdue = self._overdue, []
            for call in overdue:
                self._scheduler.put(call)

    def turn(self, due: _Call) -> None:
        """Run what is due, and what that makes due at once; a process that stands still keeps it."""
        if self.dead:
            return
        if self._paused:
            self._overdue.append(due)
            return
        asyncio._set_running_loop(self)
        self._turns, ready = True, self._ready
        ready.append(due)
        left = _LONGEST_TURN
        try:
            while ready:
                call = ready.popleft()
                if call.is_off:
                    continue
                try:
                    if call.context is None:
                        call.function(*call.args)
                    else:
                        call.context.run(call.function, *call.args)
                except Exception as error:  # noqa: BLE001 (as any loop does)
                    self.call_exception_handler({"message": f"in {call.function!r}", "exception": error})
                left -= 1
                if not left:
                    self.defects.append(f"{self.name}: a turn without end")
                    self.crash()
        finally:
            self._turns = False

    @contextmanager
    def as_running(self) -> Iterator[None]:
        """What is called in here believes to run in this process."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(before)

    def crash(self) -> None:
        """SIGKILL: it never turns again, and nothing of it is cleaned up."""
        self.dead = True
        self._ready.clear()
        self._overdue.clear()

    def dispose(self) -> None:
        """End what is left of its coroutines; what they would still do counts no more."""
        with self.as_running():
            for task in self._tasks:
                if not task.done():
                    _close(task)
        self._tasks.clear()
        self._ready.clear()
        self._overdue.clear()


def _close(task: "asyncio.Task[Any]") -> None:
    """A coroutine may want to wait once more while it is being closed."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine: Any = task.get_coro()
    while coroutine.cr_frame is not None:
        try:
            coroutine.close()
        except BaseException:  # noqa: BLE001, S112 (whatever it still says, nobody hears)
            continue


class Scheduler:
    """All processes, and the time. What was asked for first of several things at one moment is done first."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        self._moment = 0  # turns without any time between them
        self._all: list[Process] = []
        self._heap: list[tuple[float, int, _Call]] = []
        self._made = 0

    def process(self, name: str) -> Process:
        """A new process."""
        made = Process(self, name)  # type: ignore[abstract]  # what asyncio does not call here is not there
        self._all.append(made)
        return made

    def put(self, call: _Call) -> None:
        """To be done by its process, in a turn of its own."""
        self._made += 1
        heapq.heappush(self._heap, (call.at, self._made, call))

    def run(self, until: float) -> None:
        """Let time pass up to that moment."""
        heap, pop = self._heap, heapq.heappop
        try:
            while heap and heap[0][0] <= until:
                when, _, call = pop(heap)
                if call.is_off:
                    continue
                if when > self.now:
                    self.now, self._moment = when, 0
                self._moment += 1
                self.turns += 1
                call.process.turn(call)
                if self._moment > _LONGEST_MOMENT:
                    call.process.defects.append(f"{call.process.name}: it never lets time pass")
                    call.process.crash()
                    self._moment = 0
        finally:
            asyncio._set_running_loop(None)
        self.now = max(self.now, until)

    def defects(self) -> list[str]:
        """What was not caught anywhere."""
        return [one for process in self._all for one in process.defects]

    def dispose(self) -> None:
        """The history is over."""
        for process in self._all:
            process.dispose()
        self._heap.clear()


class ProcessClock:
    """`telemetry.clock.Clock` of one process. `skew`: seconds by which its wall clock is wrong, and may be changed."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.skew = 0.0

    def now(self) -> datetime:
        """The wall time, UTC."""
        return EPOCH + timedelta(seconds=self._scheduler.now + self.skew)

    def monotonic(self) -> float:
        """Seconds that only rise."""
        return 1000.0 + self._scheduler.now

    def boottime(self) -> float:
        """Seconds since the machine's start."""
        return 5000.0 + self._scheduler.now
