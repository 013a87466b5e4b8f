"""Logs: one JSON object a line, fields bound to it, nothing that waits is lost at the end, and nobody waits for a slow pipe."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.kube.conftest import until

from batchpools.core.identity import Key
from batchpools.kube.workqueue import WorkQueue
from batchpools.telemetry import logs
from batchpools.telemetry.logs import bound, configure
from batchpools.testing.clock import FakeClock

_log = logging.getLogger("batchpools.test")


class Pipe(io.StringIO):
    """A stream that takes nothing while it is shut."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()

    def write(self, text: str) -> int:
        self.open.wait()
        return super().write(text)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """What is configured is global: all of it is put back."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("root", *logs._QUIET)}
    handlers = list(root.handlers)
    for handler in handlers:
        root.removeHandler(handler)  # else `force` closes those of pytest
    yield Pipe()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root.handlers[:] = handlers


def written(pipe: Pipe, writer: logs.Writer) -> list[dict[str, Any]]:
    pipe.open.set()
    writer.stop()
    return [json.loads(line) for line in pipe.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_fields(pipe: Pipe) -> None:
    writer = configure("INFO", pipe)
    _log.info("two\nlines of %s", "text", extra={"pool": "demo"})
    _log.debug("not this")
    (line,) = written(pipe, writer)
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "INFO", "logger": "batchpools.test", "message": "two\nlines of text", "pool": "demo"}


def test_bound_fields_are_on_every_line_also_those_that_a_record_has_itself(pipe: Pipe) -> None:
    writer = configure("INFO", pipe)
    task = bound(_log, kind="Task", namespace="default", name="words.raven", attempt=2, epoch=7)
    task.info("dispatched")
    task.warning("requeued", extra={"reason": "NodeLost"})
    first, second = written(pipe, writer)
    fields = {"kind": "Task", "namespace": "default", "name": "words.raven", "attempt": 2, "epoch": 7}
    assert fields.items() <= first.items()
    assert {**fields, "reason": "NodeLost", "logger": "batchpools.test"}.items() <= second.items()


async def test_what_fails_again_and_again_is_logged_with_the_object_it_is_about(pipe: Pipe) -> None:
    async def fails(_: Key) -> float | None:
        raise ValueError("broken")

    writer = configure("INFO", pipe)
    queue = WorkQueue(FakeClock())
    queue.register("Pool", fails)
    queue.start()
    queue.add(Key("Pool", "default", "demo"))
    await until(lambda: bool(queue._failures))
    await queue.stop()
    (line,) = written(pipe, writer)
    assert {"kind": "Pool", "namespace": "default", "name": "demo", "level": "WARNING"}.items() <= line.items()


def test_an_exception_is_a_field(pipe: Pipe) -> None:
    writer = configure("INFO", pipe)
    try:
        int("broken")
    except ValueError:
        _log.exception("it failed")
    (line,) = written(pipe, writer)
    assert (line["message"], "ValueError: invalid literal" in line["trace"]) == ("it failed", True)


def test_talkative_libraries_are_turned_down(pipe: Pipe) -> None:
    writer = configure("DEBUG", pipe)
    for name in ("kopf.objects", "kopf._core.engines", "aiohttp.access"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble")
    assert [line["message"] for line in written(pipe, writer)] == ["trouble"] * 3


def test_a_shut_pipe_holds_nobody_and_what_was_lost_is_counted(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_ROOM", 5)
    writer = configure("INFO", pipe)
    pipe.open.clear()
    for number in range(50):
        _log.info("line %d", number)  # would stand still here for ever, did it write itself
    pipe.open.set()
    while not writer.queue.empty():  # type: ignore[attr-defined] # a queue.Queue
        threading.Event().wait(0.001)
    _log.info("after")
    lines = [line["message"] for line in written(pipe, writer)]
    lost = [int(line.split()[0]) for line in lines if line.endswith("lines found no room")]
    assert (lines[0], lines[-1]) == ("line 0", "after")
    assert lost
    assert len([line for line in lines if line.startswith("line ")]) + sum(lost) == 50


def test_a_writer_may_be_stopped_twice(pipe: Pipe) -> None:
    writer = configure("INFO", pipe)
    writer.stop()
    writer.stop()
