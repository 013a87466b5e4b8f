"""Metrics: one table, no names as labels, and what is scraped can be parsed."""

import pytest
from aiohttp.test_utils import TestClient, TestServer, unused_port
from prometheus_client.parser import text_string_to_metric_families

from batchpools.telemetry.metrics import TABLE, OperatorMetrics
from batchpools.telemetry.server import serve

WANTED = {
    "batchpools_tasks",
    "batchpools_nodes",
    "batchpools_pool_slots",
    "batchpools_api_requests",
    "batchpools_queue_depth",
    "batchpools_leader",
    "batchpools_watch_age_seconds",
    "batchpools_link_sessions",
}


def test_the_table_has_all_that_was_promised_and_no_name_is_a_label() -> None:
    assert set(TABLE) >= WANTED
    labels = {label for row in TABLE.values() for label in row.labels}
    assert not labels & {"task", "job", "node", "name", "pod"}


def test_a_source_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="not in the table"):
        OperatorMetrics({"made_up": dict})


async def test_metrics_health_and_readiness_are_served() -> None:
    metrics = OperatorMetrics({"batchpools_tasks": lambda: {("ns", "demo", "active"): 3.0}})
    metrics.dispatch_latency.observe(0.004)
    port = unused_port()
    runner = await serve(metrics.registry, lambda: (True, "alive"), lambda: (False, "pods are stale"), port)
    try:
        async with TestClient(TestServer(runner.app, skip_url_asserts=True)) as client:
            text = await (await client.get("/metrics")).text()
            families = {family.name: family for family in text_string_to_metric_families(text)}
            (sample,) = families["batchpools_tasks"].samples
            assert (sample.labels, sample.value) == ({"namespace": "ns", "pool": "demo", "state": "active"}, 3.0)
            assert "batchpools_dispatch_latency_seconds" in families
            assert (await client.get("/healthz")).status == 200
            unready = await client.get("/readyz")
            assert (unready.status, await unready.text()) == (503, "pods are stale\n")
    finally:
        await runner.cleanup()
