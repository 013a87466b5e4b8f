"""What is refused, with which code, at which place, in which words."""

import pytest
from tests.core.autoscale.formulas import run, series

from batchpools.core.autoscale.errors import FormulaCode, FormulaError
from batchpools.core.autoscale.parser import MAX_CHARACTERS, MAX_DEPTH, parse


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a = ", 1, 5, "a value is expected, not the end of the formula"),
        ("a = 1 b = 2", 1, 7, "';' or an operator is missing before 'b'"),
        ("a = 1\nb = 2", 2, 1, "';' or an operator is missing before 'b'"),
        ("a = (1;", 1, 7, "')' is missing before ';'"),
        ("a = 1 ? 2;", 1, 10, "':' is missing before ';'"),
        ("a = 1 % 2", 1, 7, "there is no operator '%'"),
        ("a = [1]", 1, 5, "has no meaning here"),
        ("a = 'x", 1, 5, "string does not end"),
        ("/* a", 1, 1, "comment does not end"),
        ("a = 1e999", 1, 5, "too large"),
        ("a = 1;\r\n b = nothing;", 2, 6, "nothing was assigned to nothing before"),
        ("a = $PendingTaks.GetSample(1)", 1, 5, "is $PendingTasks meant?"),
        ("a = averag(1)", 1, 5, "there is no function averag(); is avg() meant?"),
        ("a = iff(1, 2, 3)", 1, 5, "there is no function iff()"),
        ("a = avg()", 1, 5, "avg() takes at least 1 argument, 0 are given"),
        ("a = time(1, 2)", 1, 5, "time() takes 0 to 1 arguments, 2 are given"),
        ("a = rand(1)", 1, 5, "rand() takes no arguments, 1 are given"),
        ("a = avg", 1, 5, "is a function; its arguments are missing"),
        ("avg = 1", 1, 1, "is a function and cannot be assigned"),
        ("$PendingTasks = 1", 1, 1, "$PendingTasks cannot be assigned"),
        ("requeue = 1", 1, 1, "requeue cannot be assigned"),
        ("TimeInterval_Day = 1", 1, 1, "cannot be assigned"),
        ("a = $PendingTasks.Get(1)", 1, 19, "but no get"),
        ("a = time().century", 1, 12, "but no century"),
        ("a = 1; b = a.GetSample(1)", 1, 14, "samples are those of a variable of the service"),
        ("a = $PendingTasks.GetSample()", 1, 19, "getsample() takes 1 to 3 arguments"),
        ("a = 1 ? 2 : nowhere", 1, 13, "nothing was assigned to nowhere"),
        ("(a) = 1", 1, 5, "';' or an operator is missing before '='"),
        ("= 1", 1, 1, "a value is expected, not '='"),
        ("a = 1 = 2", 1, 7, "';' or an operator is missing before '='"),
    ],
)
def test_a_formula_that_cannot_be_read(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    error = caught.value
    assert (error.code, error.line, error.column) == (FormulaCode.SYNTAX, line, column)
    assert words in error.sentence


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("a = 1 / 0", 7, "division by zero"),
        ("a = 1e308 * 10", 11, "not a finite number"),
        ("a = ln(0)", 5, "ln() has no finite value"),
        ("a = lg(-1)", 5, "lg() has no finite value"),
        ("a = sum(1e308, 1e308)", 5, "sum() has no finite value"),
        ("a = 1 + 'x'", 7, "double + string has no meaning"),
        ("a = 1 < time()", 7, "double < timestamp has no meaning"),
        ("a = time() + time()", 12, "timestamp + timestamp has no meaning"),
        ("a = requeue < requeue", 13, "deallocation option < deallocation option"),
        ("a = vec(1,2) + vec(1,2,3)", 14, "a vector of 2 elements + one of 3"),
        ("a = vec(1,2) > 1", 14, "doubleVec > double has no meaning"),
        ("a = 'x' ? 1 : 2", 5, "a condition must be a double, not a string"),
        ("a = -'x'", 5, "- string has no meaning"),
        ("a = !vec(1,2)", 5, "! doubleVec has no meaning"),
        ("a = avg('x')", 5, "a double or a doubleVec is expected, not a string"),
        ("a = percentile(vec(1), 101)", 5, "between 0 and 100"),
        ("a = val(vec(1), 1)", 5, "the elements 0 to 0, but no 1"),
        ("a = std(1)", 5, "std() needs at least two values"),
        ("a = time('yesterday')", 5, "is no date"),
        ("a = time('2016-13-01')", 5, "is no date"),
        ("a = time(5)", 5, "time() takes a string, not a double"),
        ("a = 5; b = a.hour", 14, "a double has no hour"),
        ("a = time() + 9000 * TimeInterval_Year", 12, "outside the years 1 to 9999"),
        ("a = TimeInterval_Year * 1e9", 23, "too long"),
        ("a = $PendingTasks.GetSample(0)", 19, "at least one sample"),
        ("a = $PendingTasks.GetSample(1, 2)", 19, "nothing else is expected"),
        ("a = $PendingTasks.GetSample('x')", 19, "a timestamp or a timeinterval is expected, not a string"),
        ("$TargetDedicatedNodes = 'x'", 1, "$TargetDedicatedNodes must be a double, not a string"),
        ("$TargetDedicatedNodes = vec(1,2)", 1, "must be a double, not a doubleVec"),
        ("$TargetDedicatedNodes = 10001", 1, "10001 nodes are more than a pool can have (10000)"),
        ("$NodeDeallocationOption = 1", 27, "a deallocation option is one of requeue, terminate"),
    ],
)
def test_a_formula_that_cannot_be_evaluated(text: str, column: int, words: str) -> None:
    with pytest.raises(FormulaError) as caught:
        run(text, PendingTasks=series([1, 2]))
    error = caught.value
    assert (error.code, error.line, error.column) == (FormulaCode.EVALUATION, 1, column)
    assert words in error.sentence


