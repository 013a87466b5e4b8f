"""Shorthand for the tests of formulas: samples by name, and one evaluation."""

from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from batchpools.core.autoscale.evaluator import Evaluation, Facts, evaluate
from batchpools.core.autoscale.parser import parse
from batchpools.core.autoscale.series import PERIOD, Series
from batchpools.core.autoscale.values import Value

NOW = datetime(2016, 10, 13, 19, 18, 47, tzinfo=UTC)  # a Thursday


def series(values: Sequence[float | None], now: float | None = None) -> Series:
    """One value each 30 s, the last one at NOW; None is a sample that is missing."""
    kept = [(NOW.timestamp() - PERIOD * age, one) for age, one in enumerate(reversed(values)) if one is not None]
    kept.reverse()
    return Series(array("d", [time for time, _ in kept]), array("d", [value for _, value in kept]), now)


def run(text: str, target: int = 0, seed: int = 0, **samples: Series) -> Evaluation:
    """Evaluate a text; samples by name without the dollar sign."""
    return run_with(samples, text, target, seed)


def run_with(
    samples: Mapping[str, Series], text: str, target: int = 0, seed: int = 0, *, low_priority: int = 0
) -> Evaluation:
    """As `run`, with the samples in a mapping."""
    given: Mapping[str, Series] = {f"${name.lower()}": one for name, one in samples.items()}
    return evaluate(parse(text), Facts(NOW, target, low_priority, given, seed))


def value(expression: str, **samples: Series) -> Value:
    """The value of one expression."""
    return run_with(samples, f"it = {expression}").variables["it"]
