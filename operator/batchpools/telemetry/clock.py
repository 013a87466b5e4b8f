"""The one place that reads the clock. Everything else is given a Clock or a time."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for what people read, monotonic time for deadlines."""

    def now(self) -> datetime:
        """The wall time, UTC, to the microsecond."""
        ...

    def monotonic(self) -> float:
        """Seconds that only rise, for deadlines and latencies."""
        ...

    def boottime(self) -> float:
        """Seconds since the machine's start, also those that it slept: all containers of a pod agree on them."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The wall time, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only rise."""
        return time.monotonic()

    def boottime(self) -> float:
        """Seconds since the machine's start."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
