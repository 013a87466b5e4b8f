"""Decides whether something is worth saying again: once a key in a while. It says nothing itself."""

from collections.abc import Hashable

from batchpools.telemetry.clock import Clock

_REMEMBERED = 1024


class Seldom:
    """Remembers what was said lately, by key; `again` in seconds. It forgets the oldest rather than grow."""

    def __init__(self, clock: Clock, again: float = 60.0) -> None:
        self._clock = clock
        self._again = again
        self._until: dict[Hashable, float] = {}

    def is_worth_saying(self, key: Hashable) -> bool:
        """True for the first time, and again once the time has passed."""
        now = self._clock.monotonic()
        if now < self._until.get(key, now):
            return False
        self._until.pop(key, None)  # so that the dict stays ordered by when something was said
        while len(self._until) >= _REMEMBERED:
            del self._until[next(iter(self._until))]
        self._until[key] = now + self._again
        return True
