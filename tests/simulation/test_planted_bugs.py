"""The checker is itself checked: each planted bug is found, and without it the very same seed holds."""

import pytest
from tests.simulation.planted import BUGS

from batchpools.testing.simulation.history import play


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    bug = BUGS[name]
    for seed in range(1, bug.within + 1):
        script = bug.script(seed)
        with bug.plant():
            outcome = play(script)
        if outcome.violations:
            print(f"{name}: found by seed {seed}: {outcome.violations[0]}")
            assert play(script).violations == []
            return
    pytest.fail(f"not found within {bug.within} seeds")
