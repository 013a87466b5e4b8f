"""The samples of one pool: a ring of spans of 30 s, with one value of each variable, in bounded memory. Pure.

Counts are put in by the leader as it sees them; what nodes measure is averaged as it comes, also into spans that are past (a node
tells a new leader what it measured before). A span without a value is a sample that is missing.

A day of samples takes 0.6 MiB: 2,880 spans of 25 numbers of 8 bytes, and the count of nodes behind each average.
"""

import math
from array import array
from collections.abc import Mapping

from batchpools.core.autoscale.series import PERIOD, Series
from batchpools.core.autoscale.vocabulary import RESOURCE_VARIABLES, SAMPLE_NODE_COUNT, SAMPLED

KEPT = 2880  # spans of an autoscaled pool: a day
KEPT_IN_RESERVE = 20  # of another one: ten minutes, so that a formula can be tried
_MISSING = math.nan
_STEP = int(PERIOD)


def span_of(unix: float) -> int:
    """The number of the span that a moment belongs to."""
    return int(unix // PERIOD)


class History:
    """Adds spans at either end, forgets those that are older than `kept` spans."""

    def __init__(self) -> None:
        self._first = 0  # the number of the oldest span
        self._values: dict[str, array[float]] = {name: array("d") for name in SAMPLED.values()}
        self._measured: dict[str, array[int]] = {name: array("H") for name in RESOURCE_VARIABLES}
        self._size = 0

    def __len__(self) -> int:
        """How many spans there are, also empty ones."""
        return self._size

    def count(self, span: int, values: Mapping[str, float], kept: int = KEPT) -> None:
        """What is counted in a span, by name of the variable; a later word for the same span replaces the former."""
        if self._make_room(span, kept):
            for name, value in values.items():
                self._values[name][span - self._first] = value

    def measure(self, span: int, values: Mapping[str, float], kept: int = KEPT) -> None:
        """What one node measured in a span: becomes part of the averages, and the node one of $SampleNodeCount."""
        if not self._make_room(span, kept):
            return
        at = span - self._first
        for name, value in values.items():
            averages, counts = self._values[name], self._measured[name]
            counts[at] = min(counts[at] + 1, 0xFFFF)
            former = 0.0 if counts[at] == 1 else averages[at]
            averages[at] = former + (value - former) / counts[at]
        nodes = self._values[SAMPLE_NODE_COUNT]
        nodes[at] = 1.0 if math.isnan(nodes[at]) else nodes[at] + 1

    def series(self, name: str, now: float | None = None) -> Series:
        """The samples of a variable that are there; now: its present value."""
        if not math.isnan(sum(self._values[name])):  # none is missing: nothing has to be looked at
            return Series(
                range(self._first * _STEP, (self._first + self._size) * _STEP, _STEP), self._values[name][:], now
            )
        times, values = array("d"), array("d")
        for at, value in enumerate(self._values[name]):
            if not math.isnan(value):
                times.append((self._first + at) * PERIOD)
                values.append(value)
        return Series(times, values, now)

    def _make_room(self, span: int, kept: int) -> bool:
        """Extend to a span; False when it is too old to be kept."""
        if not self._size or span >= self._first + self._size + kept:  # the clock jumped: nothing of before counts
            self._clear(span)
        last = self._first + self._size - 1
        if span <= last - kept:
            return False
        if span < self._first:
            self._extend_front(self._first - span)
        elif span > last:
            self._extend_back(span - last)
        self._drop_front(self._size - kept)
        return True

    def _clear(self, span: int) -> None:
        self._drop_front(self._size)
        self._first, self._size = span, 0
        self._extend_back(1)

    def _extend_back(self, spans: int) -> None:
        self._size += spans
        for values in self._values.values():
            values.extend([_MISSING] * spans)
        for counts in self._measured.values():
            counts.extend([0] * spans)

    def _extend_front(self, spans: int) -> None:
        self._size += spans
        self._first -= spans
        for name, values in self._values.items():
            self._values[name] = array("d", [_MISSING] * spans) + values
        for name, counts in self._measured.items():
            self._measured[name] = array("H", [0] * spans) + counts

    def _drop_front(self, spans: int) -> None:
        if spans <= 0:
            return
        self._size -= spans
        self._first += spans
        for values in self._values.values():
            del values[:spans]
        for counts in self._measured.values():
            del counts[:spans]
