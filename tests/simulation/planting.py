"""Bugs that are planted into given histories: the first one that they break, and that the very same hold without them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest

from batchpools.testing.simulation.history import Outcome, Script, play


def found(plant: Callable[[], AbstractContextManager[Any]], scripts: Sequence[Script]) -> str:
    """The first violation under the bug; the test fails when there is none."""
    for script in scripts:
        with plant():
            outcome = play(script)
        if outcome.violations:
            print(f"found by seed {script.seed}: {outcome.violations[0]}")
            return outcome.violations[0]
    pytest.fail("not found")


def all_hold(scripts: Sequence[Script], *acts: str) -> list[Outcome]:
    """Play them as they are: no violation, and each of these acts happened in one of them."""
    outcomes = [play(script) for script in scripts]
    assert [outcome.violations for outcome in outcomes] == [[]] * len(scripts)
    for kind in acts:
        assert sum(outcome.acts.get(kind, 0) for outcome in outcomes) > 0, kind
    return outcomes
