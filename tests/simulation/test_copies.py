"""What is done in a copy of the process, and what becomes of a copy that fails or dies."""

import os

import pytest

from batchpools.testing.simulation.copies import in_a_copy


def test_the_original_gets_the_result_and_sees_nothing_of_what_the_copy_did() -> None:
    seen: list[int] = []

    def work() -> tuple[int, int]:
        seen.append(1)
        return os.getpid(), len(seen)

    child, count = in_a_copy(work)
    assert (child != os.getpid(), count, seen) == (True, 1, [])


def test_a_copy_that_fails_raises_in_the_original() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        in_a_copy(lambda: 1 / 0)


def test_a_copy_that_dies_is_told() -> None:
    with pytest.raises(RuntimeError, match="without a word, exit code 3"):
        in_a_copy(lambda: os._exit(3))
