"""The applier's statuses: once, with the epoch, for one life of an object; counters wait and hold up nobody (S5.1, S5.4)."""

import asyncio

import pytest
from tests.kube.applied import KEY, UID, Scene, play

from batchpools.api.states import PoolState
from batchpools.core.identity import Key
from batchpools.core.plan import Plan, WriteStatus
from batchpools.core.views import PoolStatus
from batchpools.kube.errors import InvalidError, UnreachableError
from batchpools.kube.resources import POOLS
from batchpools.testing.builders import NAMESPACE, key_of, manifest, pool
from batchpools.testing.virtual_time import settle


def test_a_status_carries_the_epoch() -> None:
    async def story(scene: Scene) -> None:
        await scene.do(status=PoolStatus(selector="a=b"))
        assert scene.pool()["status"]["epoch"] == 7

    play(story)


def test_a_status_equal_to_the_present_one_is_not_written_whoever_wrote_it() -> None:
    async def story(scene: Scene) -> None:
        plan = Plan(status=PoolStatus(selector="a=b"))
        await scene.applier.apply(KEY, UID, plan, current=PoolStatus(selector="a=b", epoch=6))
        assert scene.server.calls == []

    play(story)


def test_the_status_of_another_life_is_not_written() -> None:
    """Safety rule S5.1: a task that was deleted and made again does not get the old run's result."""

    async def story(scene: Scene) -> None:
        assert not await scene.applier.write_status(WriteStatus(KEY, "former", PoolStatus(selector="a=b")))
        assert not await scene.applier.write_status(WriteStatus(Key("Pool", NAMESPACE, "x"), "y", PoolStatus()))
        assert await scene.applier.write_status(WriteStatus(KEY, UID, PoolStatus(selector="c=d")))
        assert scene.pool()["status"]["selector"] == "c=d"

    play(story)


def test_a_leader_that_was_replaced_without_knowing_is_refused_by_the_api_server() -> None:
    async def story(scene: Scene) -> None:
        scene.server.set_status(POOLS, NAMESPACE, "demo", epoch=8)
        with pytest.raises(InvalidError):
            await scene.do(status=PoolStatus(selector="a=b"))

    play(story)


def test_counters_hold_up_nobody_and_only_the_newest_is_written() -> None:
    async def story(scene: Scene) -> None:
        for nodes in range(1, 200):
            await scene.do(status=PoolStatus(current_dedicated_nodes=nodes), urgent=False)
        assert scene.server.calls == []
        await asyncio.sleep(1)
        assert scene.server.count("patch") == 1
        assert scene.pool()["status"]["currentDedicatedNodes"] == 199

    play(story)


def test_counters_go_out_twenty_a_second_and_urgent_writes_do_not_wait() -> None:
    async def story(scene: Scene) -> None:
        pools = [pool(f"p{n:03d}") for n in range(200)]
        for one in pools:
            scene.server.seed(manifest(one))
            plan = Plan(status=PoolStatus(current_dedicated_nodes=1), urgent=False)
            await scene.applier.apply(key_of(one), one.metadata.uid, plan)
        await asyncio.sleep(5)
        written = scene.server.count("patch")
        assert 100 <= written <= 125
        await scene.do(status=PoolStatus(state=PoolState.DELETING))
        assert scene.pool()["status"]["state"] == "Deleting"
        await asyncio.sleep(10)
        assert scene.server.count("patch") == 201

    play(story)


def test_an_urgent_write_takes_the_place_of_counters_that_wait_or_are_on_their_way() -> None:
    async def story(scene: Scene) -> None:
        gate = scene.server.faults.hold("patch", kind="Pool")
        await scene.do(status=PoolStatus(current_dedicated_nodes=1), urgent=False)
        await settle()
        await scene.do(status=PoolStatus(current_dedicated_nodes=2), urgent=False)
        urgent = asyncio.create_task(scene.do(status=PoolStatus(current_dedicated_nodes=3)))
        await settle()
        assert not urgent.done(), "an older write is on its way and might come later"
        gate.set()
        await urgent
        await asyncio.sleep(5)
        assert scene.server.count("patch") == 2
        assert scene.pool()["status"]["currentDedicatedNodes"] == 3

    play(story)


def test_counters_that_the_world_has_caught_up_with_are_forgotten() -> None:
    async def story(scene: Scene) -> None:
        await scene.do(status=PoolStatus(current_dedicated_nodes=1), urgent=False)
        await scene.applier.apply(KEY, UID, Plan(status=PoolStatus(), urgent=False), current=PoolStatus(epoch=3))
        await asyncio.sleep(5)
        assert scene.server.calls == []

    play(story)


def test_counters_are_tried_again_after_an_error() -> None:
    async def story(scene: Scene) -> None:
        scene.server.faults.fail("patch", UnreachableError("refused"), times=3)
        await scene.do(status=PoolStatus(current_dedicated_nodes=1), urgent=False)
        await asyncio.sleep(10)
        assert scene.pool()["status"]["currentDedicatedNodes"] == 1

    play(story)


def test_an_older_count_that_failed_does_not_come_before_a_newer_one() -> None:
    async def story(scene: Scene) -> None:
        gate = scene.server.faults.hold("patch")
        scene.server.faults.fail("patch", UnreachableError("refused"))
        await scene.do(status=PoolStatus(current_dedicated_nodes=0, selector="first"), urgent=False)
        scene.server.faults.lose_answer("patch")
        await settle()
        await scene.do(status=PoolStatus(current_dedicated_nodes=2), urgent=False)
        gate.set()
        await asyncio.sleep(10)
        assert scene.server.count("patch") >= 2
        assert scene.pool()["status"]["currentDedicatedNodes"] == 2

    play(story)


@pytest.mark.parametrize("epoch", [None, 9])
def test_counters_of_a_reign_that_is_over_are_not_written(epoch: int | None) -> None:
    async def story(scene: Scene) -> None:
        await scene.do(status=PoolStatus(current_dedicated_nodes=1), urgent=False)
        scene.epoch = epoch
        await asyncio.sleep(5)
        assert scene.server.calls == []

    play(story)
