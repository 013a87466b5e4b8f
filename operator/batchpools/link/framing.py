"""A frame is one msgpack list of messages. Any bytes give messages or BadFrameError, never anything else."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from batchpools.link.budget import IDS_A_MESSAGE
from batchpools.link.messages import MAX_FRAME_BYTES, Ack, FromAgent, FromHub, Inventory, InventoryPart, Message

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


def weight(messages: Sequence[Message]) -> float:
    """What a frame costs of a `Budget`: itself, its messages, and the ids in them."""
    cost = 1.0 + len(messages)
    for one in messages:
        if isinstance(one, Inventory | InventoryPart):
            cost += len(one.acknowledged) / IDS_A_MESSAGE
        elif isinstance(one, Ack):
            cost += len(one.execution_ids) / IDS_A_MESSAGE
    return cost


def _decode(decoder: msgspec.msgpack.Decoder[list[MessageT]], frame: bytes) -> list[MessageT]:
    if len(frame) > MAX_FRAME_BYTES:
        raise BadFrameError(f"a frame of {len(frame)} bytes")
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrameError(str(error)) from None
