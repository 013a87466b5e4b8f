"""Informer, applier and lease on FakeKube and on the real API server: what they build on holds together there."""

import asyncio
from typing import Any

import msgspec
import pytest
from tests.kube.conftest import Server, decode, until

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.plan import AddFinalizer, Create, Delete, Event, Plan, RemoveFinalizer, WriteStatus
from batchpools.core.views import PoolStatus, PoolView, TaskStatus, TaskView
from batchpools.kube.applier import Applier, Outcome
from batchpools.kube.cache import Cache
from batchpools.kube.errors import InvalidError, NotFoundError
from batchpools.kube.informer import Informer
from batchpools.kube.lease import LeaderElector, Timing
from batchpools.kube.resources import EVENTS, LEASES, POOL_NODES, POOLS, TASKS
from batchpools.telemetry.clock import SystemClock
from batchpools.testing.builders import condition, manifest, meta, node, owner_reference, pool, task


async def create_task(server: Server, name: str = "primes.a") -> TaskView:
    body = manifest(task(name, metadata=meta(name, namespace=server.namespace)))
    return msgspec.json.decode(await server.api.create(TASKS, server.namespace, body), type=TaskView)


async def create_pool(server: Server) -> PoolView:
    body = manifest(pool("demo", metadata=meta("demo", namespace=server.namespace)))
    return msgspec.json.decode(await server.api.create(POOLS, server.namespace, body), type=PoolView)


def applier(server: Server, epoch: int = 3) -> Applier:
    return Applier(server.api, SystemClock(), lambda: epoch, ledger=None)  # type: ignore[arg-type]


async def test_an_informer_follows_creation_status_and_deletion(server: Server) -> None:
    cache = Cache()
    before = await create_task(server, "primes.before")
    informer = Informer(server.api, TASKS, cache.tasks, TaskView, SystemClock())
    running = asyncio.create_task(informer.run())
    await informer.synced.wait()
    assert cache.tasks.by_uid(before.metadata.uid) is not None
    view = await create_task(server)
    place, uid = (server.namespace, "primes.a"), view.metadata.uid
    await until(lambda: cache.tasks.by_uid(uid) is not None)
    status = TaskStatus(state="Running", conditions=(condition("Finished", "False"),))
    await applier(server).write_status(WriteStatus(Key("Task", *place), uid, status))
    await until(lambda: _state(cache, place) == "Running")
    seen = cache.tasks.get(*place)
    assert seen is not None
    assert seen.status.epoch == 3
    assert seen.status.conditions == status.conditions
    await server.api.delete(TASKS, *place, uid=uid)
    await until(lambda: cache.tasks.get(*place) is None)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def _state(cache: Cache, place: tuple[str, str]) -> str:
    view = cache.tasks.get(*place)
    return view.status.state if view is not None else ""


async def test_a_plan_is_carried_out_twice_with_one_outcome(server: Server) -> None:
    view = await create_pool(server)
    key, uid = Key("Pool", server.namespace, "demo"), view.metadata.uid
    child = node("demo-0001", metadata=meta("demo-0001", namespace=server.namespace, owner=view))
    made = Create(Key("PoolNode", server.namespace, "demo-0001"), _owned(child, view), uid)
    plan = Plan(
        effects=(AddFinalizer(key, uid, names.FINALIZER_POOL), made),
        status=PoolStatus(selector="a=b"),
        events=(Event(key, uid, "Resized", "a node more"),),
    )
    for _ in range(2):
        assert await applier(server).apply(key, uid, plan) == ()
    now = decode(await server.api.get(POOLS, server.namespace, "demo"))
    assert now["metadata"]["finalizers"] == [names.FINALIZER_POOL]
    assert (now["status"]["selector"], now["status"]["epoch"]) == ("a=b", 3)
    assert len((await server.api.list(POOL_NODES, server.namespace)).items) == 1
    assert len((await server.api.list(EVENTS, server.namespace)).items) == 1  # the same words are told once
    await applier(server).apply(
        key, uid, Plan(effects=(Delete(key, uid), RemoveFinalizer(key, uid, names.FINALIZER_POOL)))
    )
    assert await _gone(server)


def _owned(child: Any, owner: PoolView) -> dict[str, Any]:
    """A child as a planner makes it: the reference names the owner's version of the API."""
    body = manifest(child)
    body["metadata"]["ownerReferences"] = [
        {"apiVersion": names.API_VERSION, **msgspec.to_builtins(owner_reference(owner))}
    ]
    return body


async def _gone(server: Server) -> bool:
    try:
        await server.api.get(POOLS, server.namespace, "demo")
    except NotFoundError:
        return True
    return False


async def test_a_foreign_object_of_that_name_is_a_name_conflict(server: Server) -> None:
    view = await create_pool(server)
    body = manifest(node("demo-0001", metadata=meta("demo-0001", namespace=server.namespace)))
    await server.api.create(POOL_NODES, server.namespace, body)
    child = node("demo-0001", metadata=meta("demo-0001", namespace=server.namespace))
    effect = Create(Key("PoolNode", server.namespace, "demo-0001"), _owned(child, view), view.metadata.uid)
    (refusal,) = await applier(server).apply(
        Key("Pool", server.namespace, "demo"), view.metadata.uid, Plan(effects=(effect,))
    )
    assert refusal.outcome == Outcome.NAME_CONFLICT


async def test_a_child_that_the_schema_refuses_comes_back_with_a_sentence(server: Server) -> None:
    view = await create_pool(server)
    body = _owned(node("Bad_Name", metadata=meta("Bad_Name", namespace=server.namespace)), view)
    effect = Create(Key("PoolNode", server.namespace, "Bad_Name"), body, view.metadata.uid)
    (refusal,) = await applier(server).apply(
        Key("Pool", server.namespace, "demo"), view.metadata.uid, Plan(effects=(effect,))
    )
    assert refusal.outcome == Outcome.REFUSED
    assert "is invalid" in refusal.sentence


async def test_a_status_for_another_life_and_one_of_an_older_epoch_are_told_apart(server: Server) -> None:
    view = await create_task(server)
    key = Key("Task", server.namespace, "primes.a")
    assert await applier(server, 3).write_status(WriteStatus(key, view.metadata.uid, TaskStatus(state="Running")))
    assert not await applier(server, 3).write_status(WriteStatus(key, "former", TaskStatus(state="Completed")))
    with pytest.raises(InvalidError, match="epoch is older"):
        await applier(server, 2).write_status(WriteStatus(key, view.metadata.uid, TaskStatus(state="Completed")))


async def test_a_lease_goes_from_hand_to_hand_with_a_rising_epoch(server: Server) -> None:
    led: list[tuple[str, int]] = []

    def candidate(name: str) -> LeaderElector:
        async def on_lead(epoch: int) -> None:
            led.append((name, epoch))

        async def on_follow() -> None:
            return

        return LeaderElector(
            server.api,
            SystemClock(),
            namespace=server.namespace,
            identity=name,
            timing=Timing(lease=15, renew=10, retry=0.05),
            on_lead=on_lead,
            on_follow=on_follow,
        )

    first, second = candidate("first"), candidate("second")
    running = asyncio.create_task(first.run())
    await until(lambda: led == [("first", 1)])
    standby = asyncio.create_task(second.run())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await first.release()
    await until(lambda: led == [("first", 1), ("second", 2)])
    standby.cancel()
    await asyncio.gather(standby, return_exceptions=True)
    lease = decode(await server.api.get(LEASES, server.namespace, names.LEASE_NAME))["spec"]
    assert (lease["holderIdentity"], lease["leaseTransitions"]) == ("second", 2)
