"""kopf only wakes the work queue: it keeps no state, writes nothing, adds no finalizer (safety rule S2.4)."""

import asyncio

import kopf

from batchpools.api import names
from batchpools.controllers.kopf_driver import KopfDriver, _settings
from batchpools.core.identity import Key


async def test_an_event_wakes_the_queue_on_our_loop_and_does_nothing_else() -> None:
    woken: list[tuple[Key, asyncio.AbstractEventLoop]] = []
    ours = asyncio.get_running_loop()
    driver = KopfDriver(lambda key: woken.append((key, asyncio.get_running_loop())), ours)

    def in_a_thread_of_its_own() -> None:
        asyncio.run(driver._on_event(name="primes", namespace="team", param="Job"))

    await asyncio.to_thread(in_a_thread_of_its_own)
    await asyncio.sleep(0)
    assert woken == [(Key("Job", "team", "primes"), ours)]


async def test_no_handler_makes_kopf_write() -> None:
    """Handlers of creation, change or deletion would have it keep annotations and finalizers of its own."""
    registry = KopfDriver(lambda _: None, asyncio.get_running_loop())._registry()
    assert len(registry._watching.get_all_handlers()) == 3
    for changing in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert list(changing.get_all_handlers()) == []


def test_nothing_is_stored_on_objects() -> None:
    settings = _settings()
    storage = settings.persistence.diffbase_storage
    body = kopf.Body({"metadata": {"name": "big", "annotations": {"a": "x" * 300_000}}, "spec": {"a": 1}})
    patch = kopf.Patch()
    storage.store(body=body, patch=patch, essence=storage.build(body=body))
    assert dict(patch) == {}
    assert storage.fetch(body=body) is None
    assert settings.posting.enabled is False
    assert names.GROUP == "batchpools.dev"
