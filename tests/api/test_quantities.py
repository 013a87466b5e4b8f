"""Amounts of bytes: what the schema's pattern admits the parser reads, as Kubernetes does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpools.api.quantities import MAX_LENGTH, PATTERN, parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("16Mi", 16 << 20), ("1.5Gi", 3 << 29), ("2k", 2000), ("1P", 10**15), ("0.1Ki", 103), ("1.1", 2)],
)
def test_units_are_kubernetes_own_and_parts_of_a_byte_count_as_one(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "Gi", "10GB", "1e3", "-1", "+1", "1 Gi", "10K", "1.Gi", "1\n", "9" * 33])
def test_what_is_no_amount_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of bytes"):
        parse_bytes(text)


@given(st.from_regex(PATTERN, fullmatch=True).filter(lambda text: len(text) <= MAX_LENGTH))
def test_all_that_the_pattern_admits_is_read(text: str) -> None:
    assert parse_bytes(text.rstrip("\n")) >= 0
