"""/metrics, /healthz and /readyz over HTTP; what makes a replica unready."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from prometheus_client.parser import text_string_to_metric_families

from batchpools.census import Census
from batchpools.kube.cache import Cache
from batchpools.telemetry.metrics import OperatorMetrics
from batchpools.telemetry.server import serve


class Replica:
    """A server whose verdicts a test changes."""

    def __init__(self) -> None:
        self.ready = (True, "standing by")
        self.port = unused_port()

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    made = Replica()
    metrics = OperatorMetrics({"batchpools_queue_depth": lambda: {(): 3.0}})
    runner = await serve(metrics.registry, lambda: made.ready, made.port)
    yield made
    await runner.cleanup()


async def test_a_scrape_can_be_parsed(replica: Replica) -> None:
    status, text = await replica.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert (status, families["batchpools_queue_depth"].samples[0].value) == (200, 3.0)


async def test_probes_answer_with_a_sentence_and_the_code_that_a_kubelet_reads(replica: Replica) -> None:
    assert await replica.get("/healthz") == (200, "alive\n")
    assert await replica.get("/readyz") == (200, "standing by\n")
    replica.ready = (False, "pods are stale")
    assert await replica.get("/readyz") == (503, "pods are stale\n")
    assert (await replica.get("/healthz"))[0] == 200


@pytest.mark.parametrize(
    ("listed", "age", "ready", "sentence"),
    [
        (True, 0.0, True, "standing by"),
        (True, 89.0, True, "standing by"),
        (True, 91.0, False, "nothing was heard of pods for 91 s"),
        (False, 0.0, False, "pods have not been listed yet"),
    ],
)
def test_a_stale_watch_makes_unready(listed: bool, age: float, ready: bool, sentence: str) -> None:
    synced = SimpleNamespace(is_set=lambda: listed)
    informers: Any = [SimpleNamespace(resource=SimpleNamespace(plural="pods"), age=age, synced=synced)]
    none: Any = None
    census = Census(Cache(), none, none, none, none, informers)
    assert census.ready() == (ready, sentence)
