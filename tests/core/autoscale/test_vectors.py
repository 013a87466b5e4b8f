"""Formulas with known results: those of the documentation's shapes, and many of our own."""

import pytest
from tests.core.autoscale.formulas import run, series, value

FOLLOW = """
    // E1 = F1
    cap = 25; floor1 = 1;
    have = $PendingTasks.GetSamplePercent(180 * TimeInterval_Second);
    want = have < 70 ? floor1 : avg($PendingTasks.GetSample(180 * TimeInterval_Second));
    $TargetDedicatedNodes = min(cap, want);
    $NodeDeallocationOption = taskcompletion;
"""
PARALLEL = """
    // E3 = F5, no trailing semicolon
    busy = max(0, $ActiveTasks.GetSample(1)); more = ((busy - $TargetDedicatedNodes * 4) + 3) / 4;
    $TargetDedicatedNodes = max(0, min($TargetDedicatedNodes + more, 3))
"""
WORK_HOURS = """
    $curTime = time();
    $workHours = $curTime.hour >= 8 && $curTime.hour < 18;
    $isWeekday = $curTime.weekday >= 1 && $curTime.weekday <= 5;
    $isWorkingWeekdayHour = $workHours && $isWeekday;
    $TargetDedicatedNodes = $isWorkingWeekdayHour ? 20:10;
    $NodeDeallocationOption = taskcompletion;
"""


def test_f1_a_pool_follows_its_pending_tasks() -> None:
    told = run(FOLLOW, PendingTasks=series([10, 12, 14, 16, 18, 20]))
    assert (told.dedicated, told.option) == (15, "TaskCompletion")


def test_f1b_with_half_of_the_samples_it_takes_the_other_branch() -> None:
    assert run(FOLLOW, PendingTasks=series([None, None, None, 16, 18, 20])).dedicated == 1


def test_f1_without_any_sample_nothing_fails_for_the_choice_is_lazy() -> None:
    assert run(FOLLOW).dedicated == 1


def test_f3_working_hours() -> None:
    assert run(WORK_HOURS).results == (
        "$TargetDedicatedNodes=10;$TargetLowPriorityNodes=0;$NodeDeallocationOption=taskcompletion;"
        "$curTime=2016-10-13T19:18:47.000Z;$workHours=0;$isWeekday=1;$isWorkingWeekdayHour=0"
    )


def test_f5_tasks_in_parallel() -> None:
    told = run(PARALLEL, target=1, ActiveTasks=series([10]))
    assert (told.dedicated, told.variables["more"]) == (3, 2.25)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("lg(8)", 3),
        ("log(100)", 2),
        ("norm(3,4)", 5),
        ("range(1,5)", 4),
        ("std(1,2,3,4)", pytest.approx(1.2909944487)),
        ("len(1,2,3)", 3),
        ("ln(1)", 0),
        ("!0", 1),
        ("!!5", 1),
        ("2 && 3", 1),
        ("0 || 0", 0),
        ("0 || 7", 1),
        ("5 ? 1 : 2", 1),
        ("0 ? 1 : 0 ? 2 : 3", 3),
        ("1 < 2", 1),
        ("2 <= 2", 1),
        ("2 != 2", 0),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("24 / 4 / 3", 2),
        ("-2 * -3", 6),
        ("1 < 2 == 1", 1),
        ("1 || 0 && 0", 1),
        (".5 + 1e1", 10.5),
        ("avg(vec(1,2,3), 7)", 3.25),
        ("max(vec(1,9), 4)", 9),
        ("min(3, 1, 2)", 1),
        ("sum(1, vec(2,3))", 6),
        ("percentile(vec(1,2,3,4,5), 50)", 3),
        ("percentile(vec(10,20), 25)", 12.5),
        ("percentile(vec(3,1,2), 100)", 3),
        ("val(vec(4,5,6), 1)", 5),
        ("round(2.5)", 3),
        ("round(-2.5)", -3),
        ("round(0.49999999999999994)", 0),
        ("floor(-0.5)", -1),
        ("ceil(1.2)", 2),
        ("sum(lg(2, 4, 8))", 6),
        ("sum(vec(1,2) + vec(3,4))", 10),
        ("sum(vec(1,2) * 3)", 9),
        ("sum(10 - vec(1,2))", 17),
        ("sum(-vec(1,2))", -3),
        ("vec(3) > 2", 1),
        ("vec(1) ? 4 : 5", 4),
        ("AVG(1, 3)", 2),
        ("TimeInterval_Hour / TimeInterval_Minute", 60),
        ("TimeInterval_Minute * 0.1 == 6 * TimeInterval_Second", 1),
        ("TimeInterval_Day + TimeInterval_Zero == 24 * timeinterval_hour", 1),
        ("TimeInterval_Year / TimeInterval_Day", 365),
        ("TimeInterval_Week > TimeInterval_Day", 1),
        ("-TimeInterval_Day < TimeInterval_Zero", 1),
        ("time() - TimeInterval_Hour + TimeInterval_Hour == time()", 1),
        ("(time() - time('2016-10-13T19:18:46Z')) / TimeInterval_Millisecond", 1000),
        ("time('Thu, 13 Oct 2016 19:18:47 GMT') == time()", 1),
        ("time('2016-10-13T21:18:47+02:00') == time()", 1),
        ("time('2016-10').month", 10),
        ("time().weekday", 4),
        ("time('2016-10-16').weekday", 7),
        ("time().Minute", 18),
        ("'a' < 'b'", 1),
        ("\"x\" == 'x'", 1),
        ("requeue == Requeue", 1),
        ("requeue != taskcompletion", 1),
        ("1 || $PendingTasks", 1),
    ],
)
def test_expressions(expression: str, expected: float) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("text", "target"),
    [("2.9", 2), ("0.5", 0), ("-3", 0), ("vec(4)", 4), ("10000.9", 10000), ("0/5", 0)],
)
def test_targets_are_truncated_and_never_below_zero(text: str, target: int) -> None:
    assert run(f"$TargetDedicatedNodes = {text}", target=7).dedicated == target


