"""The journal: what a restarted agent knows again, whatever the disk looks like."""

import logging
from pathlib import Path

import pytest

from batchpools.agent import journal as journal_module
from batchpools.agent.journal import Journal
from batchpools.core.ended import Ended
from batchpools.core.execution_events import Restored, TellFinished


def end(one: str) -> TellFinished:
    return TellFinished(one, f"task-{one}", "boot", Ended("exit", 3, 1.0, 2.0, code="x", message="y"))


def restored(path: Path) -> Restored:
    journal = Journal(path)
    try:
        return journal.restore()
    finally:
        journal.close()


def entry(one: str) -> tuple[str, str, str, Ended]:
    told = end(one)
    return (told.execution_id, told.task_name, told.boot_id, told.outcome)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def written(path: Path) -> Journal:
    journal = Journal(path)
    journal.restore()
    journal.epoch(4)
    journal.finished(end("a"))
    journal.finished(end("b"))
    journal.acknowledged(["a", "never-here"])
    return journal


def test_a_first_life_remembers_nothing(path: Path) -> None:
    assert restored(path) == Restored(0, (), ())


def test_unacknowledged_results_and_the_highest_epoch_survive(path: Path) -> None:
    written(path)  # not closed: the process is killed
    assert restored(path) == Restored(4, (entry("b"),), ("a",))
    assert restored(path) == Restored(4, (entry("b"),), ("a",))


def test_a_result_told_again_and_an_older_epoch_write_nothing(path: Path) -> None:
    journal = written(path)
    size = path.stat().st_size
    journal.finished(end("b"))
    journal.acknowledged(["a"])
    journal.epoch(3)
    assert path.stat().st_size == size


@pytest.mark.parametrize("lost", range(1, 30, 4))
def test_a_torn_end_costs_the_last_record_alone(path: Path, lost: int) -> None:
    journal = Journal(path)
    journal.restore()
    journal.finished(end("a"))
    journal.finished(end("b"))
    path.write_bytes(path.read_bytes()[:-lost])
    assert restored(path).finished == (entry("a"),)
    assert restored(path).finished == (entry("a"),)


@pytest.mark.parametrize("content", [b"garbage", b"\x00\x00\x00\x02\xff\xff", b"\xff" * 40])
def test_a_foreign_file_is_overlooked(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert restored(path) == Restored(0, (), ())


def test_a_long_life_keeps_the_file_small(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "COMPACT_AT", 20_000)
    journal = Journal(path)
    journal.restore()
    journal.finished(end("kept"))
    for number in range(2000):
        journal.finished(end(f"{number}"))
        journal.acknowledged([f"{number}"])
    assert path.stat().st_size < 60_000
    told = restored(path)
    assert told.finished == (entry("kept"),)
    assert told.acknowledged[-1] == "1999"


def test_a_disk_that_cannot_be_written_is_logged_and_costs_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "absent" / "journal")
    with caplog.at_level(logging.ERROR):
        assert journal.restore() == Restored(0, (), ())
        journal.finished(end("a"))
        journal.acknowledged(["a"])
    assert len(caplog.records) == 1
    assert "may lose results" in caplog.text
