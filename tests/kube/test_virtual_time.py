"""Virtual time: hours pass in a moment, and a test that would hang says so."""

import asyncio

import pytest

from batchpools.testing.virtual_time import StuckError, VirtualClock, run_virtual


def test_timers_fire_in_order_and_both_clocks_follow() -> None:
    async def main(clock: VirtualClock) -> list[str]:
        began, wall = clock.monotonic(), clock.now()
        done: list[str] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            done.append(name)

        await asyncio.gather(after(7200, "late"), after(60, "early"))
        assert clock.monotonic() - began == pytest.approx(7200)
        assert (clock.now() - wall).total_seconds() == pytest.approx(7200)
        return done

    assert run_virtual(main) == ["early", "late"]


def test_a_time_limit_is_virtual_too() -> None:
    async def main(_: VirtualClock) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)

    run_virtual(main)


def test_waiting_for_what_can_never_come_is_an_error() -> None:
    async def main(_: VirtualClock) -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError):
        run_virtual(main)
