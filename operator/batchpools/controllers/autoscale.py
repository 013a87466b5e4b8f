"""Shell of autoscaling: keeps the samples of the pools, says what is due for one, and evaluates on demand.

Samples live in memory. What nodes measure is told again to a new leader by their agents; counts of tasks and nodes begin anew
with each leader, so windows that reach back before it have missing samples.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from batchpools.core.autoscale.history import KEPT, KEPT_IN_RESERVE, History, span_of
from batchpools.core.autoscale.present import PoolSamples, Values, present_values
from batchpools.core.autoscale.preset import formula_of
from batchpools.core.autoscale.run import Occasion, Step, run_formula, step
from batchpools.core.autoscale.series import PERIOD
from batchpools.core.autoscale.vocabulary import RESOURCE_VARIABLES
from batchpools.core.ledger import RunLedger
from batchpools.core.views import AutoScaleRun, PoolNodeView, PoolView
from batchpools.hub.port import NodeIdentity
from batchpools.kube.cache import Cache
from batchpools.link.messages import MAX_SAMPLES, Sample
from batchpools.telemetry.clock import Clock


class Autoscaler:
    """One for all pools of a leader. `evaluations` counts by (namespace, pool, outcome)."""

    def __init__(self, cache: Cache, ledger: RunLedger, clock: Clock) -> None:
        self._cache = cache
        self._ledger = ledger
        self._clock = clock
        self._histories: dict[str, History] = {}  # this and the others by uid of the pool
        self._evaluated: dict[str, datetime] = {}
        self._measured: dict[str, int] = {}  # by uid of the pod: the span of its last sample
        self._decided: dict[str, Values] = {}
        self._sampled: dict[str, Values] = {}
        self.evaluations: Counter[tuple[str, str, str]] = Counter()
        cache.pools.subscribe(self._pool_changed)

    async def run(self) -> None:
        """Count every pool once in each span, until cancelled."""
        try:
            while True:
                self._count_all()
                now = self._clock.now().timestamp()
                await asyncio.sleep((span_of(now) + 1) * PERIOD - now + 0.1)
        finally:
            self._histories.clear()
            self._evaluated.clear()
            self._measured.clear()
            self._decided.clear()
            self._sampled.clear()

    def turn(self, pool: PoolView, nodes: Sequence[PoolNodeView]) -> Step:
        """What autoscaling says of a pool now; an evaluation, if one is due."""
        meta, now = pool.metadata, self._clock.now()
        if pool.spec.auto_scale is None:
            return step(pool, Occasion(), now)
        waiting = self._ledger.pool_waits(meta.namespace, meta.name)
        occasion = Occasion(self._samples(pool, nodes), waiting, self._evaluated.get(meta.uid))
        told = step(pool, occasion, now)
        if told.ran is not None:
            outcome = "failure" if told.ran.error is not None else "success"
            self.evaluations[meta.namespace, meta.name, outcome] += 1
            self._decided[meta.uid] = doubles_of(told.ran)
            if told.status == pool.status:  # nothing is written: else what is persisted counts
                self._evaluated[meta.uid] = now
        return told

    def measured(self, node: NodeIdentity, samples: Sequence[Sample]) -> None:
        """What a node used; of each span one sample counts, the first that it tells."""
        pool = self._cache.pools.get(node.namespace, node.pool)
        if pool is None:
            return
        history = self._histories.setdefault(pool.metadata.uid, History())
        now = self._clock.now().timestamp()
        last = self._measured.get(node.pod_uid, -1)
        for sample in samples:
            span = span_of(now - sample.age)
            if span > last:
                values = zip(RESOURCE_VARIABLES, sample.measured(), strict=True)
                history.measure(span, {name: value for name, value in values if value >= 0}, kept_of(pool))
                last = span
        self._measured[node.pod_uid] = last

    def evaluate(self, namespace: str, name: str, formula: str = "") -> AutoScaleRun | None:
        """Try a formula (the pool's own by default) and apply nothing; None when there is no such pool."""
        pool = self._cache.pools.get(namespace, name)
        if pool is None:
            return None
        text = formula or (formula_of(pool.spec.auto_scale) if pool.spec.auto_scale is not None else "")
        return run_formula(pool, text, self._samples(pool, self._nodes(pool)), self._clock.now())[0]

    def variables(self) -> dict[tuple[str, str, str], float]:
        """By (namespace, pool, variable): what is sampled of autoscaled pools, and the doubles of their last evaluations."""
        found: dict[tuple[str, str, str], float] = {}
        for pool in self._cache.pools:
            meta = pool.metadata
            if pool.spec.auto_scale is not None:
                known = {**self._sampled.get(meta.uid, {}), **self._decided.get(meta.uid, {})}
                found |= {(meta.namespace, meta.name, name): value for name, value in known.items()}
        return found

    def _samples(self, pool: PoolView, nodes: Sequence[PoolNodeView]) -> PoolSamples:
        meta = pool.metadata
        history = self._histories.get(meta.uid) or History()
        return PoolSamples(
            history, lambda: present_values(pool, nodes, self._ledger.pool_load(meta.namespace, meta.name))
        )

    def _count_all(self) -> None:
        span = span_of(self._clock.now().timestamp())
        self._measured = {pod: last for pod, last in self._measured.items() if last > span - MAX_SAMPLES}
        for pool in self._cache.pools:
            meta = pool.metadata
            load = self._ledger.pool_load(meta.namespace, meta.name)
            values = present_values(pool, self._nodes(pool), load)
            self._histories.setdefault(meta.uid, History()).count(span, values, kept_of(pool))
            self._sampled[meta.uid] = values

    def _nodes(self, pool: PoolView) -> list[PoolNodeView]:
        return list(self._cache.nodes.indexed("by_pool", (pool.metadata.namespace, pool.metadata.name)))

    def _pool_changed(self, old: PoolView | None, new: PoolView | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._histories.pop(old.metadata.uid, None)
            for memory in (self._evaluated, self._decided, self._sampled):
                memory.pop(old.metadata.uid, None)
            for outcome in ("success", "failure"):
                self.evaluations.pop((old.metadata.namespace, old.metadata.name, outcome), None)


def doubles_of(run: AutoScaleRun) -> Values:
    """The variables of a run that are numbers, by name."""
    found = {}
    for assignment in run.results.split(";"):
        name, _, text = assignment.partition("=")
        try:
            found[name] = float(text)
        except ValueError:
            continue
    return found


def kept_of(pool: PoolView) -> int:
    """How many spans of a pool are kept."""
    return KEPT if pool.spec.auto_scale is not None else KEPT_IN_RESERVE
