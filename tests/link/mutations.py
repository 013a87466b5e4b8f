"""Mutations of frames, drawn from a seed: flipped bits, cut ends, spliced halves, other lengths, other types, other values."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

EXTREMES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64 - 1, -(2**63), 0.5, -1.0, 1e18, 253402300800.0, float("nan"), float("inf"),
    float("-inf"), "", "nonsense", "../../secrets", "x" * 3000, "\x00", b"", b"\xff" * 40, [], [[]], [None] * 3, {}, {"t": 1},
)  # fmt: skip


def mutated(random: Random, frame: bytes, others: Sequence[bytes]) -> bytes:
    """The frame with one or two mutations."""
    for _ in range(random.choice((1, 1, 2))):
        frame = random.choice(_MUTATIONS)(random, frame, others)
    return frame


def _flip(random: Random, frame: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(frame)
    for _flip in range(random.randint(1, 4) if changed else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _truncate(random: Random, frame: bytes, _: Sequence[bytes]) -> bytes:
    return frame[: random.randrange(len(frame) + 1)]


def _splice(random: Random, frame: bytes, others: Sequence[bytes]) -> bytes:
    other = random.choice(others)
    return frame[: random.randrange(len(frame) + 1)] + other[random.randrange(len(other) + 1) :]


def _lengthen(random: Random, frame: bytes, _: Sequence[bytes]) -> bytes:
    at, end = sorted(random.randrange(len(frame) + 1) for _ in range(2))
    piece = random.choice(
        (frame[at:end], random.randbytes(random.randrange(9)), b"\xdb\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff")
    )
    return frame[:at] + piece * random.choice((1, 2, 40)) + frame[at if random.random() < 0.5 else end :]


def _swap_value(random: Random, frame: bytes, others: Sequence[bytes]) -> bytes:
    """Another value, of another type or of the same, anywhere in the tree; also one that stands elsewhere in a good frame."""
    tree, other = _tree(frame), _tree(random.choice(others))
    if tree is None or other is None:
        return _flip(random, frame, others)
    places, values = list(_places(tree)), [node[key] for node, key in _places(other)]
    if not places:
        return frame
    node, key = random.choice(places)
    node[key] = random.choice(values) if values and random.random() < 0.6 else random.choice(EXTREMES)
    return msgspec.msgpack.encode(tree)


def _swap_tag(random: Random, frame: bytes, others: Sequence[bytes]) -> bytes:
    """A message in the clothes of another; or again, or in another place."""
    tree = _tree(frame)
    if not isinstance(tree, list) or not tree or not isinstance(tree[0], list) or not tree[0]:
        return _flip(random, frame, others)
    message = random.choice(tree)
    if isinstance(message, list) and message and random.random() < 0.5:
        message[0] = random.randrange(32)
    else:
        tree.insert(random.randrange(len(tree) + 1), message)
    return msgspec.msgpack.encode(tree)


_MUTATIONS: tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip, _flip, _truncate, _splice, _lengthen, _swap_value, _swap_value, _swap_value, _swap_tag,
)  # fmt: skip


def _tree(frame: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _places(tree: Any) -> Any:
    """(list, index) of everything in the tree."""
    if isinstance(tree, list):
        for key, node in enumerate(tree):
            yield tree, key
            yield from _places(node)
