"""The values of formulas: double (a float), doubleVec, string, timestamp, timeinterval, deallocation words. Pure.

It decides how values are written in `results`. Times count ticks of 100 ns, as Azure's own do: sums of them are exact.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from batchpools.core.autoscale.errors import ValueFaultError

TICKS_PER_SECOND = 10_000_000
_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
_UNIX_EPOCH = (datetime(1970, 1, 1, tzinfo=UTC) - _YEAR_ONE) // timedelta(seconds=1) * TICKS_PER_SECOND
_LAST_TICK = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _YEAR_ONE) // timedelta(seconds=1) * TICKS_PER_SECOND
_LONGEST = 1 << 63
_SHOWN_ELEMENTS = 10


@dataclass(frozen=True, slots=True, order=True)
class TimeInterval:
    """A length of time, which may be negative."""

    ticks: int

    def __post_init__(self) -> None:
        if not -_LONGEST <= self.ticks < _LONGEST:
            raise ValueFaultError("the time interval is too long")

    @property
    def seconds(self) -> float:
        """In seconds."""
        return self.ticks / TICKS_PER_SECOND

    def __str__(self) -> str:
        """`[-][d.]hh:mm:ss[.fffffff]`, as .NET writes it."""
        seconds, fraction = divmod(abs(self.ticks), TICKS_PER_SECOND)
        minutes, second = divmod(seconds, 60)
        hours, minute = divmod(minutes, 60)
        days, hour = divmod(hours, 24)
        sign, before, after = "-" if self.ticks < 0 else "", f"{days}." if days else "", f".{fraction:07d}"
        return f"{sign}{before}{hour:02d}:{minute:02d}:{second:02d}{after if fraction else ''}"


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment, in UTC, between the years 1 and 9999."""

    ticks: int

    def __post_init__(self) -> None:
        if not 0 <= self.ticks <= _LAST_TICK:
            raise ValueFaultError("the timestamp is outside the years 1 to 9999")

    @classmethod
    def of(cls, moment: datetime) -> "Timestamp":
        """From a datetime with a time zone."""
        return cls((moment - _YEAR_ONE) // timedelta(microseconds=1) * 10)

    @property
    def moment(self) -> datetime:
        """As a datetime in UTC."""
        return _YEAR_ONE + timedelta(microseconds=self.ticks // 10)

    @property
    def unix(self) -> float:
        """Unix seconds."""
        return (self.ticks - _UNIX_EPOCH) / TICKS_PER_SECOND

    @classmethod
    def of_unix(cls, seconds: float) -> "Timestamp":
        """From Unix seconds."""
        return cls(round(seconds * TICKS_PER_SECOND) + _UNIX_EPOCH)

    def member(self, name: str) -> float:
        """year, month, day, hour, minute, second, weekday (1 = Monday, 7 = Sunday)."""
        moment = self.moment
        return float(moment.isoweekday() if name == "weekday" else getattr(moment, name))

    def __str__(self) -> str:
        """ISO 8601 with milliseconds and Z, as in the documented results."""
        moment = self.moment
        return (
            f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}T{moment.hour:02d}:{moment.minute:02d}:"
            f"{moment.second:02d}.{moment.microsecond // 1000:03d}Z"
        )


@dataclass(frozen=True, slots=True)
class Vector:
    """A doubleVec; never empty."""

    elements: tuple[float, ...]

    def __str__(self) -> str:
        """`[1,2,3]`, a long one shortened."""
        shown = ",".join(text_of(one) for one in self.elements[:_SHOWN_ELEMENTS])
        return f"[{shown}{',...' if len(self.elements) > _SHOWN_ELEMENTS else ''}]"


@dataclass(frozen=True, slots=True)
class Word:
    """A deallocation option, spelled as in a Pool."""

    option: str

    def __str__(self) -> str:
        """Lower case, as in Azure's results."""
        return self.option.lower()


Value = float | Vector | str | Timestamp | TimeInterval | Word


def finite(number: float) -> float:
    """The number; ValueFaultError when it is infinite or none."""
    if not math.isfinite(number):
        raise ValueFaultError("the result is not a finite number")
    return number


def kind_of(value: Value) -> str:
    """What the documentation calls its type."""
    match value:
        case float():
            return "double"
        case Vector():
            return "doubleVec"
        case str():
            return "string"
        case Timestamp():
            return "timestamp"
        case TimeInterval():
            return "timeinterval"
        case Word():
            return "deallocation option"


def single(value: Value) -> Value:
    """A vector of one element counts as a double where a double is wanted."""
    if isinstance(value, Vector) and len(value.elements) == 1:
        return value.elements[0]
    return value


def number_of(value: Value, what: str) -> float:
    """A double; ValueFaultError with `what` when it is none."""
    one = single(value)
    if isinstance(one, float):
        return one
    raise ValueFaultError(f"{what} must be a double, not a {kind_of(one)}")


def text_of(value: Value) -> str:
    """As `results` shows it: whole numbers without a point."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)
