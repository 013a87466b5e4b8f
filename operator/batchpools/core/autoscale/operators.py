"""The operators of formulas: which types go together and what comes out. Pure.

Source: the table of operations in the article on automatic scaling, and the obvious ones that it leaves out: timestamp -
timeinterval, double op doubleVec, timeinterval / timeinterval. Truth is a double, 1 or 0. && and || are lazy: the evaluator's.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from batchpools.core.autoscale.errors import ValueFaultError
from batchpools.core.autoscale.values import TimeInterval, Timestamp, Value, Vector, Word, finite, kind_of, single

_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def operate(sign: str, left: Value, right: Value) -> Value:
    """`left sign right`; ValueFaultError when the types do not go together or there is no result."""
    try:
        result = _compare(sign, left, right) if sign in _COMPARISONS else _calculate(sign, left, right)
    except ZeroDivisionError:
        raise ValueFaultError("division by zero") from None
    except OverflowError:
        raise ValueFaultError("the result is too large") from None
    if result is None:
        raise ValueFaultError(f"{kind_of(left)} {sign} {kind_of(right)} has no meaning")
    return result


def negate(sign: str, value: Value) -> Value:
    """`-` of a double, vector or interval, `!` of a double."""
    if sign == "!":
        one = single(value)
        if isinstance(one, float):
            return float(one == 0)
    elif isinstance(value, float):
        return -value
    elif isinstance(value, Vector):
        return Vector(tuple(-one for one in value.elements))
    elif isinstance(value, TimeInterval):
        return TimeInterval(-value.ticks)
    raise ValueFaultError(f"{sign} {kind_of(value)} has no meaning")


def _compare(sign: str, left: Value, right: Value) -> Value | None:
    left, right = single(left), single(right)
    if type(left) is not type(right) or isinstance(left, Vector):
        return None
    if isinstance(left, Word) and sign not in {"==", "!="}:
        return None
    return float(_COMPARISONS[sign](left, right))


def _calculate(sign: str, left: Value, right: Value) -> Value | None:
    """None when the types do not go together."""
    if isinstance(left, float) and isinstance(right, float):
        return finite(_ARITHMETIC[sign](left, right))
    if isinstance(left, float | Vector) and isinstance(right, float | Vector):
        return _elementwise(sign, left, right)
    return _on_time(sign, single(left), single(right))


def _elementwise(sign: str, left: float | Vector, right: float | Vector) -> Vector:
    lefts = left.elements if isinstance(left, Vector) else (left,)
    rights = right.elements if isinstance(right, Vector) else (right,)
    size = max(len(lefts), len(rights))
    if not {len(lefts), len(rights)} <= {1, size}:
        raise ValueFaultError(f"a vector of {len(lefts)} elements {sign} one of {len(rights)} has no meaning")
    lefts, rights = lefts * (size // len(lefts)), rights * (size // len(rights))
    function = _ARITHMETIC[sign]
    return Vector(tuple(finite(function(one, other)) for one, other in zip(lefts, rights, strict=True)))


def _on_time(sign: str, left: Value, right: Value) -> Value | None:
    match sign, left, right:
        case "+" | "-", TimeInterval(), TimeInterval():
            return TimeInterval(left.ticks + right.ticks if sign == "+" else left.ticks - right.ticks)
        case "+", TimeInterval(), Timestamp():
            return Timestamp(left.ticks + right.ticks)
        case "+" | "-", Timestamp(), TimeInterval():
            return Timestamp(left.ticks + right.ticks if sign == "+" else left.ticks - right.ticks)
        case "-", Timestamp(), Timestamp():
            return TimeInterval(left.ticks - right.ticks)
        case "*", float(), TimeInterval():
            return TimeInterval(round(finite(left * right.ticks)))
        case "*", TimeInterval(), float():
            return TimeInterval(round(finite(left.ticks * right)))
        case "/", TimeInterval(), float():
            return TimeInterval(round(finite(left.ticks / right)))
        case "/", TimeInterval(), TimeInterval():
            return left.ticks / right.ticks
    return None
