"""Decides which connections may say hello at all: a few unknown ones of an address at a time (safety rule S9.1).

A task may open TCP to the hub. What it wastes there counts against its own address for a while, so it can neither flood the
hub with connections nor the API server with reviews of made-up tokens. It also says which refusals are worth a line in the log.
"""

from collections import Counter
from typing import TypeVar

_KeyT = TypeVar("_KeyT")
_ValueT = TypeVar("_ValueT")

AT_ONCE = 16  # connections of one address that are not admitted
PENALTY = 5.0  # seconds that a refused connection goes on to count
LOG_AGAIN = 60.0  # seconds between two lines about the same refusal of the same address
_REMEMBERED = 1024


class Strangers:
    """Counts connections by source address. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._penalties: dict[str, list[float]] = {}
        self._logged: dict[tuple[str, str], float] = {}

    def arrive(self, address: str, now: float) -> bool:
        """A connection has come; whether it may go on. `leave` is called for it in any case."""
        self._open[address] += 1
        return self._open[address] + self._held_against(address, now) <= AT_ONCE

    def leave(self, address: str) -> None:
        """It was admitted, or it is gone."""
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]

    def penalize(self, address: str, now: float) -> None:
        """It said something that no node says."""
        if len(self._penalties) >= _REMEMBERED:
            self._penalties = _latest({one: ends for one, ends in self._penalties.items() if ends[-1] > now})
        if self._held_against(address, now) < AT_ONCE:
            self._penalties.setdefault(address, []).append(now + PENALTY)

    def is_worth_logging(self, address: str, code: str, now: float) -> bool:
        """Whether this refusal of this address was not logged lately."""
        if now < self._logged.get((address, code), now - 1):
            return False
        if len(self._logged) >= _REMEMBERED:
            self._logged = _latest({one: until for one, until in self._logged.items() if until > now})
        self._logged[address, code] = now + LOG_AGAIN
        return True

    def _held_against(self, address: str, now: float) -> int:
        ends = [one for one in self._penalties.get(address, ()) if one > now]
        if ends:
            self._penalties[address] = ends
        else:
            self._penalties.pop(address, None)
        return len(ends)


def _latest(held: dict[_KeyT, _ValueT]) -> dict[_KeyT, _ValueT]:
    """At most half of what is remembered, the latest: whoever has addresses without end makes us forget, not grow."""
    return dict(list(held.items())[-_REMEMBERED // 2 :])
