"""Histories of a whole cluster: old seeds hold, a seed is a history, and a failing one becomes small."""

import subprocess
import sys
from dataclasses import replace

import pytest
from tests.simulation.found import FOUND
from tests.simulation.planted import BUGS

from batchpools.testing.simulation.history import Script, play, script_of
from batchpools.testing.simulation.many import play_many
from batchpools.testing.simulation.shrink import kind_of, shrink

# Seeds that once found a defect of ours, with what it was.
OLD_SEEDS = {
    148: "a pod whose object was taken away with its finalizer counted as dead",
    220: "the same, in a large history",
    101527: "tasks waited for ever for a pod whose object went after the election, before anybody had heard of it",
    224: "a new leader with a slow clock took old tasks for new ones and ran them again",
}


@pytest.mark.parametrize("seed", [*OLD_SEEDS, *range(1, 10)])
def test_a_seed_has_no_violation(seed: int) -> None:
    outcome = play(script_of(seed))
    assert outcome.violations == [], "\n".join([*outcome.log[-80:], *outcome.violations])
    assert outcome.tasks >= 12
    assert outcome.runs >= 8


@pytest.mark.parametrize("defect", FOUND)
def test_what_was_found_once_holds(defect: str) -> None:
    outcome = play(FOUND[defect])
    assert outcome.violations == [], "\n".join([*outcome.log[-80:], *outcome.violations])


def test_a_seed_is_one_history_to_the_byte_in_any_process() -> None:
    digests = {play(script_of(7)).digest, play(script_of(7)).digest}
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-m", "batchpools.testing.simulation", "--seeds", "7", "--log"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": hash_seed})
        digests.add(done.stdout.splitlines()[-1].removeprefix("digest "))
    assert len(digests) == 1
    assert play(script_of(8)).digest not in digests


def test_a_failing_seed_is_shrunk_to_the_acts_that_matter() -> None:
    bug = BUGS["a result is told once"]

    def with_bug(script: Script) -> object:
        with bug.plant():
            return play(script)

    seed = next(seed for seed in range(1, bug.within) if with_bug(bug.script(seed)).violations)  # type: ignore[attr-defined]
    before = with_bug(bug.script(seed))
    small = shrink(bug.script(seed), with_bug, patience=80)  # type: ignore[arg-type]
    assert len(small.script.acts) < len(before.script.acts)  # type: ignore[attr-defined]
    assert kind_of(small.violations[0]) == kind_of(before.violations[0])  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="does not fail"):
        shrink(replace(script_of(1), acts=()), play)


def test_many_seeds_are_added_up() -> None:
    summary = play_many(range(1, 5), workers=2)
    assert (summary.histories, summary.failed) == (4, {})
    assert summary.tasks >= 48
    assert any("violations" in line for line in summary.lines())


def test_histories_that_share_their_opening_are_those_that_are_played_alone() -> None:
    """1 and 2 begin with a cluster at rest, of which each gets a copy; 3 begins with nothing."""
    summary = play_many([1, 2, 3, 11], workers=1)
    assert {seed: script_of(seed).is_warm for seed in (1, 2, 3)} == {1: True, 2: True, 3: False}
    assert summary.digests == {seed: play(script_of(seed)).digest for seed in (1, 2, 3, 11)}