def test_what_is_not_chosen_is_not_evaluated() -> None:
    assert run("a = 1 ? 2 : 1 / 0; b = 0 && 1 / 0; c = 1 || 1 / 0").variables["a"] == 2


def test_a_formula_of_8193_characters_is_too_long() -> None:
    assert parse("a=1;" + " " * (MAX_CHARACTERS - 4))
    with pytest.raises(FormulaError, match="at most 8192 characters, this one has 8193") as caught:
        parse("a=1;" + " " * (MAX_CHARACTERS - 3))
    assert caught.value.code == FormulaCode.TOO_LONG


def test_the_101st_statement_is_one_too_many() -> None:
    assert len(parse("a = 1;" * 100).statements) == 100
    with pytest.raises(FormulaError, match="Line 1, Col 601: a formula has at most 100 statements"):
        parse("a = 1;" * 101)


def test_nesting_has_a_limit_and_length_does_not_count_as_depth() -> None:
    assert run(f"a = {'(' * MAX_DEPTH}1{')' * MAX_DEPTH}").variables["a"] == 1
    with pytest.raises(FormulaError, match="nest at most 32 deep"):
        parse(f"a = {'(' * (MAX_DEPTH + 1)}1{')' * (MAX_DEPTH + 1)}")
    assert run("a = " + "+".join(["1"] * 4000)).variables["a"] == 4000
    assert run("a = " + "-" * 8000 + "1").variables["a"] == 1
    assert run("a = " + "0 ? 1 : " * 1000 + "2").variables["a"] == 2


@pytest.mark.parametrize("mark", ["(", "avg(", "1 ? (", "-(", "1 || 1 && 1 == 1 < 1 + 1 * -(", "a.b(", "1 ? 1 ? "])
def test_what_is_nested_too_deeply_or_not_closed_gets_a_sentence(mark: str) -> None:
    with pytest.raises(FormulaError):
        parse("a = " + mark * (8000 // len(mark)))


def test_the_deepest_formula_that_is_allowed_can_be_evaluated() -> None:
    opening = "0 || 1 && 1 == 0 < 1 + 1 * -("
    text = f"a = {opening * MAX_DEPTH}1{')' * MAX_DEPTH}"
    assert run(text).variables["a"] in (0, 1)


def test_a_caret_points_at_the_place_also_in_a_long_line() -> None:
    with pytest.raises(FormulaError) as caught:
        parse("a = 1;\n\tb = 2 % 3;")
    assert caught.value.story == (
        "Line 2, Col 8: there is no operator '%'; write a percentage as a number\n b = 2 % 3;\n       ^"
    )
    with pytest.raises(FormulaError) as caught:
        parse("a = " + "1 + " * 500 + "%" + " + 1" * 500)
    shown, caret = caught.value.picture.split("\n")
    assert len(shown) <= 100
    assert shown[caret.index("^")] == "%"
