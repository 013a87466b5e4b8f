"""Plays a formula over a table of samples: what it would have decided, and when. Pure.

Each row becomes a sample of every variable that it has, kept as real samples are; the formula is evaluated at the first row
and then once an interval. What it decides is in force at once: it becomes the current number of nodes unless
the table has that itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from batchpools.core.autoscale.errors import FormulaError
from batchpools.core.autoscale.evaluator import Evaluation, Facts, evaluate
from batchpools.core.autoscale.history import History, span_of
from batchpools.core.autoscale.present import PoolSamples
from batchpools.core.autoscale.syntax import Formula

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MAX_RUNS = 100_000


@dataclass(frozen=True, slots=True)
class Row:
    """What was sampled at a moment; values by name of the variable."""

    at: datetime
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluation: its result, or why there was none. dedicated, low_priority: the targets after it."""

    at: datetime
    dedicated: int
    low_priority: int
    result: Evaluation | None
    error: FormulaError | None = None


def simulate(formula: Formula, rows: Sequence[Row], interval: timedelta, slots: int = 1) -> list[Run]:
    """All evaluations over rows in the order of time; nothing for no rows. ValueError when there would be too many."""
    if not rows:
        return []
    if (rows[-1].at - rows[0].at) / interval > MAX_RUNS:
        raise ValueError(f"more than {MAX_RUNS} evaluations: take a longer interval")
    history, runs, present = History(), list[Run](), dict[str, float]()
    dedicated = low_priority = 0
    due, at = rows[0].at, 0
    while due <= rows[-1].at:
        while at < len(rows) and rows[at].at <= due:
            present.update(rows[at].values)
            history.count(span_of(rows[at].at.timestamp()), rows[at].values)
            at += 1
        now = {
            "$TaskSlotsPerNode": float(slots),
            "$CurrentDedicatedNodes": float(dedicated),
            "$CurrentLowPriorityNodes": float(low_priority),
            **present,
        }
        samples = PoolSamples(history, lambda now=now: now)  # type: ignore[misc]
        run = _evaluate(formula, Facts(due, dedicated, low_priority, samples, seed=len(runs)))
        runs.append(run)
        dedicated, low_priority = run.dedicated, run.low_priority
        due += interval
    return runs


def moment_of(seconds: float) -> datetime:
    """A moment of a table that counts seconds from its beginning."""
    return _BEGIN + timedelta(seconds=seconds)


def _evaluate(formula: Formula, facts: Facts) -> Run:
    try:
        result = evaluate(formula, facts)
    except FormulaError as error:
        return Run(facts.now, facts.dedicated, facts.low_priority, None, error)
    return Run(facts.now, result.dedicated, result.low_priority, result)
