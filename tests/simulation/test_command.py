"""The command line of the simulator, as a person meets it."""

import pytest

from batchpools.testing.simulation.__main__ import main


def test_some_seeds_are_played_and_added_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1..2", "--workers", "1"]) == 0
    assert "2 histories" in capsys.readouterr().out


def test_one_history_is_told_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3", "--log"]) == 0
    told = capsys.readouterr().out
    assert "lease operator-" in told
    assert told.splitlines()[-1].startswith("digest ")


def test_nonsense_is_refused_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "many"]) == 2
    assert "neither a number" in capsys.readouterr().err
