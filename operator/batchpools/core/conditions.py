"""Decides how a list of conditions changes: the time moves only when the status does; the order of types is kept. Pure."""

from datetime import datetime

from msgspec.structs import replace

from batchpools.core.views import ConditionView


def set_condition(
    conditions: tuple[ConditionView, ...], said: ConditionView, *, now: datetime
) -> tuple[ConditionView, ...]:
    """The list with one condition as said (its lastTransitionTime is ignored)."""
    former = find_condition(conditions, said.type)
    moved = former is None or former.status != said.status
    since = now.replace(microsecond=0) if moved or former is None else former.last_transition_time
    settled = replace(said, last_transition_time=since)
    if former is None:
        return (*conditions, settled)
    if settled == former:
        return conditions
    return tuple([settled if one.type == said.type else one for one in conditions])


def find_condition(conditions: tuple[ConditionView, ...], type_: str) -> ConditionView | None:
    """The condition of a type."""
    for one in conditions:
        if one.type == type_:
            return one
    return None


def without_condition(conditions: tuple[ConditionView, ...], type_: str) -> tuple[ConditionView, ...]:
    """The list without a type."""
    return tuple(one for one in conditions if one.type != type_)
