"""Decides when a pool is evaluated, and what its status says after it. Pure.

A run is due when there was none of this formula, when the interval has passed since the last one (also one of a former
leader), and when tasks wait for a pool that is to have no nodes. What it decides is persisted before anything follows from
it: nodes are made and deleted by what status says. Any error leaves the size as it is.
Source: REST reference, AutoScaleRun; the article on automatic scaling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from msgspec.structs import replace

from batchpools.core.autoscale.errors import FormulaCode, FormulaError
from batchpools.core.autoscale.evaluator import Evaluation, Facts, evaluate
from batchpools.core.autoscale.parser import parse
from batchpools.core.autoscale.preset import formula_of, interval_of, is_preset
from batchpools.core.autoscale.series import Series
from batchpools.core.pools.target import keeps_its_size
from batchpools.core.views import AutoScaleError, AutoScaleRun, NameValue, PoolNodeView, PoolStatus, PoolView

TOLD_AT_LEAST = timedelta(seconds=60)  # a run that decides nothing new is written down so often, not each time
DEMAND_AGAIN = {True: timedelta(seconds=1), False: timedelta(seconds=30)}  # by: is it a preset
MAX_RESULTS = 8192
MAX_MESSAGE = 2048
INSUFFICIENT = "Autoscale evaluation failed due to insufficient sample data"


@dataclass(frozen=True, slots=True)
class Occasion:
    """What an evaluation may look at. waiting: tasks that could run; evaluated: when this leader evaluated the pool last."""

    samples: Mapping[str, Series] = field(default_factory=dict)
    waiting: int = 0
    evaluated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """status: as it should be before anything else is decided; ran: the evaluation, if one was due; again: seconds to the next."""

    status: PoolStatus
    ran: AutoScaleRun | None = None
    again: float | None = None


def step(pool: PoolView, occasion: Occasion, now: datetime) -> Step:
    """Evaluate the pool if that is due."""
    asked, status = pool.spec.auto_scale, pool.status
    if asked is None:
        return Step(_switched_off(pool))
    text = formula_of(asked)
    due = _due_at(pool, text, occasion, now)
    if due is not None and due > now:
        return Step(status, again=(due - now).total_seconds())
    ran, decided = run_formula(pool, text, occasion.samples, now)
    after = _after(status, ran, decided)
    if _says_the_same(status, after) and not _is_old(status, now, interval_of(asked)):
        after = status
    return Step(after, ran, min(interval_of(asked).total_seconds(), 3600.0))


def run_formula(
    pool: PoolView, text: str, samples: Mapping[str, Series], now: datetime
) -> tuple[AutoScaleRun, Evaluation | None]:
    """Evaluate any formula for a pool; nothing is decided by it alone. None with an error in the run."""
    status = pool.status
    in_force = (status.target_dedicated_nodes, status.target_low_priority_nodes)
    facts = Facts(now, *in_force, samples=samples, seed=_seed(pool, now))
    try:
        evaluation = evaluate(parse(text), facts)
    except FormulaError as error:
        return AutoScaleRun(timestamp=now, formula=text[:MAX_RESULTS], error=_told(error)), None
    results = evaluation.results[:MAX_RESULTS]
    return AutoScaleRun(timestamp=now, formula=text, results=results), evaluation


def stalled_by(status: PoolStatus) -> str:
    """What is wrong with the formula itself, with line, column and caret; missing samples come by themselves."""
    error = status.auto_scale_run.error if status.auto_scale_run is not None else None
    if error is None or error.code == FormulaCode.INSUFFICIENT_SAMPLES:
        return ""
    return error.message


def _due_at(pool: PoolView, text: str, occasion: Occasion, now: datetime) -> datetime | None:
    """When the next run is due; None = it is, whatever the time."""
    asked, last = pool.spec.auto_scale, pool.status.auto_scale_run
    if asked is None or last is None or last.formula != text[:MAX_RESULTS] or last.timestamp is None:
        return None
    before = max(last.timestamp, occasion.evaluated or last.timestamp)
    if before > now:  # the clock went back, or a former leader's went ahead
        return None
    target = pool.status.target_dedicated_nodes + pool.status.target_low_priority_nodes
    if occasion.waiting and not target:
        return before + min(interval_of(asked), DEMAND_AGAIN[is_preset(asked)])
    return before + interval_of(asked)


def _after(status: PoolStatus, ran: AutoScaleRun, decided: Evaluation | None) -> PoolStatus:
    if decided is None:
        return replace(status, auto_scale_run=ran)
    return replace(
        status,
        target_dedicated_nodes=decided.dedicated,
        target_low_priority_nodes=decided.low_priority,
        node_deallocation_option=decided.option,
        auto_scale_run=ran,
    )


def _says_the_same(before: PoolStatus, after: PoolStatus) -> bool:
    """Whether a run decided nothing new."""
    last, run = before.auto_scale_run, after.auto_scale_run
    if last is None or run is None:
        return last is run
    alike = replace(run, timestamp=last.timestamp, results=last.results) == last
    return alike and replace(after, auto_scale_run=None) == replace(before, auto_scale_run=None)


def _is_old(status: PoolStatus, now: datetime, interval: timedelta) -> bool:
    last = status.auto_scale_run
    if last is None or last.timestamp is None or last.timestamp > now:
        return True
    return now - last.timestamp >= max(TOLD_AT_LEAST, interval)


def _switched_off(pool: PoolView) -> PoolStatus:
    """The size is kept, and with it the last run, until the spec has targets; a formula that comes again is evaluated at once."""
    status, last = pool.status, pool.status.auto_scale_run
    if last is None:
        return status
    if not keeps_its_size(pool):
        return replace(status, auto_scale_run=None, node_deallocation_option="")
    return replace(status, auto_scale_run=replace(last, formula="", error=None), node_deallocation_option="")


def _told(error: FormulaError) -> AutoScaleError:
    enough = error.code != FormulaCode.INSUFFICIENT_SAMPLES
    where = NameValue(name="Message", value=error.message[:MAX_MESSAGE])
    return AutoScaleError(
        code=error.code, message=error.story[:MAX_MESSAGE] if enough else INSUFFICIENT, values=(where,)
    )


def _seed(pool: PoolView, now: datetime) -> int:
    """Of rand(): other for each pool and moment, the same for both."""
    return int.from_bytes(pool.metadata.uid.encode()[-8:], "big") ^ int(now.timestamp() * 1e6)


class Scaling(Protocol):
    """What the pool's reconciler asks of autoscaling."""

    def turn(self, pool: PoolView, nodes: Sequence[PoolNodeView]) -> Step:
        """What autoscaling says of a pool now."""
        ...
