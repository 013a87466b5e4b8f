"""Decides how long is left of a wait that a status says the beginning of. Pure.

The clock that wrote the beginning may have been another one's: what lies ahead by more than clocks differ, or by the wait itself,
was written by a clock that was wrong, and nobody waits until ours is there.
"""

from datetime import datetime, timedelta

_SKEW = timedelta(seconds=60)  # by which a former leader's clock may have been ahead


def time_left(since: datetime, wait: timedelta, now: datetime) -> timedelta:
    """Zero when the wait is over."""
    passed = now - since
    if passed <= -min(wait, _SKEW):
        return timedelta()
    return max(wait - passed, timedelta())
