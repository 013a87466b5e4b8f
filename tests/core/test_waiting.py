"""What is left of a wait, whoever's clock wrote its beginning."""

from datetime import UTC, datetime, timedelta

import pytest

from batchpools.core.waiting import time_left

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wait", "passed", "left"),
    [
        (40, 0, 40),
        (40, 39, 1),
        (40, 40, 0),
        (40, 4000, 0),
        (40, -39, 79),
        (40, -40, 0),
        (3600, -59, 3659),
        (3600, -60, 0),
        (3600, -86400, 0),
    ],
    ids=lambda seconds: f"{seconds} s",
)
def test_a_beginning_that_lies_ahead_by_the_wait_or_a_minute_is_no_beginning(wait: int, passed: int, left: int) -> None:
    """A clock that is an hour ahead must not hold up the next leader for an hour."""
    since = NOW - timedelta(seconds=passed)
    assert time_left(since, timedelta(seconds=wait), NOW) == timedelta(seconds=left)
