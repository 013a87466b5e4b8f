"""What the methods of a variable's samples answer: GetSample and its kin. Pure.

Source: the article on automatic scaling. Without a percentage one sample is enough: the documentation names no default.
"""

from collections.abc import Sequence

from batchpools.core.autoscale.errors import ValueFaultError
from batchpools.core.autoscale.series import PERIOD, Series, insufficient
from batchpools.core.autoscale.values import (
    TICKS_PER_SECOND,
    TimeInterval,
    Timestamp,
    Value,
    Vector,
    kind_of,
    number_of,
    single,
)


def sample_method(method: str, name: str, series: Series, arguments: Sequence[Value], now: Timestamp) -> Value:
    """The answer of `name.method(arguments)`; ValueFaultError when there is none. method: lower case."""
    match method:
        case "count":
            return float(len(series.values))
        case "getsampleperiod":
            return TimeInterval(round(PERIOD * TICKS_PER_SECOND))
        case "historybegintime":
            if not len(series.times):
                raise insufficient(name, 100.0, 0.0)
            return Timestamp.of_unix(series.times[0])
        case "getsamplepercent":
            one, other = _window(arguments, now)
            return series.percent(one, other)
    return Vector(_get_sample(name, series, arguments, now))


def _get_sample(name: str, series: Series, arguments: Sequence[Value], now: Timestamp) -> tuple[float, ...]:
    first = single(arguments[0])
    if isinstance(first, float):
        if len(arguments) > 1:
            raise ValueFaultError("after a number of samples nothing else is expected")
        return series.last(first, name)
    times, percent = list(arguments), 0.0
    if len(times) == 3 or (len(times) == 2 and isinstance(single(times[1]), float)):
        percent = number_of(times.pop(), "the percentage of samples")
    one, other = _window(times, now)
    received = series.percent(one, other)
    if received < percent or not received:
        raise insufficient(name, max(percent, 1.0), received)
    return series.between(one, other)


def _window(arguments: Sequence[Value], now: Timestamp) -> tuple[float, float]:
    """From one moment to another, in Unix seconds; with one argument up to now."""
    moments = [_moment(one, now) for one in arguments]
    return moments[0], moments[1] if len(moments) > 1 else now.unix


def _moment(value: Value, now: Timestamp) -> float:
    """A timestamp, or an interval back from now."""
    if isinstance(value, Timestamp):
        return value.unix
    if isinstance(value, TimeInterval):
        return now.unix - value.seconds
    raise ValueFaultError(f"a timestamp or a timeinterval is expected, not a {kind_of(value)}")
