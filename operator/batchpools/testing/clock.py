"""A clock that stands still until a test moves it. It decides nothing about what is due."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """`telemetry.clock.Clock` for tests: both times move together, by `advance` alone."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self._start = start
        self._passed = 0.0

    def now(self) -> datetime:
        """The wall time, UTC."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Seconds that only rise; far from 0, which some take for "never"."""
        return 1000.0 + self._passed

    def boottime(self) -> float:
        """Seconds since the machine's start."""
        return 5000.0 + self._passed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._passed += seconds
