"""When a pool is evaluated, and what its status says then."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.core.autoscale.formulas import NOW

from batchpools.core.autoscale.errors import FormulaCode
from batchpools.core.autoscale.preset import formula_of
from batchpools.core.autoscale.run import INSUFFICIENT, Occasion, Step, run_formula, stalled_by, step
from batchpools.core.autoscale.series import Series
from batchpools.core.views import AutoScale, AutoScaleRun, PoolView
from batchpools.testing import builders

FIVE = AutoScale(formula="$TargetDedicatedNodes = 5; $NodeDeallocationOption = taskcompletion")
PRESET = AutoScale(max_nodes=10)


def scaled(asked: AutoScale = FIVE) -> PoolView:
    return builders.pool(auto_scale=asked)


def occasion(pending: float = 0, waiting: int = 0) -> Occasion:
    return Occasion({"$pendingtaskslots": Series(now=pending), "$taskslotspernode": Series(now=1.0)}, waiting)


def after(pool: PoolView, told: Step) -> PoolView:
    return replace(pool, status=told.status)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_a_new_pool_is_evaluated_at_once() -> None:
    told = step(scaled(), occasion(), NOW)
    assert (told.status.target_dedicated_nodes, told.status.node_deallocation_option) == (5, "TaskCompletion")
    assert told.status.auto_scale_run == AutoScaleRun(
        timestamp=NOW,
        formula=FIVE.formula,
        results="$TargetDedicatedNodes=5;$TargetLowPriorityNodes=0;$NodeDeallocationOption=taskcompletion",
    )


def test_the_next_run_is_due_an_interval_after_the_last_one_that_anybody_wrote_down() -> None:
    pool = after(scaled(), step(scaled(), occasion(), NOW))
    early = step(pool, occasion(), NOW + seconds(899))
    assert (early.ran, early.again) == (None, 1.0)
    assert step(pool, occasion(), NOW + seconds(900)).ran is not None


def test_a_changed_formula_is_evaluated_at_once() -> None:
    pool = after(scaled(), step(scaled(), occasion(), NOW))
    changed = replace(pool, spec=replace(pool.spec, auto_scale=AutoScale(formula="$TargetDedicatedNodes = 7")))
    assert step(changed, occasion(), NOW + seconds(1)).status.target_dedicated_nodes == 7


def test_a_task_that_waits_for_an_empty_pool_makes_it_due_at_once() -> None:
    pool = after(scaled(PRESET), step(scaled(PRESET), occasion(), NOW))
    assert step(pool, occasion(), NOW + seconds(2)).ran is None
    assert step(pool, occasion(3, waiting=3), NOW + seconds(2)).status.target_dedicated_nodes == 3


def test_a_formula_that_wants_no_nodes_is_not_evaluated_all_the_time_while_tasks_wait() -> None:
    pool = scaled(AutoScale(formula="$TargetDedicatedNodes = 0"))
    pool = after(pool, step(pool, occasion(), NOW))
    assert step(pool, occasion(3, waiting=3), NOW + seconds(29)).ran is None
    assert step(pool, occasion(3, waiting=3), NOW + seconds(30)).ran is not None


def test_a_run_that_decides_nothing_new_is_written_down_once_a_minute() -> None:
    pool = after(scaled(PRESET), step(scaled(PRESET), occasion(), NOW))
    again = step(pool, occasion(), NOW + seconds(15))
    assert again.ran is not None
    assert again.status == pool.status
    seen = replace_evaluated(occasion(), NOW + seconds(15))
    assert step(pool, seen, NOW + seconds(29)).ran is None
    later = step(pool, occasion(), NOW + seconds(60)).status.auto_scale_run
    assert later is not None
    assert later.timestamp == NOW + seconds(60)


def replace_evaluated(one: Occasion, when: object) -> Occasion:
    return Occasion(one.samples, one.waiting, when)  # type: ignore[arg-type]


def test_an_error_leaves_the_size_and_says_where_it_is() -> None:
    pool = after(scaled(), step(scaled(), occasion(), NOW))
    broken = replace(pool, spec=replace(pool.spec, auto_scale=AutoScale(formula="$TargetDedicatedNodes = 7 %")))
    told = step(broken, occasion(), NOW + seconds(1)).status
    assert (told.target_dedicated_nodes, told.node_deallocation_option) == (5, "TaskCompletion")
    assert told.auto_scale_run is not None
    assert told.auto_scale_run.error is not None
    assert told.auto_scale_run.error.code == FormulaCode.SYNTAX
    assert stalled_by(told).startswith("Line 1, Col 27: there is no operator '%'")
    assert stalled_by(told).endswith(" " * 26 + "^")


def test_missing_samples_are_an_error_in_azures_words_and_stall_nothing() -> None:
    pool = scaled(AutoScale(formula="$TargetDedicatedNodes = avg($CPUPercent.GetSample(TimeInterval_Hour, 70))"))
    told = step(pool, occasion(), NOW).status
    assert told.auto_scale_run is not None
    error = told.auto_scale_run.error
    assert error is not None
    assert (error.code, error.message) == (FormulaCode.INSUFFICIENT_SAMPLES, INSUFFICIENT)
    words = "Line 1, Col 41: Insufficient data from data set: $CPUPercent wanted 70%, received 0%"
    assert [(one.name, one.value) for one in error.values] == [("Message", words)]
    assert stalled_by(told) == ""


def test_switched_off_it_keeps_its_size_and_its_last_run_and_switched_on_it_is_evaluated_at_once() -> None:
    pool = after(scaled(), step(scaled(), occasion(), NOW))
    off = replace(pool, spec=replace(pool.spec, auto_scale=None))
    told = step(off, occasion(), NOW + seconds(1)).status
    assert (told.target_dedicated_nodes, told.node_deallocation_option) == (5, "")
    assert told.auto_scale_run is not None
    assert told.auto_scale_run.formula == ""
    assert step(replace(off, status=told), occasion(), NOW + seconds(2)).status == told
    on = replace(pool, status=told)
    assert step(on, occasion(), NOW + seconds(3)).ran is not None


def test_switched_off_with_a_target_nothing_of_it_is_left() -> None:
    pool = after(scaled(), step(scaled(), occasion(), NOW))
    off = replace(pool, spec=replace(pool.spec, auto_scale=None, target_dedicated_nodes=2))
    told = step(off, occasion(), NOW + seconds(1)).status
    assert (told.auto_scale_run, told.node_deallocation_option) == (None, "")


def test_a_pool_without_autoscaling_is_left_alone() -> None:
    pool = builders.pool(target_dedicated_nodes=3)
    assert step(pool, Occasion(), NOW) == Step(pool.status)


@pytest.mark.parametrize("asked", [PRESET, AutoScale(min_nodes=1, max_nodes=5, idle_timeout="90s")])
def test_the_presets_formula_is_shown(asked: AutoScale) -> None:
    told = step(scaled(asked), occasion(), NOW).status.auto_scale_run
    assert told is not None
    assert told.formula == formula_of(asked)
    assert told.error is None


def test_trying_a_formula_decides_nothing() -> None:
    pool = scaled()
    run, evaluation = run_formula(pool, "$TargetDedicatedNodes = 9", {}, NOW)
    assert evaluation is not None
    assert (evaluation.dedicated, run.error) == (9, None)
    assert pool == scaled()


def test_a_clock_that_went_back_makes_nobody_wait_for_it() -> None:
    pool = after(scaled(), step(scaled(), occasion(), NOW))
    told = step(pool, occasion(), NOW - seconds(3600))
    assert told.ran is not None
    assert told.status.auto_scale_run is not None
    assert told.status.auto_scale_run.timestamp == NOW - seconds(3600)
