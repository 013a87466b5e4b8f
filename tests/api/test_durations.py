"""Durations: all that the schema admits parses, and what is printed parses back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpools.api.durations import MAX_LENGTH, PATTERN, format_duration, parse_duration


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25), ("0s", 0)])
def test_a_duration_parses(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "15", "15 minutes please", "-1s", "1d", "s", "1s" * 20])
def test_what_is_no_duration_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_duration(text)


@given(st.from_regex(PATTERN, fullmatch=True).filter(lambda text: len(text) <= MAX_LENGTH and text.isascii()))
def test_everything_that_the_pattern_admits_parses(text: str) -> None:
    assert parse_duration(text) >= 0


@given(st.floats(min_value=0, max_value=1e7, allow_nan=False))
def test_what_is_printed_parses_back_to_the_millisecond(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=0.0006)
