"""Samples of a node's resources: from two looks at what the runner tells, kept for an hour, told again to a new leader."""

import asyncio
from typing import Any

import pytest
from tests.agent.runners import Runner, connect

from batchpools.agent.measure import Meter, sample_of
from batchpools.agent.runner_client import RunnerError, RunnerGoneError
from batchpools.link.messages import MAX_SAMPLES, Samples
from batchpools.testing.virtual_time import VirtualClock, run_virtual

BEFORE: dict[str, Any] = {
    "cpu": 10.0, "cores": 2.0, "memory": 1 << 20, "disk": 1 << 30, "readBytes": 100, "writeBytes": 200, "readOps": 1,
    "writeOps": 2, "networkIn": 1000, "networkOut": 2000,
}  # fmt: skip


def after(**changed: Any) -> dict[str, Any]:
    return {**BEFORE, **changed}


def test_a_sample_is_the_difference_of_two_looks() -> None:
    later = after(cpu=25.0, memory=3 << 20, disk=5 << 29, readBytes=160, networkOut=2060)
    assert sample_of(BEFORE, later, 30.0).measured() == (0.25, 3.0, 2.5, 60.0, 0.0, 0.0, 0.0, 0.0, 60.0)


def test_counters_are_those_of_thirty_seconds() -> None:
    told = sample_of(BEFORE, after(cpu=25.0, readBytes=160), 60.0)
    assert (told.cpu, told.disk_read_bytes) == (0.125, 30.0)


def test_what_cannot_be_told_or_went_back_is_left_out() -> None:
    told = sample_of(after(readOps=-1), after(readOps=5, memory=-1, disk=-1, networkIn=10, cpu=-1), 30.0)
    assert (told.disk_read_ops, told.memory, told.disk, told.network_in, told.cpu) == (-1, -1, -1, -1, -1)


class Looks:
    """A runner that uses half of one core; `boot` is its life, `error` what a look gives instead."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.boot = "a"
        self.error: Exception | None = None
        self.gone = False

    async def __call__(self) -> tuple[str, dict[str, Any]] | None:
        if self.error is not None:
            raise self.error
        seconds = self.clock.boottime()
        return None if self.gone else (self.boot, after(cpu=seconds / 2, cores=1.0))


def story(play: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        told: list[Samples] = []
        looks = Looks(clock)
        meter = Meter(clock, looks, told.append)
        running = asyncio.create_task(meter.run())
        await play(meter, looks, told)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtual(main)


def test_each_is_told_once_and_kept_with_its_age_for_an_hour() -> None:
    async def play(meter: Meter, looks: Looks, told: list[Samples]) -> None:
        await asyncio.sleep(95)
        assert [(len(one.samples), one.samples[0].cpu) for one in told] == [(1, 0.5)] * 3
        assert [round(one.age) for one in meter.samples().samples] == [65, 35, 5]
        await asyncio.sleep(7200)
        kept = meter.samples().samples
        assert (len(kept), round(kept[0].age)) == (MAX_SAMPLES, 3575)

    story(play)


@pytest.mark.parametrize(
    "error", [RunnerError("Unknown", "unknown op usage"), RunnerGoneError("gone"), TimeoutError(), None]
)
def test_a_look_that_fails_or_another_life_of_the_container_gives_no_sample(error: Exception | None) -> None:
    async def play(meter: Meter, looks: Looks, told: list[Samples]) -> None:
        await asyncio.sleep(35)
        looks.error, looks.gone = error, error is None
        await asyncio.sleep(30)
        looks.error, looks.gone = None, False
        await asyncio.sleep(30)
        assert len(told) == 1
        looks.boot = "b"
        await asyncio.sleep(30)
        assert len(told) == 1
        await asyncio.sleep(30)
        assert len(told) == 2

    story(play)


async def test_every_runner_tells_what_was_used(any_runner: Runner) -> None:
    await any_runner.start()
    client = await connect(any_runner, 3600.0)
    reading = client.listen(lambda _: None)
    first = await client.ask("usage")
    second = await client.ask("usage")
    assert set(first) - {"op", "req"} == set(BEFORE)
    assert second["cpu"] >= first["cpu"]
    assert second["cores"] > 0
    assert second["disk"] > 0
    assert all(one >= 0 or one == -1 for one in sample_of(first, second, 30.0).measured())
    await client.close()
    reading.cancel()
