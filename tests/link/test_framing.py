"""Frames: every message survives the wire, and any bytes give messages or one error."""

from contextlib import suppress
from typing import get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.link.arbitrary import values

from batchpools.link import messages as link
from batchpools.link.framing import BadFrameError, decode_from_agent, decode_from_hub, encode

FROM_AGENT = get_args(link.FromAgent)
FROM_HUB = get_args(link.FromHub)


@given(st.lists(values(link.FromAgent), max_size=5))
def test_what_an_agent_says_arrives(messages: list[link.FromAgent]) -> None:
    assert decode_from_agent(encode(messages)) == messages


@given(st.lists(values(link.FromHub), max_size=5))
def test_what_the_hub_says_arrives(messages: list[link.FromHub]) -> None:
    assert decode_from_hub(encode(messages)) == messages


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xc1")
@example(b"\xdd\xff\xff\xff\xff")  # a list of four thousand million messages
@example(b"\x91" * 100_000)  # a very deep one
@example(b"\x91\x93\x04\xa1\xff\xca\x00\x00\x00\x00")  # text that is not UTF-8
@example(msgspec.msgpack.encode([[99, "x"]]))
@example(msgspec.msgpack.encode({"t": 1}))
def test_any_bytes_give_messages_or_a_bad_frame(frame: bytes) -> None:
    for decode in (decode_from_agent, decode_from_hub):
        with suppress(BadFrameError):
            assert isinstance(decode(frame), list)


@given(st.lists(values(link.Finished), min_size=1, max_size=3), st.data())
def test_a_frame_with_some_bytes_changed_gives_messages_or_a_bad_frame(
    messages: list[link.Finished], data: st.DataObject
) -> None:
    frame = bytearray(encode(messages))
    for _ in range(3):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BadFrameError):
        assert isinstance(decode_from_agent(bytes(frame)), list)


def test_a_frame_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadFrameError, match="bytes"):
        decode_from_hub(b"\x90" + b"\x00" * link.MAX_FRAME_BYTES)


def test_each_end_understands_only_the_other() -> None:
    with pytest.raises(BadFrameError):
        decode_from_hub(encode([link.Unknown("a")]))
    with pytest.raises(BadFrameError):
        decode_from_agent(encode([link.Ack(["a"])]))


def test_no_two_messages_share_a_number() -> None:
    tags = [kind.__struct_config__.tag for kind in (*FROM_AGENT, *FROM_HUB)]
    assert len(set(tags)) == len(tags)


def test_a_field_that_a_newer_peer_appends_is_overlooked() -> None:
    assert decode_from_agent(msgspec.msgpack.encode([[8, "a", "new"]])) == [link.Unknown("a")]
