"""The barrier: a new leader acts on nothing before its own watches have shown what it wrote (safety rule S2.2)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from batchpools.core.views import JobView, PoolNodeView, PoolView, TaskView
from batchpools.kube.barrier import NAME, Barrier, remove_barrier
from batchpools.kube.cache import Cache
from batchpools.kube.errors import GoneError, NotFoundError, ServerError
from batchpools.kube.informer import Informer
from batchpools.kube.resources import JOBS, POOL_NODES, POOLS, TASKS
from batchpools.testing.builders import manifest, task
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import VirtualClock, run_virtual, settle

HOME = "batchpools-system"
KINDS = (POOLS, POOL_NODES, JOBS, TASKS)


class Scene:
    """FakeKube, a cache with its informers, and a barrier."""

    def __init__(self, clock: VirtualClock) -> None:
        self.kube = FakeKube(clock)
        self.cache = Cache()
        stores: list[tuple[Any, Any, Any]] = [
            (POOLS, self.cache.pools, PoolView),
            (POOL_NODES, self.cache.nodes, PoolNodeView),
            (JOBS, self.cache.jobs, JobView),
            (TASKS, self.cache.tasks, TaskView),
        ]
        self.informers = [Informer(self.kube, resource, store, view, clock) for resource, store, view in stores]
        self.barrier = Barrier(self.kube, self.informers, HOME, clock)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        running = [asyncio.create_task(one.run()) for one in self.informers]
        await asyncio.gather(*(one.synced.wait() for one in self.informers))
        try:
            yield
        finally:
            for one in running:
                one.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def passing(self, epoch: int = 7) -> asyncio.Task[None]:
        return asyncio.create_task(self.barrier.passed(epoch))

    def shown(self) -> int:
        return sum(len(store) for store in (self.cache.pools, self.cache.nodes, self.cache.jobs, self.cache.tasks))


def played(play: Callable[[Scene], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test as a play in virtual time."""

    def test() -> None:
        async def main(clock: VirtualClock) -> None:
            scene = Scene(clock)
            async with scene.watching():
                await play(scene)

        run_virtual(main)

    test.__name__ = play.__name__
    return test


@played
async def test_it_makes_its_objects_ended_from_the_start_and_no_cache_shows_them(scene: Scene) -> None:
    await scene.passing()
    for resource in KINDS:
        held = scene.kube.object(resource, HOME, NAME)
        assert held is not None
        assert held["metadata"]["labels"] == {"batchpools.dev/internal": "barrier"}
        assert held["metadata"]["annotations"]["batchpools.dev/epoch"].startswith("7.")
        if resource in {JOBS, TASKS}:
            assert held["status"]["state"] == "Completed"
    assert scene.shown() == 0


@played
async def test_it_waits_for_a_watch_that_lags_and_what_was_written_before_is_seen_by_then(scene: Scene) -> None:
    """Without it a finished task runs again: the leader's cache shows it active while the API server has its end."""
    await scene.passing(1)
    gate = scene.kube.faults.hold("watch", kind="Task", times=10**6)
    scene.kube.end_watches()
    await settle()
    scene.kube.seed(manifest(task("written.before")))
    passing = scene.passing(2)
    await asyncio.sleep(60)
    assert (passing.done(), len(scene.cache.tasks)) == (False, 0)
    gate.set()
    await passing
    assert [view.metadata.name for view in scene.cache.tasks] == ["written.before"]


@played
async def test_a_watch_that_died_unnoticed_begins_anew_after_five_seconds(scene: Scene) -> None:
    """The client would notice after 90 s; so long nothing would be dispatched."""
    await scene.passing(1)
    scene.kube.faults.hold("watch", kind="Task")  # for ever
    scene.kube.end_watches()
    await settle()
    scene.kube.seed(manifest(task("written.before")))
    await asyncio.wait_for(scene.passing(2), 6.0)
    assert [view.metadata.name for view in scene.cache.tasks] == ["written.before"]
    assert scene.informers[3].relists == 1, "it goes on from where it was"


@played
async def test_a_watch_that_is_only_slow_is_given_more_time_at_each_turn(scene: Scene) -> None:
    await scene.passing(1)
    opened: list[float] = []
    watch, began = scene.kube.watch, asyncio.get_running_loop().time()

    async def slow(resource: Any, *place: str, **words: Any) -> AsyncIterator[Any]:
        if resource is TASKS:
            opened.append(asyncio.get_running_loop().time() - began)
            await asyncio.sleep(18.0)
        async for event in watch(resource, *place, **words):
            yield event

    scene.kube.watch = slow  # type: ignore[assignment, method-assign]
    scene.kube.end_watches()
    await settle()
    await asyncio.wait_for(scene.passing(2), 60)
    assert len(opened) == 3
    assert opened[2] - opened[1] > 2 * (opened[1] - opened[0])


