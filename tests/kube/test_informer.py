"""Informers keep a store like the API server's, whatever the watch goes through. In virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from batchpools.core.views import TaskView
from batchpools.kube.cache import Cache
from batchpools.kube.errors import GoneError, ServerError, UnreachableError
from batchpools.kube.informer import Informer
from batchpools.kube.resources import TASKS
from batchpools.testing.builders import NAMESPACE, manifest, task
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import VirtualClock, run_virtual, settle


class Scene:
    """A FakeKube, a cache, an informer of Tasks, and all that was told of changes."""

    def __init__(self, clock: VirtualClock) -> None:
        self.server = FakeKube(clock)
        self.cache = Cache()
        self.informer = Informer(self.server, TASKS, self.cache.tasks, TaskView, clock)
        self.told: list[tuple[str, str]] = []
        self.cache.tasks.subscribe(self._note)

    def _note(self, old: TaskView | None, new: TaskView | None) -> None:
        view = new or old
        assert view is not None
        self.told.append(("added" if old is None else "changed" if new is not None else "gone", view.metadata.name))

    def create(self, *task_names: str) -> None:
        for name in task_names:
            self.server.seed(manifest(task(name)))

    def remove(self, name: str) -> None:
        self.server.remove(TASKS, NAMESPACE, name)

    def held(self) -> set[str]:
        return {view.metadata.name for view in self.cache.tasks}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.informer.run())
        try:
            yield
            assert not running.done(), "the loop has ended"
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def play(story: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def main(clock: VirtualClock) -> None:
        await story(Scene(clock))

    run_virtual(main)


def test_it_is_synced_after_the_first_list_and_follows_the_watch() -> None:
    async def story(scene: Scene) -> None:
        scene.create("j.a")
        async with scene.running():
            await scene.informer.synced.wait()
            assert scene.held() == {"j.a"}
            scene.create("j.b")
            scene.server.set_status(TASKS, NAMESPACE, "j.a", state="Running")
            scene.remove("j.b")
            await settle()
        assert scene.told == [("added", "j.a"), ("added", "j.b"), ("changed", "j.a"), ("gone", "j.b")]

    play(story)


def test_a_long_list_comes_whole() -> None:
    async def story(scene: Scene) -> None:
        scene.create(*(f"j.n{n}" for n in range(1203)))
        async with scene.running():
            await scene.informer.synced.wait()
            assert len(scene.cache.tasks) == 1203
            assert scene.server.count("list") == 3

    play(story)


def test_a_watch_that_the_server_ends_goes_on_where_it_was() -> None:
    async def story(scene: Scene) -> None:
        scene.create("j.a")
        async with scene.running():
            await scene.informer.synced.wait()
            await settle()
            scene.server.end_watches()
            scene.create("j.b")
            await asyncio.sleep(1)
            assert scene.held() == {"j.a", "j.b"}
            assert scene.informer.relists == 1

    play(story)


def test_a_bookmark_moves_the_point_to_go_on_from() -> None:
    async def story(scene: Scene) -> None:
        async with scene.running():
            await scene.informer.synced.wait()
            await settle()
            scene.server.bookmark(TASKS)
            await settle()
            scene.server.compact()
            scene.server.end_watches()
            scene.create("j.a")
            await asyncio.sleep(1)
            assert scene.held() == {"j.a"}
            assert scene.informer.relists == 1

    play(story)


def test_after_410_what_vanished_meanwhile_is_told_as_gone_and_what_stayed_is_no_news() -> None:
    async def story(scene: Scene) -> None:
        scene.create("j.a", "j.b")
        async with scene.running():
            await scene.informer.synced.wait()
            scene.told.clear()
            scene.server.end_watches(gone=True)
            scene.remove("j.a")
            scene.create("j.c")
            scene.server.compact()
            await asyncio.sleep(1)
            assert scene.informer.relists == 2
        assert sorted(scene.told) == [("added", "j.c"), ("gone", "j.a")]

    play(story)


def test_another_life_under_a_name_is_told_as_an_end_and_a_beginning() -> None:
    async def story(scene: Scene) -> None:
        scene.create("j.a")
        async with scene.running():
            await scene.informer.synced.wait()
            scene.told.clear()
            scene.server.end_watches(gone=True)
            scene.remove("j.a")
            scene.server.seed({**manifest(task("j.a")), "metadata": {"name": "j.a", "uid": "second"}})
            scene.server.compact()
            await asyncio.sleep(1)
            assert scene.cache.tasks.by_uid("uid-task-j.a") is None
            assert scene.cache.tasks.by_uid("second") is not None
        assert scene.told == [("gone", "j.a"), ("added", "j.a")]

    play(story)


def test_a_page_that_expires_in_mid_list_takes_nothing_away() -> None:
    async def story(scene: Scene) -> None:
        scene.create(*(f"j.n{n:04d}" for n in range(600)))
        gate = scene.server.faults.hold("list", after=True)
        async with scene.running():
            await settle()
            scene.server.compact()
            gate.set()
            await scene.informer.synced.wait()
            assert len(scene.cache.tasks) == 600
        assert ("gone", "j.n0000") not in scene.told

    play(story)


@pytest.mark.parametrize(
    "error", [UnreachableError("refused"), ServerError("boom", 500), GoneError("old", 410)], ids=repr
)
def test_errors_are_survived_and_asked_again_ever_more_slowly(error: Any) -> None:
    async def story(scene: Scene) -> None:
        scene.server.faults.fail("list", error, times=6)
        scene.create("j.a")
        async with scene.running():
            await settle()
            assert scene.server.count("list") <= 2
            await scene.informer.synced.wait()
        assert scene.server.count("list") == 7
        assert scene.held() == {"j.a"}

    play(story)


def test_an_object_that_cannot_be_read_is_named_once_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    async def story(scene: Scene) -> None:
        scene.create("j.good")
        scene.server.seed({**manifest(task("j.bad")), "spec": {"jobName": 5}})
        async with scene.running():
            await scene.informer.synced.wait()
            scene.server.set_status(TASKS, NAMESPACE, "j.bad", state="Running")
            scene.create("j.later")
            await settle()
            assert scene.held() == {"j.good", "j.later"}

    play(story)
    assert [record.message for record in caplog.records if "j.bad" in record.message] != []
    assert sum("j.bad" in record.message for record in caplog.records) == 1


def test_an_object_that_becomes_unreadable_is_not_taken_for_deleted() -> None:
    async def story(scene: Scene) -> None:
        scene.create("j.a")
        async with scene.running():
            await scene.informer.synced.wait()
            scene.server.seed({**manifest(task("j.a")), "spec": {"jobName": 5}})
            await settle()
            scene.server.end_watches(gone=True)
            scene.server.compact()
            await asyncio.sleep(1)
            assert scene.informer.relists == 2
            assert scene.held() == {"j.a"}

    play(story)


def test_it_is_stale_after_90_seconds_without_a_word() -> None:
    async def story(scene: Scene) -> None:
        async with scene.running():
            await scene.informer.synced.wait()
            await asyncio.sleep(89)
            assert not scene.informer.stale
            scene.server.bookmark(TASKS)
            await asyncio.sleep(89)
            assert not scene.informer.stale
            await asyncio.sleep(2)
            assert scene.informer.stale

    play(story)


def test_of_two_informers_of_a_kind_each_keeps_its_own_namespace() -> None:
    """Namespaced mode: a list of one namespace says nothing of the other."""

    async def main(clock: VirtualClock) -> None:
        server, cache = FakeKube(clock), Cache()
        for where in ("one", "two", "neither"):
            made = manifest(task("j.a"))
            server.seed({**made, "metadata": {**made["metadata"], "namespace": where, "uid": f"uid-{where}"}})
        informers = [Informer(server, TASKS, cache.tasks, TaskView, clock, namespace=one) for one in ("one", "two")]
        running = [asyncio.create_task(one.run()) for one in informers]
        await asyncio.gather(*(one.synced.wait() for one in informers))
        assert {view.metadata.namespace for view in cache.tasks} == {"one", "two"}
        server.compact()
        server.end_watches(gone=True)
        await asyncio.sleep(30)
        assert all(one.relists > 1 for one in informers)
        assert {view.metadata.namespace for view in cache.tasks} == {"one", "two"}
        server.remove(TASKS, "two", "j.a")
        await settle()
        assert {view.metadata.namespace for view in cache.tasks} == {"one"}
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    run_virtual(main)
