"""Metrics: one table with all that was promised, each with a source, no names as labels, and a scrape that can be parsed."""

from collections import Counter
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from batchpools.census import Census
from batchpools.core.views import PoolNodeStatus, PoolStatus, ResizeError, TaskCounts
from batchpools.kube.cache import Cache
from batchpools.telemetry.metrics import ASKED, DISPATCH_LATENCY, TABLE, OperatorMetrics
from batchpools.testing import builders

PROMISED = {
    "batchpools_tasks",
    "batchpools_dispatch_latency_seconds",
    "batchpools_nodes",
    "batchpools_pool_slots",
    "batchpools_api_requests",
    "batchpools_queue_depth",
    "batchpools_leader",
    "batchpools_watch_age_seconds",
    "batchpools_link_sessions",
    "batchpools_link_refusals",
}


class Ledger:
    """Counts that no object shows."""

    def job_counts(self, namespace: str, job: str) -> TaskCounts:
        return TaskCounts(active=1, running=2, completed=7, succeeded=4, failed=3)

    def pool_slots(self, namespace: str, pool: str) -> tuple[int, int]:
        return (8, 2)


def census() -> Census:
    """Of one pool with two jobs, a task and two nodes, each with a name that is easily found."""
    cache = Cache()
    status = PoolStatus(
        target_dedicated_nodes=3,
        target_low_priority_nodes=1,
        current_dedicated_nodes=2,
        resize_errors=(ResizeError(code="AllocationFailed", message="secret-message"),),
    )
    cache.pools.put(builders.pool("demo", status=status))
    for name in ("secret-job-1", "secret-job-2"):
        cache.jobs.put(builders.job(name, pool_name="demo"))
    cache.tasks.put(builders.task("secret-task", job_name="secret-job-1"))
    for name in ("secret-node-1", "secret-node-2"):
        cache.nodes.put(builders.node(name, status=PoolNodeStatus(state="Idle", pod_name="secret-pod")))
    ledger: Any = Ledger()
    hub: Any = SimpleNamespace(sessions=lambda: [None] * 2, refusals=Counter(BadToken=5))
    client: Any = SimpleNamespace(requests=Counter({("patch", "tasks", "200"): 9}), in_flight=1)
    queue: Any = SimpleNamespace(depth=3, last_latency=0.25)
    informers: Any = [SimpleNamespace(resource=SimpleNamespace(kind="Task"), age=12.0, relists=1)]
    made = Census(cache, ledger, hub, client, queue, informers)
    made.elector = SimpleNamespace(epoch=6)  # type: ignore[assignment] # all that is asked of it
    made.scaling = Scaling()
    return made


class Scaling:
    evaluations: ClassVar = {("default", "demo", "success"): 3.0, ("default", "demo", "failure"): 1.0}

    def variables(self) -> dict[tuple[str, str, str], float]:
        return {("default", "demo", "$PendingTasks"): 6.0}


def scrape(metrics: OperatorMetrics) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by metric and label values, in the table's order of labels."""
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {
        family.name: {
            tuple(sample.labels[label] for label in TABLE[family.name].labels): sample.value
            for sample in family.samples
            if not sample.name.endswith(("_created", "_bucket", "_sum"))
        }
        for family in families
        if not family.name.endswith("_created")  # the client library's own
    }


def test_the_table_has_all_that_was_promised() -> None:
    assert set(TABLE) >= PROMISED


def test_every_metric_of_the_table_has_a_source() -> None:
    assert set(census().sources()) == ASKED == set(TABLE) - {DISPATCH_LATENCY}


def test_a_scrape_shows_every_metric_with_its_numbers() -> None:
    metrics = OperatorMetrics(census().sources())
    metrics.dispatch_latency.observe(0.004)
    found = scrape(metrics)
    assert set(found) == set(TABLE)
    assert found["batchpools_tasks"] == {
        ("default", "demo", "active"): 2,
        ("default", "demo", "running"): 4,
        ("default", "demo", "succeeded"): 8,
        ("default", "demo", "failed"): 6,
    }
    assert found["batchpools_nodes"] == {("default", "demo", "Idle"): 2}
    assert found["batchpools_pool_slots"] == {("default", "demo", "total"): 8, ("default", "demo", "used"): 2}
    of_kinds = [("default", "demo", "dedicated"), ("default", "demo", "lowPriority")]
    assert found["batchpools_pool_target_nodes"] == dict(zip(of_kinds, (3, 1), strict=True))
    assert found["batchpools_pool_current_nodes"] == dict(zip(of_kinds, (2, 0), strict=True))
    assert found["batchpools_pool_resize_errors"] == {("default", "demo", "AllocationFailed"): 1}
    assert found["batchpools_autoscale_evaluations"] == Scaling.evaluations
    assert found["batchpools_autoscale_variable"] == {("default", "demo", "$PendingTasks"): 6}
    assert found["batchpools_api_requests"] == {("patch", "tasks", "200"): 9}
    assert found["batchpools_link_refusals"] == {("BadToken",): 5}
    assert (found["batchpools_leader"], found["batchpools_epoch"]) == ({(): 1}, {(): 6})
    assert found["batchpools_watch_age_seconds"] == {("Task",): 12}
    assert found[DISPATCH_LATENCY] == {(): 1}


def test_no_name_of_a_task_job_or_node_is_a_label() -> None:
    labels = {label for row in TABLE.values() for label in row.labels}
    assert not labels & {"task", "job", "node", "name", "pod", "uid"}
    assert b"secret" not in generate_latest(OperatorMetrics(census().sources()).registry)


def test_a_standby_leads_nothing() -> None:
    standby = census()
    standby.elector = None
    found = scrape(OperatorMetrics(standby.sources()))
    assert (found["batchpools_leader"], found["batchpools_epoch"]) == ({(): 0}, {(): 0})


@pytest.mark.parametrize("name", ["made_up", DISPATCH_LATENCY])
def test_a_source_that_nothing_asks_for_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not in the table"):
        OperatorMetrics({name: dict})
