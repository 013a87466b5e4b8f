"""The samples of one variable, and the methods that formulas call on them. Pure.

Source: the article on automatic scaling, "Obtain sample data". A sample belongs to a span of 30 s; a window holds as many as
spans begin in it, so six in three minutes. Vectors are oldest first.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from batchpools.core.autoscale.errors import FormulaCode, ValueFaultError

PERIOD = 30.0  # seconds between two samples


def _nothing() -> "array[float]":
    return array("d")


@dataclass(frozen=True, slots=True)
class Series:
    """times: Unix seconds, ascending; values beside them. now: what the variable is at present, None = its last sample."""

    times: Sequence[float] = field(default_factory=_nothing)
    values: Sequence[float] = field(default_factory=_nothing)
    now: float | None = None

    @property
    def latest(self) -> float | None:
        """What the variable means where a double stands; None when nothing is known."""
        if self.now is not None:
            return float(self.now)
        return self.values[-1] if len(self.values) else None

    def last(self, count: float, name: str) -> tuple[float, ...]:
        """The last `count` samples, however old, or as many as there are; ValueFaultError when there is none."""
        if count < 1:
            raise ValueFaultError("at least one sample must be asked for")
        if not len(self.values):
            raise insufficient(name, 100.0, 0.0)
        return tuple(self.values[-min(int(count), len(self.values)) :])

    def between(self, one: float, other: float) -> tuple[float, ...]:
        """The samples after the earlier moment, up to the later one; the two may come in any order."""
        begin, end = min(one, other), max(one, other)
        return tuple(self.values[bisect_right(self.times, begin) : bisect_right(self.times, end)])

    def percent(self, one: float, other: float) -> float:
        """How many of the possible samples of a window are there, 0 to 100."""
        possible = max(1, int(abs(other - one) // PERIOD))
        return min(100.0, 100.0 * len(self.between(one, other)) / possible)


def insufficient(name: str, wanted: float, received: float) -> ValueFaultError:
    """Too few samples, in Azure's words."""
    sentence = f"Insufficient data from data set: {name} wanted {wanted:g}%, received {received:g}%"
    return ValueFaultError(sentence, FormulaCode.INSUFFICIENT_SAMPLES)
