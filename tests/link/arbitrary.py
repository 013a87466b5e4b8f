"""Arbitrary messages: `values` are such as the link carries, bounds kept to the edge; `wild` ones have the right types, no more."""

from typing import Annotated, Any, get_args, get_origin

import msgspec
from hypothesis import strategies as st

_UTF8 = st.characters(exclude_categories=["Cs"])  # what goes over the wire
TEXT = st.text(_UTF8)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    bytes: st.binary(),
    type(None): st.none(),
}
WILD: dict[Any, st.SearchStrategy[Any]] = {
    **PLAIN,
    str: st.sampled_from(["", "a", "../../secrets", "a" * 5000, "\x00", "uid:-:1:1", "uid:-:٣:1", "é\n", "🦊"]),
    int: st.one_of(st.integers(-(2**63), 2**64 - 1), st.sampled_from([-1, 0, 1, 2**31 - 1, 2**31, 2**63, 2**64 - 1])),
    float: st.one_of(st.floats(), st.sampled_from([-1.0, 1e18, 253402300800.0, float("nan"), float("inf")])),
    bytes: st.sampled_from([b"", b"\xff", bytes(10_000)]),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type that the link carries."""
    bounds = _bounds(kind)
    if get_origin(kind) is Annotated:
        return _bounded(get_args(kind)[0], bounds)
    return _made(kind, PLAIN, values)


def wild(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type, whatever its bounds."""
    if get_origin(kind) is Annotated:
        return st.one_of(values(kind), wild(get_args(kind)[0]))
    return _made(kind, WILD, wild)


def _made(kind: Any, plain: dict[Any, st.SearchStrategy[Any]], inner: Any) -> st.SearchStrategy[Any]:
    if kind in plain:
        return plain[kind]
    if get_origin(kind) is list:
        return st.lists(inner(get_args(kind)[0]), max_size=3)
    if get_args(kind):
        return st.one_of([inner(one) for one in get_args(kind)])
    return st.builds(kind, **{field.name: inner(field.type) for field in msgspec.structs.fields(kind)})


def _bounds(kind: Any) -> msgspec.Meta:
    return next((one for one in get_args(kind) if isinstance(one, msgspec.Meta)), msgspec.Meta())


def _bounded(kind: Any, bounds: msgspec.Meta) -> st.SearchStrategy[Any]:
    if get_origin(kind) is list:
        return st.lists(values(get_args(kind)[0]), max_size=3)
    if kind is str and bounds.pattern is not None:
        return st.sampled_from(["a", "primes.work", "0", "a-b.c-1", "x" * (bounds.max_length or 0)])
    if kind is str:
        edge = st.just("x" * (bounds.max_length or 0))
        return st.one_of(st.text(_UTF8, max_size=min(bounds.max_length or 20, 20)), edge)
    if kind is int:
        return st.integers(_whole(bounds.ge), _whole(bounds.le))
    return st.floats(bounds.ge, bounds.le, allow_nan=False)


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)
