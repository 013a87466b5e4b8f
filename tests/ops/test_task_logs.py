"""Where a log is and when it is over, without a network: requeues, retries, nodes that come, go and fall silent."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.ops.stage import Stage

from batchpools.core.views import TaskConstraints
from batchpools.ops.task_logs import LogError, TaskLogs, Wanted
from batchpools.testing.clock import FakeClock

WANTED = Wanted("default", "words.raven")
Step = Callable[[], None]


class Reader:
    """TaskLogs over a stage whose ledger knows nothing; at each pause the next step of the story happens."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(folder)
        self.stage.ledger.told = None
        self.steps: list[Step] = []
        hub: Any = self.stage.files
        ledger: Any = self.stage.ledger
        self.clock = FakeClock()
        self._logs = TaskLogs(self.stage.cache, ledger, hub, self.clock, self._pause)
        self.pauses = 0

    async def _pause(self, seconds: float) -> None:
        self.pauses += 1
        if self.steps:
            self.steps.pop(0)()

    async def read(self, *, follow: bool = False, tail: int = 0) -> bytes:
        return b"".join([piece async for piece in self._logs.read(WANTED, follow=follow, tail=tail)])

    async def refusal(self, *, follow: bool = False) -> tuple[int, str]:
        with pytest.raises(LogError) as caught:
            await self.read(follow=follow)
        return caught.value.status, str(caught.value)

    async def code(self) -> str:
        with pytest.raises(LogError) as caught:
            await self.read()
        return caught.value.reason


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


async def test_a_task_that_has_not_run_has_no_log(reader: Reader) -> None:
    reader.stage.put_task("Active", "")
    assert await reader.refusal() == (409, "Task words.raven has not run yet.")


async def test_a_task_that_was_just_sent_has_no_log_yet(reader: Reader) -> None:
    reader.stage.put_task("Running")
    reader.stage.put_node()
    status, sentence = await reader.refusal()
    assert (status, "about to start" in sentence) == (409, True)


async def test_a_node_that_is_gone_took_the_files_along(reader: Reader) -> None:
    reader.stage.put_task()
    assert await reader.refusal() == (410, "Node demo-0000, which held the files of this task, is gone.")
    assert (await reader.refusal(follow=True))[0] == 410


async def test_a_new_pod_of_the_node_has_not_the_files_of_the_former(reader: Reader) -> None:
    reader.stage.put_task()
    reader.stage.put_node(pod_uid="the-next-one")
    assert await reader.refusal() == (410, "Node demo-0000 no longer has the files of this task.")


async def test_files_that_were_kept_for_their_retention_time_were_cleaned_and_that_is_said(reader: Reader) -> None:
    ended = reader.clock.now()
    reader.stage.put_task(end_time=ended, constraints=TaskConstraints(retention_time="1h"))
    reader.stage.put_node()
    reader.clock.advance(3599)
    assert await reader.refusal() == (410, "Node demo-0000 no longer has the files of this task.")
    reader.clock.advance(1)
    told = "The files of task words.raven were removed from node demo-0000: its retentionTime of 1h was over at "
    for follow in (False, True):
        assert await reader.refusal(follow=follow) == (410, f"{told}{reader.clock.now().isoformat()}.")
    reader.stage.put_node(start_time=ended + timedelta(minutes=1))
    assert await reader.refusal() == (410, "Node demo-0000 no longer has the files of this task."), "another pod"


async def test_azures_codes_tell_the_two_apart(reader: Reader) -> None:
    reader.stage.put_task(end_time=reader.clock.now())
    reader.stage.put_node()
    assert await reader.code() == "TaskFilesUnavailable"
    reader.clock.advance(168 * 3600)
    assert await reader.code() == "TaskFilesCleanedup"


