"""Batching: what is said in one turn of the loop shares a frame, and no frame grows beyond the limit."""

import asyncio

from batchpools.link.framing import decode_from_agent, decode_from_hub
from batchpools.link.messages import MAX_FRAME_BYTES, FileChunk, Lead, Message
from batchpools.link.outbox import Outbox


async def test_messages_of_one_turn_share_a_frame_in_order() -> None:
    frames: list[bytes] = []
    outbox = Outbox(frames.append)
    for epoch in range(3):
        outbox.add(Lead(epoch))
    assert frames == []
    await asyncio.sleep(0)
    outbox.add(Lead(3))
    await asyncio.sleep(0)
    assert [decode_from_hub(frame) for frame in frames] == [[Lead(0), Lead(1), Lead(2)], [Lead(3)]]


async def test_what_does_not_fit_one_frame_goes_in_several_in_order() -> None:
    frames: list[bytes] = []
    outbox = Outbox(frames.append)
    said = [FileChunk(number, 0, 0, bytes(100_000), "", "") for number in range(9)] * 3
    for message in said:
        outbox.add(message)
    await asyncio.sleep(0)
    assert all(len(frame) <= MAX_FRAME_BYTES for frame in frames)
    assert [message for frame in frames for message in decode_from_agent(frame)] == said


async def test_what_is_not_allowed_at_the_moment_of_sending_is_given_back() -> None:
    frames: list[bytes] = []
    denied: list[Message] = []
    outbox = Outbox(frames.append, lambda message: message != Lead(1), denied.append)
    for epoch in range(3):
        outbox.add(Lead(epoch))
    await asyncio.sleep(0)
    assert denied == [Lead(1)]
    assert [decode_from_hub(frame) for frame in frames] == [[Lead(0), Lead(2)]]


async def test_a_turn_in_which_all_was_denied_sends_nothing() -> None:
    frames: list[bytes] = []
    outbox = Outbox(frames.append, lambda _: False)
    outbox.add(Lead(1))
    await asyncio.sleep(0)
    assert frames == []
