"""Any text gives a value or a FormulaError with a place, in bounded time: properties."""

import math
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.autoscale.formulas import run, run_with, series

from batchpools.core.autoscale.errors import FormulaError
from batchpools.core.autoscale.evaluator import Evaluation
from batchpools.core.autoscale.parser import MAX_CHARACTERS, parse

PIECES = [
    *"+-*/<>!?:=;,.()",
    "&&",
    "||",
    "==",
    "!=",
    "<=",
    ">=",
    " ",
    "\n",
    "// x\n",
    "0",
    "1",
    "2.5",
    "1e300",
    "'2016-10-13'",
    '"x"',
    "a",
    "b",
    "a = ",
    "$TargetDedicatedNodes = ",
    "$NodeDeallocationOption = ",
    "taskcompletion",
    "$PendingTasks",
    ".GetSample(",
    ".GetSamplePercent(",
    ".Count()",
    ".HistoryBeginTime()",
    ".hour",
    "TimeInterval_Minute",
    "TimeInterval_Year",
    "time()",
    "time(",
    "avg(",
    "std(",
    "val(",
    "percentile(",
    "vec(1,2)",
    "vec(",
    "lg(",
    "round(",
    "norm(",
    "rand()",
    "stop()",
]
SAMPLES = {"PendingTasks": series([1, None, 3, 4, 5]), "CPUPercent": series([0.5])}


def total(text: str) -> None:
    """A value within bounds, or an error whose place lies in the text."""
    told = outcome(text)
    if isinstance(told, FormulaError):
        lines = text.split("\n")
        assert 1 <= told.line <= len(lines)
        assert 1 <= told.column <= len(lines[told.line - 1]) + 1
        assert told.story
        return
    assert 0 <= told.dedicated <= 10_000
    assert told.option in {"Requeue", "Terminate", "TaskCompletion", "RetainedData"}
    assert all(math.isfinite(one) for one in told.variables.values() if isinstance(one, float))


def outcome(text: str) -> Evaluation | FormulaError:
    try:
        return run_with(SAMPLES, text, target=3)
    except FormulaError as error:
        return error


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_at_all(text: str) -> None:
    total(text)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_row_of_words_of_the_language(pieces: list[str]) -> None:
    total("".join(pieces))


numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=0).map(lambda one: f"{one!r}".replace("e+", "e"))
leaves = numbers | st.sampled_from(
    ["a", "$PendingTasks", "$PendingTasks.GetSample(3)", "TimeInterval_Hour", "time()", "'x'", "requeue", "$CPUPercent"]
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["+", "-", "*", "/", "<", "<=", "==", "!=", ">", ">=", "&&", "||"])
    functions = st.sampled_from(["avg", "sum", "std", "lg", "round", "floor", "len", "norm", "vec", "ceil", "range"])
    return (
        st.tuples(inner, signs, inner).map(" ".join)
        | st.tuples(inner, inner, inner).map(lambda three: f"({three[0]} ? {three[1]} : {three[2]})")
        | st.tuples(functions, st.lists(inner, min_size=1, max_size=3)).map(
            lambda two: f"{two[0]}({', '.join(two[1])})"
        )
        | inner.map(lambda one: f"-({one})")
    )


@settings(max_examples=400, deadline=None)
@given(st.recursive(leaves, grown, max_leaves=12))
def test_any_expression_that_can_be_read_has_a_value_or_an_error_with_a_place(expression: str) -> None:
    total(f"a = 1; a = {expression}; $TargetDedicatedNodes = a")


@settings(deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=6), st.lists(st.sampled_from("+-*"), min_size=5, max_size=5))
def test_arithmetic_is_that_of_everybody_else(terms: list[int], signs: list[str]) -> None:
    text = " ".join(f"{sign} ({term})" for sign, term in zip(["", *signs], terms, strict=False)).strip()
    assert run(f"a = {text}").variables["a"] == eval(text)  # noqa: S307 - Python is the other reader of the same text


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8))
def test_the_longest_texts_take_well_under_a_second(pieces: list[str]) -> None:
    text = ("".join(pieces) * MAX_CHARACTERS)[:MAX_CHARACTERS]
    begin = time.process_time()
    total(text)
    assert time.process_time() - begin < 1.0


def test_reading_takes_time_in_proportion_to_length() -> None:
    def cost(size: int) -> float:
        text = "a = " + "1 + (2 * 3) - avg(4, 5) + " * size + "1"
        best = 9.0
        for _ in range(5):
            begin = time.process_time()
            parse.__wrapped__(text)
            best = min(best, time.process_time() - begin)
        return best

    assert cost(300) < 20 * cost(50)  # six times the text; a quadratic reader would need 36 times as long
