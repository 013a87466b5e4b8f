"""What the preset decides: it grows at once, by slots; it shrinks when it knows that the demand was lower for long."""

from collections.abc import Sequence

import pytest
from tests.core.autoscale.formulas import run_with, series

from batchpools.core.autoscale.preset import formula_of, interval_of
from batchpools.core.autoscale.series import Series
from batchpools.core.views import AutoScale

MINUTE = 2  # samples


def decided(
    asked: AutoScale, target: int, slots: float, pending: float, lately: Sequence[float | None] = ()
) -> tuple[int, str]:
    samples = {"PendingTaskSlots": series(lately, now=pending), "TaskSlotsPerNode": Series(now=slots)}
    told = run_with(samples, formula_of(asked), target)
    return told.dedicated, told.option


PRESET = AutoScale(max_nodes=10, idle_timeout="1m")


@pytest.mark.parametrize(
    ("pending", "slots", "nodes"), [(0, 4, 0), (1, 4, 1), (4, 4, 1), (5, 4, 2), (6, 2, 3), (40, 4, 10), (9999, 4, 10)]
)
def test_it_grows_to_what_all_pending_slots_need(pending: float, slots: float, nodes: int) -> None:
    assert decided(PRESET, 0, slots, pending) == (nodes, "TaskCompletion")


def test_it_stays_between_its_bounds() -> None:
    asked = AutoScale(min_nodes=2, max_nodes=3)
    assert decided(asked, 0, 1, 0)[0] == 2
    assert decided(asked, 9, 1, 99)[0] == 3
    assert decided(AutoScale(max_nodes=0), 0, 1, 99)[0] == 0


def test_it_shrinks_only_when_the_demand_of_the_whole_window_was_lower() -> None:
    assert decided(PRESET, 8, 1, 0, [5, 5, 0, 0])[0] == 0
    assert decided(PRESET, 8, 1, 0, [5, 5, 3, 0])[0] == 3
    assert decided(PRESET, 8, 1, 4, [0, 0, 0, 0])[0] == 4


def test_it_does_not_shrink_while_samples_are_missing() -> None:
    assert decided(PRESET, 8, 1, 0, [])[0] == 8
    assert decided(PRESET, 8, 1, 0, [None, 0])[0] == 8
    assert decided(PRESET, 8, 1, 9, [None, 0])[0] == 9


def test_low_priority_nodes_of_before_leave() -> None:
    samples = {"PendingTaskSlots": series([0, 0], now=9.0), "TaskSlotsPerNode": Series(now=1.0)}
    told = run_with(samples, formula_of(PRESET), 1, low_priority=3)
    assert (told.dedicated, told.low_priority) == (9, 0)


def test_a_window_shorter_than_a_sample_still_holds_one() -> None:
    assert decided(AutoScale(max_nodes=9, idle_timeout="1s"), 8, 1, 0, [2])[0] == 2
    assert decided(AutoScale(max_nodes=9), 8, 1, 0, [0] * (5 * MINUTE))[0] == 0


def test_intervals() -> None:
    assert interval_of(PRESET).total_seconds() == 15
    assert interval_of(AutoScale(formula="a = 1")).total_seconds() == 900
    assert interval_of(AutoScale(formula="a = 1", evaluation_interval="1s")).total_seconds() == 1
    assert interval_of(AutoScale(max_nodes=1, evaluation_interval="168h")).total_seconds() == 168 * 3600


def test_the_formula_says_what_it_was_made_of() -> None:
    assert formula_of(AutoScale(max_nodes=4)).startswith("// preset: minNodes 0, maxNodes 4, idleTimeout 5m\n")
