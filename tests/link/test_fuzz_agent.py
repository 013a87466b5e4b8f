"""Whatever a hub sends, the agent takes it or ends that session: tasks go on, and the session with the leader too (rule S9.1)."""

import asyncio
import logging
import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.link.arbitrary import wild
from tests.link.mutations import mutated
from tests.link.post import OWN_RUN, Post, kills_of

from batchpools.core.execution import ACKNOWLEDGED_KEPT
from batchpools.core.execution_events import Acknowledged
from batchpools.link import messages as link
from batchpools.link.framing import encode
from batchpools.testing.virtual_time import VirtualClock, run_virtual, virtual_runner

MUTATIONS = 50_000
LOOK_EVERY = 500
EXAMPLES = 2_000


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each bad frame is right, and here there are tens of thousands."""
    caplog.set_level(logging.ERROR, "batchpools.agent.sessions")


@pytest.mark.timeout(600)
def test_mutated_frames_of_a_hub_end_its_session_and_nothing_else(fuzz_seed: int, tmp_path: Path) -> None:
    random = Random(fuzz_seed)  # noqa: S311 (no secret)
    began = time.process_time()

    async def main(clock: VirtualClock) -> int:
        post = Post(clock, tmp_path)
        await post.open()
        taken = 0
        for number in range(MUTATIONS):
            if number % LOOK_EVERY == 0:
                await look(post)
                good = post.good_frames(random)
            frame = mutated(random, random.choice(good), good)
            feed(post, frame, f"mutation {number} of seed {fuzz_seed}")
            taken += not post.rogue.is_cut
            if post.rogue.is_cut:
                post.rogue = post.join(0)
        await look(post)
        assert taken > MUTATIONS // 25  # else nothing but the decoder was tried
        await post.close()
        return taken

    taken = run_virtual(main)
    print(f"seed {fuzz_seed}: {MUTATIONS} mutations, {taken} taken, {time.process_time() - began:.1f} s of CPU")


@pytest.mark.timeout(600)
def test_messages_with_extreme_values_end_a_session_and_nothing_else(tmp_path: Path) -> None:
    with virtual_runner() as runner:
        post = Post(VirtualClock(runner.get_loop()), tmp_path)
        runner.run(post.open())

        async def say(messages: list[link.FromHub]) -> None:
            for frame in (encode(messages), *(encode([one]) for one in messages)):
                feed(post, frame, str(messages))
                if post.rogue.is_cut:
                    post.rogue = post.join(0)
            await asyncio.sleep(0.01)
            assert post.errors == []
            assert post.alive()

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(wild(link.FromHub), min_size=1, max_size=2))
        def examples(messages: list[link.FromHub]) -> None:
            runner.run(say(messages))

        examples()
        runner.run(look(post))
        runner.run(post.close())


def feed(post: Post, frame: bytes, what: str) -> None:
    """A frame of the rogue hub: no error, and nothing that is bad ends a run."""
    live = post.node._machine.live_count
    try:
        post.rogue.hear(frame)
    except Exception as error:
        raise AssertionError(f"{what}: {frame.hex()}") from error
    assert post.node._machine.live_count >= live  # a kill is carried out by the runner, and this one ends nothing


async def look(post: Post) -> None:
    """All has come to rest, nothing has failed or grown; the node's own run goes on."""
    await asyncio.sleep(ACKNOWLEDGED_KEPT + 1)
    post.node._handle(Acknowledged(()))  # what is old is forgotten at the next event
    assert post.errors == []
    assert post.alive()
    assert post.node._machine.live_count >= 1
    assert kills_of(post.runner.told, OWN_RUN) == []
    assert post.node._jobs == set()
    assert len(post.wires) == 2
    assert len(post.node._machine._remembered) <= LOOK_EVERY
    assert len(post.rogue.session._outbox._waiting) == 0
