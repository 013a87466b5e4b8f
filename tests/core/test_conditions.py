"""How a list of conditions changes."""

from datetime import UTC, datetime, timedelta

from batchpools.core.conditions import find_condition, set_condition, without_condition
from batchpools.core.views import ConditionView

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def said(type_: str, status: str, reason: str = "Because", generation: int = 1) -> ConditionView:
    return ConditionView(type=type_, status=status, reason=reason, observed_generation=generation)


def test_the_time_moves_only_when_the_status_does() -> None:
    first = set_condition((), said("Ready", "True"), now=NOW)
    same = set_condition(first, said("Ready", "True", "Other"), now=LATER)
    moved = set_condition(first, said("Ready", "False"), now=LATER)
    assert [one[0].last_transition_time for one in (first, same, moved)] == [NOW, NOW, LATER]
    assert same[0].reason == "Other"


def test_the_observed_generation_always_moves() -> None:
    first = set_condition((), said("Ready", "True"), now=NOW)
    assert set_condition(first, said("Ready", "True", generation=2), now=LATER)[0].observed_generation == 2


def test_times_are_written_to_the_second_as_the_api_server_keeps_them() -> None:
    (one,) = set_condition((), said("Ready", "True"), now=NOW + timedelta(microseconds=7))
    assert one.last_transition_time == NOW


def test_the_order_of_types_is_kept() -> None:
    both = set_condition(set_condition((), said("A", "True"), now=NOW), said("B", "True"), now=NOW)
    changed = set_condition(both, said("A", "False"), now=LATER)
    assert [one.type for one in changed] == ["A", "B"]
    assert find_condition(changed, "C") is None
    assert [one.type for one in without_condition(changed, "A")] == ["B"]