@played
async def test_neither_a_watch_that_speaks_nor_a_list_is_cut_off(scene: Scene) -> None:
    await scene.passing(1)
    heard = asyncio.create_task(_speak(scene))
    gate = scene.kube.faults.hold("patch", kind="Job", times=10**6)
    passing = scene.passing(2)
    await asyncio.sleep(60)
    assert [one.begin_anew(5.0) for one in scene.informers] == [True, True, True, False]
    heard.cancel()
    held = scene.kube.faults.hold("list", kind="Task")
    scene.kube.compact()
    scene.kube.end_watches(gone=True)
    await asyncio.sleep(60)
    assert not scene.informers[3].begin_anew(5.0)
    held.set()
    gate.set()
    await passing


async def _speak(scene: Scene) -> None:
    """Something is written every three seconds."""
    for number in range(100):
        scene.kube.seed(manifest(task(f"a-{number}")))
        await asyncio.sleep(3.0)


@played
async def test_a_mark_of_a_former_epoch_that_arrives_late_passes_nothing(scene: Scene) -> None:
    await scene.passing(1)
    gate = scene.kube.faults.hold("patch", kind="Task")
    passing = scene.passing(3)
    await settle()
    late = [{"op": "add", "path": "/metadata/annotations", "value": {"batchpools.dev/epoch": "2.9"}}]
    await scene.kube.patch(TASKS, HOME, NAME, late)
    await asyncio.sleep(60)
    assert not passing.done()
    gate.set()
    await passing


@played
async def test_an_object_that_is_deleted_while_it_waits_is_made_again(scene: Scene) -> None:
    await scene.passing(1)
    gate = scene.kube.faults.hold("watch", kind="Job", times=10**6)
    scene.kube.end_watches()
    await settle()
    passing = scene.passing(2)
    await settle()
    scene.kube.remove(JOBS, HOME, NAME)
    scene.kube.compact()
    gate.set()
    await passing
    assert scene.kube.object(JOBS, HOME, NAME) is not None


@played
async def test_errors_and_relists_delay_it_and_nothing_else(scene: Scene) -> None:
    scene.kube.faults.fail("create", ServerError("etcd is away", 500), times=3)
    scene.kube.faults.fail("patch", ServerError("etcd is away", 500), times=3)
    scene.kube.faults.fail("watch", GoneError("too old", 410), kind="Pool", times=2)
    scene.kube.end_watches(gone=True)
    await asyncio.wait_for(scene.passing(), 120)


@played
async def test_a_lost_lease_ends_the_wait(scene: Scene) -> None:
    scene.kube.faults.fail("patch", ServerError("etcd is away", 500), times=10**6)
    passing = scene.passing()
    await asyncio.sleep(30)
    passing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await passing


@played
async def test_an_object_of_that_name_elsewhere_passes_nothing(scene: Scene) -> None:
    """Whoever may label their own objects hides them from the operator, and does no more."""
    gate = scene.kube.faults.hold("create", kind="Task")
    passing = scene.passing(2)
    await settle()
    fake = manifest(task(NAME))
    fake["metadata"] |= {
        "labels": {"batchpools.dev/internal": "barrier"},
        "annotations": {"batchpools.dev/epoch": "2.4"},
    }
    scene.kube.seed(fake)
    await asyncio.sleep(30)
    assert (passing.done(), scene.shown()) == (False, 0)
    gate.set()
    await passing


@played
async def test_a_relist_tells_of_a_mark_only_when_all_of_it_is_in_the_cache(scene: Scene) -> None:
    for number in range(600):
        scene.kube.seed(manifest(task(f"a-{number:03}")))
    await scene.passing(1)
    scene.kube.seed(manifest(task("zz-last")))
    seen: list[int] = []
    scene.informers[3].on_mark = lambda *_: seen.append(len(scene.cache.tasks))
    scene.kube.compact()
    scene.kube.end_watches(gone=True)
    await asyncio.sleep(30)
    assert seen
    assert set(seen) == {601}


@played
async def test_uninstalling_takes_them_away_twice_is_once(scene: Scene) -> None:
    await scene.passing()
    await remove_barrier(scene.kube, HOME)
    await remove_barrier(scene.kube, HOME)
    for resource in KINDS:
        with pytest.raises(NotFoundError):
            await scene.kube.get(resource, HOME, NAME)


def test_in_namespaced_mode_each_watched_namespace_has_its_own_and_all_are_waited_for() -> None:
    async def main(clock: VirtualClock) -> None:
        kube, cache = FakeKube(clock), Cache()
        informers = [
            Informer(kube, resource, store, view, clock, namespace=where)
            for where in ("one", "two")
            for resource, store, view in ((JOBS, cache.jobs, JobView), (TASKS, cache.tasks, TaskView))
        ]
        barrier = Barrier(kube, informers, HOME, clock)
        running = [asyncio.create_task(informer.run()) for informer in informers]
        await asyncio.gather(*(informer.synced.wait() for informer in informers))
        await barrier.passed(1)
        assert [kube.object(JOBS, where, NAME) is not None for where in ("one", "two", HOME)] == [True, True, False]
        gate = kube.faults.hold("watch", kind="Task", times=10**6)  # of either namespace
        kube.end_watches()
        await settle()
        passing = asyncio.create_task(barrier.passed(2))
        await asyncio.sleep(60)
        assert not passing.done()
        gate.set()
        await passing
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    run_virtual(main)
