"""A frame is one msgpack list of messages. Any bytes give messages or BadFrameError, never anything else."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from batchpools.link.messages import MAX_FRAME_BYTES, FromAgent, FromHub, Message

MessageT = TypeVar("MessageT")

_ENCODER = msgspec.msgpack.Encoder()
_FROM_AGENT = msgspec.msgpack.Decoder(list[FromAgent])
_FROM_HUB = msgspec.msgpack.Decoder(list[FromHub])


class BadFrameError(ValueError):
    """The peer sent what is no frame of this protocol."""


def encode(messages: Sequence[Message]) -> bytes:
    """One frame."""
    return _ENCODER.encode(messages)


def decode_from_agent(frame: bytes) -> list[FromAgent]:
    """What an agent says; BadFrameError."""
    return _decode(_FROM_AGENT, frame)


def decode_from_hub(frame: bytes) -> list[FromHub]:
    """What the hub says; BadFrameError."""
    return _decode(_FROM_HUB, frame)


def _decode(decoder: msgspec.msgpack.Decoder[list[MessageT]], frame: bytes) -> list[MessageT]:
    if len(frame) > MAX_FRAME_BYTES:
        raise BadFrameError(f"a frame of {len(frame)} bytes")
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrameError(str(error)) from None
