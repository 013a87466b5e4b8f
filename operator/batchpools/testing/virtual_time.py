"""Runs a coroutine in virtual time: whenever everybody waits, the clock jumps to the next timer.

asyncio's own timers (sleep, timeout, call_later) are virtual with it, so that shells need no seam but the Clock. Nothing
that waits for the world outside (sockets, threads, processes) may run here; a coroutine that waits for nothing is an error.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from batchpools.testing.clock import EPOCH

ResultT = TypeVar("ResultT")


class StuckError(Exception):
    """Everybody waits and no timer is set: the test would hang for ever."""


class VirtualClock:
    """`telemetry.clock.Clock` whose time is that of a virtual loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        """The wall time, UTC."""
        return EPOCH + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        """Seconds that only rise; far from 0, which some take for "never"."""
        return 1000.0 + self._loop.time()

    def boottime(self) -> float:
        """Seconds since the machine's start."""
        return 5000.0 + self._loop.time()


def run_virtual(main: Callable[[VirtualClock], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """Run main(clock) to its end in virtual time; StuckError when nothing can happen any more."""
    with virtual_runner() as runner:
        clock = VirtualClock(runner.get_loop())
        return runner.run(main(clock))


def virtual_runner() -> asyncio.Runner:
    """A runner whose loop has virtual time, for tests that run one piece after another in it."""
    return asyncio.Runner(loop_factory=_VirtualLoop)


async def settle() -> None:
    """Let everything happen that can happen without time passing (bounded: 200 turns of the loop)."""
    for _ in range(200):
        await asyncio.sleep(0)


class _JumpingSelector(selectors.DefaultSelector):
    """Waits by moving the time instead."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; when nothing is, the timeout has passed at once."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise StuckError("everybody waits, and no timer is set")
            self.passed += max(timeout, 0.0)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.passed
