"""The queue: each key once, by one worker at a time, failures ever later. In virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from batchpools.core.identity import Key
from batchpools.kube.errors import ConflictError
from batchpools.kube.workqueue import WorkQueue
from batchpools.testing.virtual_time import VirtualClock, run_virtual, settle

A, B = Key("Pool", "default", "a"), Key("Pool", "default", "b")


def play(
    reconcile: Callable[[Key, VirtualClock], Awaitable[float | None]],
    story: Callable[[WorkQueue, VirtualClock], Coroutine[Any, Any, None]],
    *,
    workers: int = 8,
    rest: float = 0.0,
) -> None:
    async def main(clock: VirtualClock) -> None:
        queue = WorkQueue(clock, workers=workers)
        queue.register("Pool", lambda key: reconcile(key, clock), rest=rest)
        queue.start()
        await story(queue, clock)
        await queue.stop()

    run_virtual(main)


def test_a_key_that_is_added_many_times_is_looked_at_once() -> None:
    seen: list[Key] = []

    async def reconcile(key: Key, _: VirtualClock) -> None:
        seen.append(key)

    async def story(queue: WorkQueue, _: VirtualClock) -> None:
        for _again in range(10):
            queue.add(A)
        queue.add(B)
        assert queue.depth == 2
        await settle()
        assert queue.depth == 0

    play(reconcile, story)
    assert seen == [A, B]


def test_a_key_that_is_added_while_it_is_looked_at_is_looked_at_again_and_never_by_two() -> None:
    running: list[Key] = []
    together = count = 0

    async def reconcile(key: Key, _: VirtualClock) -> None:
        nonlocal count, together
        running.append(key)
        together = max(together, len(running))
        await asyncio.sleep(1)
        running.remove(key)
        count += 1

    async def story(queue: WorkQueue, _: VirtualClock) -> None:
        queue.add(A)
        await settle()
        queue.add(A)
        queue.add(A)
        await asyncio.sleep(5)

    play(reconcile, story)
    assert (count, together) == (2, 1)


def test_a_key_rests_between_two_looks_and_the_first_edge_is_followed_at_once() -> None:
    """A hundred edges within a second are at most eleven looks, and the last edge is never forgotten."""
    seen: list[float] = []
    edges: list[float] = []

    async def reconcile(key: Key, clock: VirtualClock) -> None:
        if key == A:
            seen.append(clock.monotonic())

    async def story(queue: WorkQueue, clock: VirtualClock) -> None:
        for _again in range(100):
            edges.append(clock.monotonic())
            queue.add(A)
            await asyncio.sleep(0.01)
        queue.add(B)  # another key does not wait for it
        await asyncio.sleep(5)
        edges.append(clock.monotonic())
        queue.add(A)
        await settle()

    play(reconcile, story, rest=0.1)
    assert seen[0] == pytest.approx(edges[0])
    assert len(seen) <= 12
    assert all(later - earlier >= 0.0999 for earlier, later in pairwise(seen))
    assert edges[-2] <= seen[-2] <= edges[-2] + 0.1001
    assert seen[-1] == pytest.approx(edges[-1])


def test_a_key_that_rests_is_looked_at_when_its_own_appointment_comes() -> None:
    seen: list[float] = []

    async def reconcile(_: Key, clock: VirtualClock) -> float | None:
        seen.append(clock.monotonic())
        return 0.02 if len(seen) < 4 else None

    async def story(queue: WorkQueue, _: VirtualClock) -> None:
        queue.add(A)
        await asyncio.sleep(1)

    play(reconcile, story, rest=0.1)
    assert [round(later - earlier, 3) for earlier, later in pairwise(seen)] == [0.02, 0.02, 0.02]


def test_a_slow_key_does_not_hold_up_the_others() -> None:
    seen: list[Key] = []

    async def reconcile(key: Key, _: VirtualClock) -> None:
        if key == A:
            await asyncio.sleep(100)
        seen.append(key)

    async def story(queue: WorkQueue, _: VirtualClock) -> None:
        queue.add(A)
        queue.add(B)
        await asyncio.sleep(1)

    play(reconcile, story, workers=2)
    assert seen == [B]


def test_failures_come_back_ever_later_and_success_forgets_them(caplog: pytest.LogCaptureFixture) -> None:
    at: list[float] = []
    failing = True

    async def reconcile(_: Key, clock: VirtualClock) -> None:
        at.append(clock.monotonic())
        if failing:
            raise ConflictError("changed meanwhile", 409)

    async def story(queue: WorkQueue, _: VirtualClock) -> None:
        nonlocal failing
        queue.add(A)
        await asyncio.sleep(300)
        gaps = [later - earlier for earlier, later in pairwise(at)]
        assert len(gaps) >= 10
        assert all(gap <= 75 for gap in gaps)
        assert gaps[6] > gaps[3] > gaps[0]
        failing = False
        await asyncio.sleep(100)
        done = len(at)
        await asyncio.sleep(1000)
        assert len(at) == done
        failing = True
        at.clear()
        queue.add(A)
        await asyncio.sleep(0.5)
        assert len(at) >= 2

    play(reconcile, story)
    assert sum("changed meanwhile" in record.getMessage() for record in caplog.records) == 2  # once per change


def test_an_unexpected_exception_ends_no_worker() -> None:
    seen: list[Key] = []

    async def reconcile(key: Key, _: VirtualClock) -> None:
        seen.append(key)
        if len(seen) == 1:
            raise ZeroDivisionError

    async def story(queue: WorkQueue, _: VirtualClock) -> None:
        queue.add(A)
        queue.add(B)
        await asyncio.sleep(1)

    play(reconcile, story, workers=1)
    assert seen == [A, B, A]


def test_a_reconciler_is_called_again_after_the_seconds_that_it_names() -> None:
    at: list[float] = []

    async def reconcile(_: Key, clock: VirtualClock) -> float | None:
        at.append(clock.monotonic())
        return 30 if len(at) < 3 else None

    async def story(queue: WorkQueue, _: VirtualClock) -> None:
        queue.add(A)
        await asyncio.sleep(1000)

    play(reconcile, story)
    assert [round(later - at[0]) for later in at] == [0, 30, 60]


def test_an_earlier_appointment_stays_and_an_edge_comes_at_once() -> None:
    at: list[float] = []

    async def reconcile(_: Key, clock: VirtualClock) -> None:
        at.append(clock.monotonic())

    async def story(queue: WorkQueue, clock: VirtualClock) -> None:
        began = clock.monotonic()
        queue.add_after(A, 10)
        queue.add_after(A, 100)
        queue.add_after(B, 100)
        queue.add_after(B, 20)
        await asyncio.sleep(5)
        queue.add(A)
        await asyncio.sleep(500)
        assert [round(when - began) for when in at] == [5, 10, 20]

    play(reconcile, story)


def test_a_stopped_queue_takes_nothing_and_keeps_nothing() -> None:
    seen: list[Key] = []

    async def reconcile(key: Key, _: VirtualClock) -> None:
        seen.append(key)

    async def story(queue: WorkQueue, _: VirtualClock) -> None:
        queue.add_after(A, 10)
        await queue.stop()
        queue.add(B)
        queue.add_after(B, 1)
        await asyncio.sleep(100)
        queue.start()
        await asyncio.sleep(100)
        assert seen == []
        queue.add(B)
        await settle()

    play(reconcile, story)
    assert seen == [B]
