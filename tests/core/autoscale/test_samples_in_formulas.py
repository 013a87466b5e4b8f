"""GetSample and its kin: windows, percentages, what fails without samples."""

import pytest
from tests.core.autoscale.formulas import run, series, value

from batchpools.core.autoscale.errors import FormulaCode, FormulaError
from batchpools.core.autoscale.values import Vector

SIX = series([10, 12, 14, 16, 18, 20])
TWENTY = series([float(number) for number in range(18)] + [None, None])


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("GetSample(1)", [20]),
        ("GetSample(2.9)", [18, 20]),
        ("GetSample(99)", [10, 12, 14, 16, 18, 20]),
        ("GetSample(TimeInterval_Minute)", [18, 20]),
        ("GetSample(TimeInterval_Minute, 100)", [18, 20]),
        ("GetSample(TimeInterval_Minute * 0, TimeInterval_Minute * 1.5)", [16, 18, 20]),
        ("GetSample(TimeInterval_Minute, TimeInterval_Minute * 2)", [14, 16]),
        ("GetSample(TimeInterval_Minute * 2, TimeInterval_Minute)", [14, 16]),
        ("GetSample(time() - TimeInterval_Minute)", [18, 20]),
        ("GetSample(time() - TimeInterval_Minute, time(), 50)", [18, 20]),
        ("GetSample(time() - 2 * TimeInterval_Minute, TimeInterval_Minute)", [14, 16]),
    ],
)
def test_which_samples_a_call_gives_oldest_first(call: str, expected: list[float]) -> None:
    assert value(f"$PendingTasks.{call}", PendingTasks=SIX) == Vector(tuple(expected))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$RunningTasks.GetSamplePercent(10 * TimeInterval_Minute)", 90),
        ("$RunningTasks.GetSamplePercent(TimeInterval_Minute, 6 * TimeInterval_Minute)", 100),
        ("$RunningTasks.GetSamplePercent(TimeInterval_Second)", 0),
        ("$RunningTasks.Count()", 18),
        ("$RunningTasks.GetSamplePeriod() / TimeInterval_Second", 30),
        ("(time() - $RunningTasks.HistoryBeginTime()) / TimeInterval_Second", 570),
        ("$ActiveTasks.Count()", 0),
        ("$ActiveTasks.GetSamplePercent(TimeInterval_Hour)", 0),
    ],
)
def test_what_is_told_about_samples(expression: str, expected: float) -> None:
    assert value(expression, RunningTasks=TWENTY) == expected


def test_ninety_percent_pass_eighty_and_fail_ninety_five() -> None:
    call = "$TargetDedicatedNodes = max($RunningTasks.GetSample(10 * TimeInterval_Minute, {}))"
    assert run(call.format(80), RunningTasks=TWENTY).dedicated == 17
    with pytest.raises(FormulaError) as caught:
        run(call.format(95), RunningTasks=TWENTY)
    assert caught.value.code == FormulaCode.INSUFFICIENT_SAMPLES
    assert (
        caught.value.message
        == "Line 1, Col 43: Insufficient data from data set: $RunningTasks wanted 95%, received 90%"
    )


@pytest.mark.parametrize(
    "expression",
    [
        "$PendingTasks.GetSample(1)",
        "$PendingTasks.GetSample(TimeInterval_Hour)",
        "$pendingtasks.HistoryBeginTime()",
        "1 + $PendingTasks",
    ],
)
def test_without_any_sample_the_code_says_so(expression: str) -> None:
    with pytest.raises(FormulaError, match=r"Insufficient data from data set: \$PendingTasks") as caught:
        value(expression)
    assert caught.value.code == FormulaCode.INSUFFICIENT_SAMPLES


def test_an_evaluation_that_handles_too_many_samples_ends_with_a_sentence() -> None:
    long = series([1.0] * 2880)
    text = "v = $PendingTasks.GetSample(2880);" + "a = avg(" + ",".join(["v"] * 4000) + ")"
    with pytest.raises(FormulaError, match="more than 250000 samples"):
        run(text, PendingTasks=long)
