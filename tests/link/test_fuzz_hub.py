"""Whatever a node sends, hub and leader take it or refuse it: no error, no growth, and no other node hears of it (rule S9.1)."""

import asyncio
import logging
import time
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.link.arbitrary import wild
from tests.link.mutations import mutated
from tests.link.town import TASKS, Town

from batchpools.link import messages as link
from batchpools.link.framing import BadFrameError, decode_from_agent, encode
from batchpools.link.words import Refusal
from batchpools.testing.virtual_time import VirtualClock, run_virtual, virtual_runner

MUTATIONS = 50_000
LOOK_EVERY = 500
ADMITTED_EVERY = 10
EXAMPLES = 2_000
REFUSALS = {Refusal.BAD_FRAME, Refusal.FLOODING}


@pytest.mark.timeout(600)
def test_mutated_frames_of_a_node_disturb_nobody(fuzz_seed: int) -> None:
    random = Random(fuzz_seed)  # noqa: S311 (no secret)
    began = time.process_time()

    async def main(clock: VirtualClock) -> tuple[int, int]:
        town = Town(clock)
        await town.open()
        taken = 0
        for number in range(MUTATIONS):
            if number % LOOK_EVERY == 0:
                await look(town)
                good = town.good_frames(random)
            frame = mutated(random, random.choice(good), good)
            # What is no frame comes from strangers, mostly: a new session of a node for each costs more time than it shows.
            sender = town.a if is_frame(frame) or number % ADMITTED_EVERY == 0 else town.stranger()
            try:
                sender.say_bytes(frame)
            except Exception as error:
                raise AssertionError(f"mutation {number} of seed {fuzz_seed}: {frame.hex()}") from error
            if sender is not town.a:
                assert sender.session.is_over
                await town.gone(sender)
            elif sender.session.is_over:
                await town.join_a()
            else:
                taken += 1
        await look(town)
        assert set(town.hub.refusals) <= REFUSALS
        assert taken > MUTATIONS // 25  # else nothing but the decoder was tried
        await town.close()
        return taken, town.joins

    taken, joins = run_virtual(main)
    spent = time.process_time() - began
    print(f"seed {fuzz_seed}: {MUTATIONS} mutations, {taken} taken, {joins} sessions, {spent:.1f} s of CPU")


def is_frame(frame: bytes) -> bool:
    """Whether the decoder takes it; also one without messages, upon which nothing happens."""
    try:
        decode_from_agent(frame)
    except BadFrameError:
        return False
    return True


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each address is right, and here there are tens of thousands."""
    caplog.set_level(logging.ERROR, "batchpools.hub.server")


async def look(town: Town) -> None:
    """Everything has come to rest, nothing has failed or grown, B is as it was."""
    for _ in range(3):
        await town.settle()
        await asyncio.sleep(0.4)
    await town.settle()
    assert town.errors == []
    assert town.picture() == town.before
    assert not town.b.is_cut
    hub, ledger = town.hub, town.stage.ledger
    assert len(hub.sessions()) == 2
    assert len(ledger._book.entries) <= TASKS + 1
    assert len(hub._strangers._open) <= 1
    assert len(hub._strangers._penalties) <= 1024
    assert len(hub._strangers._logged) <= 1024
    assert len(hub._floods._budgets) <= 2
    assert hub._requests == {}
    assert ledger._live._questions == set()
    assert ledger._reports._asked == {}
    assert len(town.a.session._acknowledged) <= LOOK_EVERY * 4


@pytest.mark.timeout(600)
def test_messages_with_extreme_values_disturb_nobody() -> None:
    """Well-typed messages; values of all sizes."""

    with virtual_runner() as runner:
        town = Town(VirtualClock(runner.get_loop()))
        runner.run(town.open())

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(wild(link.FromAgent), min_size=1, max_size=2))
        def feed(messages: list[link.FromAgent]) -> None:
            runner.run(say(town, messages))

        feed()
        runner.run(look(town))
        runner.run(town.close())


async def say(town: Town, messages: list[link.FromAgent]) -> None:
    """All of them at once, then one by one: what one refused frame hides, another may show."""
    for frame in (encode(messages), *(encode([one]) for one in messages)):
        town.a.say_bytes(frame)
        if town.a.session.is_over:
            await town.join_a()
    await asyncio.sleep(0)
    assert town.errors == []
    assert town.picture() == town.before
