"""Tables, bars and ages as text."""

from datetime import timedelta

import pytest

from batchpools.cli.tables import age, bar, table
from batchpools.testing.clock import EPOCH


def test_columns_are_aligned_and_lines_end_without_blanks() -> None:
    assert table([("A", "LONG"), ("wide-cell", ""), ("x", 22)]) == ["A          LONG", "wide-cell", "x          22"]


@pytest.mark.parametrize(
    ("done", "failed", "total", "text"),
    [
        (0, 0, 0, "." * 24),
        (24, 0, 24, "#" * 24),
        (12, 12, 24, "!" * 12 + "." * 12),
        (1, 1, 1000, "!" + "." * 23),
        (1000, 1, 1000, "#" * 23 + "!"),
        (1000, 999, 1000, "!" * 24),
    ],
)
def test_a_bar_shows_failures_even_when_they_are_few(done: int, failed: int, total: int, text: str) -> None:
    assert bar(done, failed, total) == f"[{text}]"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172799, "47h"), (172800, "2d")],
)
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert age(EPOCH, EPOCH + timedelta(seconds=seconds)) == text


def test_what_has_no_birth_has_no_age() -> None:
    assert age(None, EPOCH) == ""