async def test_a_long_file_comes_in_pieces_and_ends_where_it_ended_when_asked(reader: Reader) -> None:
    content = bytes(range(256)) * 1000
    reader.stage.put_task("Running")
    reader.stage.put_node(content=content)
    pieces = []
    async for piece in reader._logs.read(WANTED, follow=False, tail=0):
        pieces.append(piece)
        reader.stage.files.content["pod-uid"] += b"more" * 20_000
    joined = b"".join(pieces)
    assert joined.startswith(content[: len(content)])
    assert len(joined) < len(content) + (64 << 10)


async def test_a_file_that_becomes_shorter_does_not_hold_a_reader_who_does_not_follow(reader: Reader) -> None:
    reader.stage.put_task("Running")
    reader.stage.put_node(content=b"x" * (65 << 10))
    async for _ in reader._logs.read(WANTED, follow=False, tail=0):
        reader.stage.files.content["pod-uid"] = b"new"


async def test_the_tail_of_an_empty_file_is_empty(reader: Reader) -> None:
    reader.stage.put_task()
    reader.stage.put_node(content=b"")
    assert await reader.read(tail=5) == b""


async def test_following_waits_for_the_start(reader: Reader) -> None:
    stage = reader.stage
    stage.put_task("Active", "")
    reader.steps = [
        lambda: stage.put_task("Running"),
        stage.put_node,
        lambda: stage.put_node(content=b"hello\n"),
        lambda: stage.put_task("Completed"),
    ]
    assert await reader.read(follow=True) == b"hello\n"


async def test_following_ends_with_a_task_that_is_deleted(reader: Reader) -> None:
    stage = reader.stage
    stage.put_task("Running")
    stage.put_node(content=b"hello\n")
    reader.steps = [lambda: stage.cache.tasks.remove("default", "words.raven")]
    assert await reader.read(follow=True) == b"hello\n"


async def test_a_retry_is_followed_from_its_beginning(reader: Reader) -> None:
    stage = reader.stage
    stage.put_task("Running")
    stage.put_node(content=b"first try\n")
    reader.steps = [lambda: stage.put_node(content=b"again\n"), lambda: stage.put_task("Completed")]
    assert await reader.read(follow=True) == b"first try\nagain\n"


async def test_a_requeue_is_followed_to_the_other_node_when_the_first_is_lost(reader: Reader) -> None:
    stage = reader.stage
    stage.put_task("Running")
    stage.put_node(content=b"half\n")

    def lose() -> None:
        stage.files.silent.add("pod-uid")

    def requeue() -> None:
        stage.cache.nodes.remove("default", "demo-0000")
        stage.put_task("Active")

    def run_elsewhere() -> None:
        stage.put_node("demo-0001", "other", b"half\nwhole\n")
        stage.put_task("Running", "demo-0001")

    reader.steps = [lose, requeue, run_elsewhere, lambda: stage.put_task("Completed", "demo-0001")]
    assert await reader.read(follow=True) == b"half\nhalf\nwhole\n"


async def test_a_node_that_falls_silent_for_a_moment_does_not_end_a_followed_log(reader: Reader) -> None:
    stage = reader.stage
    stage.put_task("Running")
    stage.put_node(content=b"one\n")
    reader.steps = [
        lambda: stage.files.silent.add("pod-uid"),
        stage.files.silent.clear,
        lambda: stage.put_node(content=b"one\ntwo\n"),
        lambda: stage.put_task("Completed"),
    ]
    assert await reader.read(follow=True) == b"one\ntwo\n"


async def test_patience_with_a_silent_node_ends(reader: Reader) -> None:
    reader.stage.put_task("Running")
    reader.stage.put_node(content=b"one\n")
    reader.stage.files.silent.add("pod-uid")
    status, sentence = await reader.refusal(follow=True)
    assert (status, "does not answer now" in sentence, reader.pauses) == (503, True, 30)


async def test_what_the_runner_refuses_is_said(reader: Reader) -> None:
    reader.stage.put_task()
    reader.stage.put_node(content=b"")
    reader.stage.files.error = "NotRegular"
    assert await reader.refusal() == (409, "The file cannot be read: told by the runner")
    reader.stage.files.error = "NotReady"
    assert await reader.refusal() == (503, "Node demo-0000 is not ready: told by the runner")
