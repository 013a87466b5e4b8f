"""Decides when certificates are renewed, and how a CA is replaced without one moment at which somebody trusts too little. Pure.

A new CA is first *trusted* everywhere beside the old one, later *used*, and later still the old one is dropped (safety rules
S9.1, S9.3). It makes no certificate and tells nobody.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Validity:
    """When a certificate was made and when it ends."""

    made: datetime
    ends: datetime

    def is_over(self, now: datetime) -> bool:
        """Whether nobody accepts it any more."""
        return now >= self.ends

    def is_due(self, now: datetime) -> bool:
        """Whether two thirds of its life are over: it is time for another."""
        return now >= self.ends - (self.ends - self.made) / 3


@dataclass(frozen=True, slots=True)
class Authorities:
    """current: what certificates come from. next: trusted, not used yet. former: trusted, no longer used."""

    current: Validity
    next: Validity | None = None
    former: Validity | None = None


class Step(StrEnum):
    """What to do about the CAs now."""

    WAIT = "Wait"
    MAKE_NEXT = "MakeNext"  # a new one, to be trusted beside the present one
    USE_NEXT = "UseNext"  # it becomes current, the present one former
    DROP_FORMER = "DropFormer"
    START_OVER = "StartOver"  # nothing that is valid is left: a new current one alone


def next_step(held: Authorities, now: datetime, *, asked: bool, settled: float | None, spread: float) -> Step:
    """The one next step. asked: somebody wants a new CA now. All times in seconds.

    settled: for how long everybody has been told of the CAs as they are now; None = not everybody has. spread: how long
    after being told somebody may still act on what was before.
    """
    if held.current.is_over(now):
        usable = held.next is not None and not held.next.is_over(now)
        return Step.USE_NEXT if usable else Step.START_OVER
    is_settled = settled is not None and settled >= spread
    if held.former is not None:
        return Step.DROP_FORMER if is_settled or held.former.is_over(now) else Step.WAIT
    if held.next is not None:
        if held.next.is_over(now):
            return Step.MAKE_NEXT
        return Step.USE_NEXT if is_settled else Step.WAIT
    return Step.MAKE_NEXT if asked or held.current.is_due(now) else Step.WAIT


class Settling:
    """Measures for how long the same thing has been known to everybody; what is new begins at nought."""

    def __init__(self) -> None:
        self._of: Hashable = None
        self._since: float | None = None

    def measure(self, of: Hashable, now: float, *, known: bool) -> float | None:
        """Seconds (monotonic) since it was first seen to be known; None while it is not."""
        if not known:
            self._since = None
        elif self._since is None or of != self._of:
            self._since = now
        self._of = of
        return None if self._since is None else now - self._since
