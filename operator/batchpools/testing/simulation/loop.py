"""Virtual processes: an event loop for each, one clock for all, and a scheduler that decides which turns next.

A process that is paused is a loop that does not turn (SIGSTOP: at its wake its timers are overdue); one that has crashed
never turns again. Nothing here sleeps, and nothing depends on the machine: the same calls give the same history.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any

from batchpools.testing.clock import EPOCH


class Process(asyncio.AbstractEventLoop):
    """The event loop of one process, as far as asyncio needs one: callbacks, timers, futures, tasks."""

    def __init__(self, scheduler: "Scheduler", name: str) -> None:
        self.name = name
        self.paused = False
        self.dead = False
        self.defects: list[str] = []
        self._scheduler = scheduler
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._made = 0
        self._tasks: set[asyncio.Task[Any]] = set()

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
        """In the next turn."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """At that time."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._made += 1
        heapq.heappush(self._timers, (when, self._made, handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """After so many seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """A task of this loop; kept, so that nothing depends on when garbage is collected."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught is a defect."""
        self.defects.append(f"{self.name}: {context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    # ---------------------------------------------------------------- turning

    def next_at(self) -> float | None:
        """When there is something to do; None = never."""
        if self.dead or self.paused:
            return None
        if self._ready:
            return self._scheduler.now
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return max(self._timers[0][0], self._scheduler.now) if self._timers else None

    def turn(self) -> None:
        """Run what is due."""
        now = self._scheduler.now
        while self._timers and self._timers[0][0] <= now:
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)
        asyncio._set_running_loop(self)
        try:
            for _ in range(len(self._ready)):
                due = self._ready.popleft()
                if not due.cancelled():
                    due._run()
        finally:
            asyncio._set_running_loop(None)

    def crash(self) -> None:
        """SIGKILL: it never turns again, and nothing of it is cleaned up."""
        self.dead = True
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._ready.clear()
        self._timers.clear()


class Scheduler:
    """All processes, and the time. Of several that may turn, the one that has waited longest does, then the oldest."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        self._processes: list[Process] = []

    def process(self, name: str) -> Process:
        """A new process."""
        made = Process(self, name)  # type: ignore[abstract]  # what asyncio does not call here is not there
        self._processes.append(made)
        return made

    def run(self, until: float) -> None:
        """Let time pass up to that moment."""
        while True:
            soonest: tuple[float, Process] | None = None
            for process in self._processes:
                at = process.next_at()
                if at is not None and (soonest is None or at < soonest[0]):
                    soonest = (at, process)
            if soonest is None or soonest[0] > until:
                self.now = max(self.now, until)
                return
            self.now = soonest[0]
            self.turns += 1
            soonest[1].turn()

    def bury(self) -> None:
        """Forget the dead."""
        self._processes = [one for one in self._processes if not one.dead]

    def defects(self) -> list[str]:
        """What was not caught anywhere."""
        return [one for process in self._processes for one in process.defects]


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