def test_what_is_not_assigned_keeps_its_value() -> None:
    assert run("a = 1", target=7).dedicated == 7
    assert (
        run("", target=7).results == "$TargetDedicatedNodes=7;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue"
    )
    assert run("$TargetDedicatedNodes = $targetdedicatednodes + 1", target=7).dedicated == 8


def test_the_full_name_of_a_target_wins_over_the_short_one() -> None:
    assert run("$TargetDedicatedNodes = 3; $TargetDedicated = 5").dedicated == 3
    assert run("$TargetDedicated = 5").dedicated == 5
    assert run("$TargetLowPriority = 5; a = $TargetLowPriorityNodes").low_priority == 5


def test_names_of_the_service_are_matched_without_regard_to_case_and_those_of_users_with() -> None:
    assert run("$targetdedicatednodes = $PENDINGTASKS.getsample(1)", PendingTasks=series([4])).dedicated == 4
    assert run("n = 1; N = 2; $TargetDedicatedNodes = n").dedicated == 1


def test_stop_ends_the_evaluation_and_the_values_so_far_stand() -> None:
    assert run("$TargetDedicatedNodes = 4; stop(); $TargetDedicatedNodes = 9").dedicated == 4
    assert run("$TargetDedicatedNodes = 4; a = 1 ? stop() : 2; $TargetDedicatedNodes = 9").dedicated == 4


def test_rand_lies_between_0_and_1_and_the_same_facts_give_the_same_numbers() -> None:
    numbers = [run("a = rand(); b = rand()", seed=seed).variables for seed in range(200)]
    assert all(0 <= one["a"] < 1 and one["a"] != one["b"] for one in numbers)  # type: ignore[operator]
    assert run("a = rand()", seed=3).results == run("a = rand()", seed=3).results
    assert len({one["a"] for one in numbers}) == 200


def test_comments_line_breaks_and_empty_statements_mean_nothing() -> None:
    assert run("// nothing\r\n;; /* a * b\n */ $TargetDedicatedNodes\n=\n\t4 // four\n;").dedicated == 4


def test_a_variable_is_its_present_value_and_without_one_its_last_sample() -> None:
    assert value("$CPUPercent * 2", CPUPercent=series([0.2, 0.25])) == 0.5
    assert value("$PendingTasks", PendingTasks=series([1], now=9)) == 9


def test_results_hold_every_variable_of_every_type() -> None:
    text = (
        "a = 0.5; v = vec(1,2); s = 'x'; t = time('2020-01-02'); i = 90 * TimeInterval_Minute; o = retaineddata; big = 1e20;"
        "long = TimeInterval_Week + TimeInterval_Millisecond; minus = -TimeInterval_Second"
    )
    assert run(text).results.split(";")[3:] == [
        "a=0.5",
        "v=[1,2]",
        "s=x",
        "t=2020-01-02T00:00:00.000Z",
        "i=01:30:00",
        "o=retaineddata",
        "big=1e+20",
        "long=7.00:00:00.0010000",
        "minus=-00:00:01",
    ]
