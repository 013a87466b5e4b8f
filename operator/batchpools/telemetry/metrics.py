"""Every metric of the operator, in one table. Objects are counted when somebody scrapes; no task, job or node is a label."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]
Samples = Mapping[Labels, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One metric: what kind, what for, by which labels."""

    kind: str  # gauge, counter, or histogram, which is observed and not asked for
    help: str
    labels: Labels = ()


TABLE: Mapping[str, Row] = {
    "batchpools_tasks": Row("gauge", "Tasks by namespace, pool and state.", ("namespace", "pool", "state")),
    "batchpools_nodes": Row("gauge", "Nodes by namespace, pool and state.", ("namespace", "pool", "state")),
    "batchpools_pool_slots": Row("gauge", "Slots of ready nodes.", ("namespace", "pool", "use")),
    "batchpools_pool_target_nodes": Row("gauge", "Nodes that a pool is to have.", ("namespace", "pool", "kind")),
    "batchpools_pool_current_nodes": Row("gauge", "Nodes that a pool has.", ("namespace", "pool", "kind")),
    "batchpools_pool_resize_errors": Row(
        "gauge", "1 for each reason of a missed target.", ("namespace", "pool", "code")
    ),
    "batchpools_autoscale_evaluations": Row(
        "counter", "Evaluations of autoscaled pools; outcome is success or failure.", ("namespace", "pool", "outcome")
    ),
    "batchpools_autoscale_variable": Row(
        "gauge", "Doubles of the last evaluation, and what was sampled.", ("namespace", "pool", "variable")
    ),
    "batchpools_dispatch_latency_seconds": Row(
        "histogram", "From a task's arrival in the leader's queue to its dispatch."
    ),
    "batchpools_leader": Row("gauge", "1 on the replica that leads."),
    "batchpools_epoch": Row("gauge", "The epoch it leads with; 0 on a standby."),
    "batchpools_queue_depth": Row("gauge", "Keys that wait to be reconciled."),
    "batchpools_queue_latency_seconds": Row("gauge", "How long the last key waited."),
    "batchpools_watch_age_seconds": Row("gauge", "Since the API server last said anything of a kind.", ("kind",)),
    "batchpools_watch_relists": Row("counter", "Lists of a kind.", ("kind",)),
    "batchpools_link_sessions": Row("gauge", "Agents that are connected to this replica."),
    "batchpools_link_refusals": Row("counter", "Sessions that were refused or cut.", ("code",)),
    "batchpools_api_requests": Row("counter", "Requests to the API server.", ("verb", "resource", "code")),
    "batchpools_api_requests_in_flight": Row("gauge", "Requests to the API server that wait for an answer."),
}

ASKED = frozenset(name for name, row in TABLE.items() if row.kind != "histogram")  # what needs a source

DISPATCH_LATENCY = "batchpools_dispatch_latency_seconds"
DISPATCH_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class OperatorMetrics(Collector):
    """A registry with all of it. `sources` give the samples of a metric of the table when asked."""

    def __init__(self, sources: Mapping[str, Callable[[], Samples]]) -> None:
        unknown = set(sources) - ASKED
        if unknown:
            raise ValueError(f"not in the table of metrics: {sorted(unknown)}")
        self._sources = sources
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.dispatch_latency = Histogram(
            DISPATCH_LATENCY, TABLE[DISPATCH_LATENCY].help, buckets=DISPATCH_BUCKETS, registry=self.registry
        )

    def collect(self) -> Iterator[Metric]:
        """Called at every scrape."""
        for name, source in self._sources.items():
            row = TABLE[name]
            family = (CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily)(
                name, row.help, labels=row.labels
            )
            for labels, value in source().items():
                family.add_metric(list(labels), value)
            yield family

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the registry then does not collect when it registers."""
        return []
