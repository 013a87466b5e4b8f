"""The functions of formulas that need nothing but their arguments, and how many arguments each function takes. Pure.

Source: the article on automatic scaling; round, floor and ceil as in its later editions (halves away from zero).
A list of doubles and vectors is read as one list: `avg(v, 7)` with v = [1,2,3] is the average of 1, 2, 3, 7.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from batchpools.core.autoscale.errors import ValueFaultError
from batchpools.core.autoscale.values import Value, Vector, finite, kind_of, number_of, single

_MANY = 1 << 30

Numbers = Sequence[float]


def flat(arguments: Sequence[Value]) -> list[float]:
    """All doubles of a list of doubles and vectors; ValueFaultError for another type."""
    found: list[float] = []
    for one in arguments:
        if isinstance(one, Vector):
            found.extend(one.elements)
        elif isinstance(one, float):
            found.append(one)
        else:
            raise ValueFaultError(f"a double or a doubleVec is expected, not a {kind_of(one)}")
    return found


def call(function: str, arguments: Sequence[Value]) -> Value:
    """The value of a function of the table; ValueFaultError when it has none."""
    try:
        if function in _REDUCING:
            return finite(_REDUCING[function](flat(arguments)))
        if function in _ELEMENTWISE:
            return _each(_ELEMENTWISE[function], arguments)
        if function == "vec":
            return Vector(tuple(flat(arguments)))
        return _PICKING[function](flat(arguments[:1]), number_of(arguments[1], "the second argument"))
    except (OverflowError, ZeroDivisionError, ValueError):
        raise ValueFaultError(f"{function}() has no finite value for these arguments") from None


def _each(function: Callable[[float], float], arguments: Sequence[Value]) -> Value:
    if len(arguments) == 1 and isinstance(arguments[0], float):
        return finite(function(arguments[0]))
    return Vector(tuple(finite(function(one)) for one in flat(arguments)))


def _average(numbers: Numbers) -> float:
    return math.fsum(numbers) / len(numbers)


def _deviation(numbers: Numbers) -> float:
    """Of a sample: n - 1."""
    if len(numbers) < 2:
        raise ValueFaultError("std() needs at least two values")
    mean = _average(numbers)
    return math.sqrt(math.fsum((one - mean) * (one - mean) for one in numbers) / (len(numbers) - 1))


def _round(number: float) -> float:
    """Halves away from zero."""
    whole = float(math.trunc(number))
    return whole + math.copysign(1.0, number) if abs(number - whole) >= 0.5 else whole


def _percentile(numbers: Numbers, percent: float) -> float:
    """0 to 100, linear between the two nearest elements."""
    if not 0 <= percent <= 100:
        raise ValueFaultError("a percentile lies between 0 and 100")
    ordered = sorted(numbers)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    share = place - below
    return finite(ordered[below] * (1 - share) + ordered[above] * share)


def _element(numbers: Numbers, index: float) -> float:
    place = math.trunc(index)
    if not 0 <= place < len(numbers):
        raise ValueFaultError(f"the vector has the elements 0 to {len(numbers) - 1}, but no {place}")
    return numbers[place]


_REDUCING: Mapping[str, Callable[[Numbers], float]] = {
    "avg": _average,
    "max": max,
    "min": min,
    "sum": math.fsum,
    "norm": lambda numbers: math.hypot(*numbers),
    "range": lambda numbers: max(numbers) - min(numbers),
    "std": _deviation,
    "len": lambda numbers: float(len(numbers)),
}
_ELEMENTWISE: Mapping[str, Callable[[float], float]] = {
    "lg": math.log2,
    "ln": math.log,
    "log": math.log10,
    "round": _round,
    "floor": lambda number: float(math.floor(number)),
    "ceil": lambda number: float(math.ceil(number)),
}
_PICKING: Mapping[str, Callable[[Numbers, float], float]] = {"percentile": _percentile, "val": _element}

ARGUMENTS: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys((*_REDUCING, *_ELEMENTWISE, "vec"), (1, _MANY)),
    **dict.fromkeys(_PICKING, (2, 2)),
    "rand": (0, 0),
    "time": (0, 1),
    "stop": (0, 0),
}


def truth(value: Value) -> bool:
    """Whether a condition holds: a double other than 0."""
    return number_of(single(value), "a condition") != 0
