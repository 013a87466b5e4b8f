"""Counts what the cache and the hub show, for /metrics and /readyz. It reads, and decides only what counts as stale."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from batchpools.core.ledger import RunLedger
from batchpools.core.views import PoolStatus
from batchpools.hub.server import Hub
from batchpools.kube.cache import Cache
from batchpools.kube.client import KubeClient
from batchpools.kube.informer import STALE_AFTER, Informer
from batchpools.kube.lease import LeaderElector
from batchpools.kube.workqueue import WorkQueue
from batchpools.telemetry.metrics import Samples


class ScalingNumbers(Protocol):
    """What autoscaling counts: `controllers.autoscale.Autoscaler`."""

    @property
    def evaluations(self) -> Mapping[tuple[str, str, str], float]:
        """By namespace, pool and outcome."""
        ...

    def variables(self) -> Mapping[tuple[str, str, str], float]:
        """By namespace, pool and variable."""
        ...


class Census:
    """The sources of every metric in the table."""

    def __init__(
        self,
        cache: Cache,
        ledger: RunLedger,
        hub: Hub,
        client: KubeClient,
        queue: WorkQueue,
        informers: Sequence[Informer[Any]],
    ) -> None:
        self._cache = cache
        self._ledger = ledger
        self._hub = hub
        self._client = client
        self._queue = queue
        self._informers = informers
        self.elector: LeaderElector | None = None
        self.scaling: ScalingNumbers | None = None

    def sources(self) -> dict[str, Callable[[], Samples]]:
        """By name in the table."""
        return {
            "batchpools_tasks": self._tasks,
            "batchpools_nodes": self._nodes,
            "batchpools_pool_slots": self._slots,
            "batchpools_pool_target_nodes": self._targets,
            "batchpools_pool_current_nodes": self._current,
            "batchpools_pool_resize_errors": self._resize_errors,
            "batchpools_autoscale_evaluations": lambda: _labelled(self.scaling.evaluations) if self.scaling else {},
            "batchpools_autoscale_variable": lambda: _labelled(self.scaling.variables()) if self.scaling else {},
            "batchpools_leader": lambda: {(): float(self._epoch() > 0)},
            "batchpools_epoch": lambda: {(): float(self._epoch())},
            "batchpools_queue_depth": lambda: {(): float(self._queue.depth)},
            "batchpools_queue_latency_seconds": lambda: {(): self._queue.last_latency},
            "batchpools_watch_age_seconds": self._watch_ages,
            "batchpools_watch_relists": self._relists,
            "batchpools_link_sessions": lambda: {(): float(len(self._hub.sessions()))},
            "batchpools_link_refusals": lambda: {(code,): float(n) for code, n in self._hub.refusals.items()},
            "batchpools_api_requests": lambda: {key: float(n) for key, n in self._client.requests.items()},
            "batchpools_api_requests_in_flight": lambda: {(): float(self._client.in_flight)},
        }

    def ready(self) -> tuple[bool, str]:
        """A replica is ready when all its watches are alive; a standby too."""
        for informer in self._informers:
            if not informer.synced.is_set():
                return False, f"{informer.resource.plural} have not been listed yet"
            if informer.age > STALE_AFTER:
                return False, f"nothing was heard of {informer.resource.plural} for {informer.age:.0f} s"
        return True, "leading" if self._epoch() else "standing by"

    def _watch_ages(self) -> Samples:
        """By kind: that of the watch which has been silent for longest."""
        found: dict[tuple[str, ...], float] = {}
        for one in self._informers:
            found[one.resource.kind,] = max(one.age, found.get((one.resource.kind,), 0.0))
        return found

    def _relists(self) -> Samples:
        found: Counter[tuple[str, ...]] = Counter()
        for one in self._informers:
            found[one.resource.kind,] += one.relists
        return {key: float(number) for key, number in found.items()}

    def _epoch(self) -> int:
        return (self.elector.epoch or 0) if self.elector is not None else 0

    def _tasks(self) -> Samples:
        """Counted by job, from the tally: the cost follows the jobs, not the tasks."""
        found: Counter[tuple[str, ...]] = Counter()
        for job in self._cache.jobs:
            meta = job.metadata
            counts = self._ledger.job_counts(meta.namespace, meta.name)
            for state in ("active", "running", "succeeded", "failed"):
                found[meta.namespace, job.pool, state] += getattr(counts, state)
        return dict(found)

    def _nodes(self) -> Samples:
        found = Counter((node.metadata.namespace, node.spec.pool_name, node.status.state) for node in self._cache.nodes)
        return {key: float(number) for key, number in found.items()}

    def _slots(self) -> Samples:
        found: dict[tuple[str, ...], float] = {}
        for pool in self._cache.pools:
            namespace, name = pool.metadata.namespace, pool.metadata.name
            total, used = self._ledger.pool_slots(namespace, name)
            found[namespace, name, "total"], found[namespace, name, "used"] = total, used
        return found

    def _targets(self) -> Samples:
        return self._by_sort(lambda status: (status.target_dedicated_nodes, status.target_low_priority_nodes))

    def _current(self) -> Samples:
        return self._by_sort(lambda status: (status.current_dedicated_nodes, status.current_low_priority_nodes))

    def _by_sort(self, numbers: Callable[[PoolStatus], tuple[int, int]]) -> Samples:
        """Of each pool, dedicated and low-priority."""
        found: dict[tuple[str, ...], float] = {}
        for pool in self._cache.pools:
            namespace, name = pool.metadata.namespace, pool.metadata.name
            found[namespace, name, "dedicated"], found[namespace, name, "lowPriority"] = numbers(pool.status)
        return found

    def _resize_errors(self) -> Samples:
        return {
            (pool.metadata.namespace, pool.metadata.name, error.code): 1.0
            for pool in self._cache.pools
            for error in pool.status.resize_errors
        }


def _labelled(numbers: Mapping[tuple[str, str, str], float]) -> Samples:
    return {key: float(number) for key, number in numbers.items()}
