"""Decides what a field of a message may hold: sizes, numbers that mean something, names that are names (safety rule S9.1).

Decoding refuses everything else, so nobody behind it meets a NaN where a time is expected, a text without end, or a path
where a name belongs. Whoever sends clips what others wrote (`clip`), so that no honest message is refused.
"""

from typing import Annotated

from msgspec import Meta

MAX_TEXT = 2048  # characters of a sentence for people
MAX_SLOTS = 256  # Azure Batch's own bound of taskSlotsPerNode
MAX_LIVE = 4096  # runs of one node at a time: slots, and those that are being ended
MAX_CONTAINERS = 16  # of one node: more than a template may have
IDS_PER_PART = 4096
MAX_ACKNOWLEDGED = 1 << 18  # ids of ten minutes: more than 400 tasks a second on one node

_LAST_TIME = 32_503_680_000.0  # the year 3000: every time becomes a date somewhere
_LONGEST = 1e9  # seconds: thirty years, and what a runner's clock can count
_LAST_32 = (1 << 31) - 1
_LAST_64 = (1 << 63) - 1

Time = Annotated[float, Meta(ge=0, le=_LAST_TIME)]
Duration = Annotated[float, Meta(ge=0, le=_LONGEST)]
Amount = Annotated[float, Meta(ge=-1, le=1e18)]  # of what a node measures; -1 = it cannot be told
Epoch = Annotated[int, Meta(ge=0, le=_LAST_32)]  # of Lease.spec.leaseTransitions
Count = Annotated[int, Meta(ge=0, le=_LAST_32)]
Size = Annotated[int, Meta(ge=0, le=_LAST_64)]
Offset = Annotated[int, Meta(ge=-_LAST_64, le=_LAST_64)]
Slots = Annotated[int, Meta(ge=0, le=MAX_SLOTS)]
ExitCode = Annotated[int, Meta(ge=-(1 << 31), le=(1 << 32) - 1)]  # 0xC000013A is one
Word = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Token = Annotated[str, Meta(max_length=16 << 10)]
Path = Annotated[str, Meta(max_length=4096)]
RunId = Annotated[str, Meta(max_length=160)]
ObjectName = Annotated[
    str, Meta(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z")
]  # it becomes part of a URL
Containers = Annotated[list[Word], Meta(max_length=MAX_CONTAINERS)]
Part = Annotated[list[RunId], Meta(max_length=IDS_PER_PART)]


def clip(text: str, most: int = MAX_TEXT) -> str:
    """What fits, with a sign where something was left out. A sender's own words go through here."""
    return text if len(text) <= most else text[: most - 1] + "…"


def clip_time(seconds: float) -> float:
    """A time as the link carries it: a node's clock may show anything."""
    return min(max(seconds, 0.0), _LAST_TIME)


def clip_duration(seconds: float) -> float:
    """A duration as the link carries it: what people write may be longer than any life."""
    return min(max(seconds, 0.0), _LONGEST)
