"""What an agent asks of several runners: the containers of a pod share its directory, its disk and its network."""

import asyncio
from typing import Any, cast

import pytest

from batchpools.agent.runner_client import RunnerClient, RunnerError, RunnerGoneError
from batchpools.agent.runners import Runners, together
from batchpools.testing.runner_model import usage_after

DIRECTORY = "workitems/j/a"


class Quiet:
    """A runner that answers when the test says so."""

    def __init__(self) -> None:
        self.hello: dict[str, Any] = {"bootId": "boot", "env": ["A=1"]}
        self.told: list[str] = []
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def ask(self, op: str, **_: Any) -> asyncio.Future[dict[str, Any]]:
        """It is sent at once."""
        self.told.append(op)
        return self.answer

    async def read(self, path: str, offset: int, limit: int) -> tuple[bytes, int, int]:
        """No file."""
        raise RunnerError("NotFound", path)


def two() -> tuple[Runners, Quiet, Quiet]:
    """Runners of two containers."""
    runners, task, tool = Runners(), Quiet(), Quiet()
    runners.joined("task", cast("RunnerClient", task))
    runners.joined("tool", cast("RunnerClient", tool))
    return runners, task, tool


async def test_what_one_runner_is_to_remove_nobody_else_uses_before_it_has() -> None:
    """No order holds between two runners; with the one that removes it does."""
    runners, task, tool = two()
    removed = runners.remove(DIRECTORY, "tool")
    assert removed is not None
    assert (task.told, tool.told) == ([], ["remove"]), "asked at once, and the one whose run it was"
    assert runners.is_removed(DIRECTORY, "task")
    assert not runners.is_removed(DIRECTORY, "tool"), "its next run comes behind it"
    assert not runners.is_removed(f"{DIRECTORY}b", "task")
    tool.answer.set_result({"op": "done"})
    await removed
    assert not runners.is_removed(DIRECTORY, "task")


@pytest.mark.parametrize("error", [RunnerError("InUse", "a run is live"), RunnerGoneError("gone")])
async def test_a_removal_that_is_refused_is_over(error: Exception) -> None:
    runners, _, tool = two()
    removed = runners.remove(DIRECTORY, "tool")
    assert removed is not None
    tool.answer.set_exception(error)
    with pytest.raises(type(error)):
        await removed
    assert not runners.is_removed(DIRECTORY, "task")


async def test_a_removal_without_an_answer_may_still_come_until_its_runner_is_gone() -> None:
    runners, _, tool = two()
    removed = runners.remove(DIRECTORY, "tool")
    assert removed is not None
    tool.answer.set_exception(TimeoutError())
    with pytest.raises(TimeoutError):
        await removed
    assert runners.is_removed(DIRECTORY, "task")
    runners.left("tool")
    assert not runners.is_removed(DIRECTORY, "task")
    assert runners.remove(DIRECTORY, "tool") is None


async def test_a_file_that_no_runner_has_is_refused_in_the_words_of_the_first() -> None:
    runners, _, _ = two()
    with pytest.raises(RunnerError, match="x"):
        await runners.read("x", 0, 1)
    with pytest.raises(RunnerGoneError):
        await Runners().read("x", 0, 1)


def test_usage_of_containers_adds_up_but_what_they_share() -> None:
    one = {**usage_after(1.0), "cpu": 1.0, "memory": 10, "cores": 3.0, "disk": 7, "networkIn": 5}
    other = {**one, "cpu": 2.0, "memory": 20, "readBytes": -1}
    both = together([one, other], 4)
    assert (both["cpu"], both["memory"], both["cores"]) == (3.0, 30, 4)
    assert (both["disk"], both["networkIn"]) == (7, 5)
    assert both["readBytes"] == -1
    assert together([one], 1) == one
