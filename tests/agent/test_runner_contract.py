"""What a runner does for an agent: the suite that the fake runner and the real one both pass."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

import pytest
from tests.agent.runners import WAIT, Runner, connect, leave_with

from batchpools.agent import runner_client
from batchpools.agent.runner_client import RunnerClient, RunnerError
from batchpools.telemetry.clock import SystemClock


class Talk:
    """A connection and the notes that came of it."""

    def __init__(self, client: RunnerClient) -> None:
        self.client = client
        self._notes: asyncio.Queue[Any] = asyncio.Queue()
        self.reading = client.listen(self._notes.put_nowait)

    def run(self, one: str, argv: list[str]) -> None:
        self.client.tell("run", id=one, label=f"task-{one}", dir=f"workitems/j/{one}", argv=argv, env=[], killGrace=5)

    async def next(self, op: str) -> Any:
        """The next note of a kind."""
        while True:
            note = await self._notes.get()
            if note["op"] == op:
                return note


class Open(Protocol):
    """Opens a connection; the agent vouches for the node for so many seconds, None = it does not."""

    def __call__(self, runner: Runner, vouch: float | None = 3600.0) -> Awaitable[Talk]: ...


@pytest.fixture
async def talk() -> AsyncIterator[Open]:
    """Opens connections, and closes them in the end."""
    opened: list[Talk] = []

    async def open_one(runner: Runner, vouch: float | None = 3600.0) -> Talk:
        opened.append(Talk(await connect(runner, vouch)))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.client.close()


async def test_a_run_is_told_to_start_and_to_end(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    assert agent.client.hello["running"] == agent.client.hello["finished"] == agent.client.hello["acked"] == []
    agent.run("a", leave_with(3))
    started = await agent.next("started")
    assert (started["id"], started["label"]) == ("a", "task-a")
    assert started["startedAt"] > 0
    ended = await agent.next("finished")
    assert (ended["id"], ended["label"], ended["cause"], ended["exitCode"]) == ("a", "task-a", "exit", 3)
    assert ended["endedAt"] >= ended["startedAt"] > 0


async def test_nothing_starts_while_nobody_vouches_for_the_node(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner, None)
    assert agent.client.hello["deadline"] == 0
    agent.run("a", leave_with(0))
    refused = await agent.next("finished")
    assert (refused["id"], refused["cause"], refused["exitCode"]) == ("a", "expired", None)


async def test_when_the_deadline_passes_runs_end_and_start_again_once_vouched_for(
    any_runner: Runner, talk: Open
) -> None:
    await any_runner.start()
    agent = await talk(any_runner, None)
    agent.client.tell("deadline", at=SystemClock().boottime() + 0.5)
    agent.run("a", WAIT)
    await agent.next("started")
    assert (await talk(any_runner, None)).client.hello["deadline"] > SystemClock().boottime() - 0.5
    newer = await talk(any_runner, None)
    assert (await newer.next("finished"))["cause"] == "expired"
    newer.run("b", leave_with(0))
    assert (await newer.next("finished"))["cause"] == "expired"
    newer.client.tell("deadline", at=SystemClock().boottime() + 3600)
    newer.run("c", leave_with(0))
    assert (await newer.next("finished"))["cause"] == "exit"


async def test_a_program_that_is_not_there_is_told_with_a_code(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", ["/no/such/program"])
    ended = await agent.next("finished")
    assert (ended["cause"], ended["exitCode"], ended["code"]) == ("launchFailed", None, "CommandProgramNotFound")
    assert ended["message"]


async def test_the_same_run_twice_runs_once(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", WAIT)
    first = await agent.next("started")
    agent.run("a", WAIT)
    assert await agent.next("started") == first


async def test_a_kill_ends_a_run_and_of_an_unknown_run_says_so(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", WAIT)
    await agent.next("started")
    agent.client.tell("kill", id="a", grace=5)
    ended = await agent.next("finished")
    assert (ended["cause"], ended["exitCode"]) == ("killed", 143)
    agent.client.tell("kill", id="b", grace=5)
    assert (await agent.next("unknown"))["id"] == "b"


async def test_runs_and_results_outlive_the_agent_until_they_are_acknowledged(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    former = await talk(any_runner)
    former.run("b", WAIT)
    await former.next("started")
    former.run("a", leave_with(0))
    await former.next("finished")
    await former.client.close()

    agent = await talk(any_runner)
    hello = agent.client.hello
    assert hello["bootId"] == former.client.hello["bootId"]
    assert [one["id"] for one in hello["finished"]] == ["a"]
    assert [one["id"] for one in hello["running"]] == ["b"]
    agent.client.tell("ack", ids=["a"])
    agent.client.tell("kill", id="stranger", grace=5)  # its answer says that the acknowledgement was read
    await agent.next("unknown")
    await agent.client.close()

    hello = (await talk(any_runner)).client.hello
    assert hello["finished"] == []
    assert hello["acked"] == ["a"]


async def test_a_newer_agent_takes_the_place_of_the_older(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    older = await talk(any_runner)
    newer = await talk(any_runner)
    await older.reading
    newer.run("a", leave_with(0))
    assert (await newer.next("finished"))["id"] == "a"


async def test_a_restart_is_another_boot_and_knows_nothing(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    former = await talk(any_runner)
    former.run("a", WAIT)
    await former.next("started")
    await any_runner.kill()
    await former.reading
    await any_runner.start()
    hello = (await talk(any_runner)).client.hello
    assert hello["bootId"] != former.client.hello["bootId"]
    assert hello["running"] == hello["finished"] == []


async def test_a_runner_that_stops_ends_its_runs_starts_none_and_leaves_once_acknowledged(
    any_runner: Runner, talk: Open
) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", WAIT)
    await agent.next("started")
    await any_runner.stop()
    await agent.next("stopping")
    assert (await agent.next("finished"))["cause"] == "stopping"
    agent.run("b", leave_with(0))
    refused = await agent.next("finished")
    assert (refused["id"], refused["cause"], refused["exitCode"]) == ("b", "stopping", None)
    agent.client.tell("ack", ids=["a", "b"])
    assert await any_runner.left()


async def test_only_a_start_tasks_runner_leaves_when_told(any_runner: Runner, talk: Open) -> None:
    await any_runner.start("start-task")
    agent = await talk(any_runner)
    agent.client.tell("exit", code=0)
    await agent.next("bye")
    assert await any_runner.left()
    await any_runner.start("serve")
    agent = await talk(any_runner)
    agent.client.tell("exit", code=0)
    assert (await agent.next("error"))["code"] == "Refused"


async def test_files_are_read_and_missing_ones_refused_with_a_code(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", leave_with(0))
    await agent.next("finished")
    assert await agent.client.read("workitems/j/a/stdout.txt", 0, 100) == (b"", 0, 0)
    with pytest.raises(RunnerError) as refused:
        await agent.client.read("workitems/j/a/nothing", 0, 100)
    assert refused.value.code == "NotFound"


async def test_another_protocol_is_refused_with_a_sentence(any_runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    await any_runner.start()
    await (await connect(any_runner)).close()
    monkeypatch.setattr(runner_client, "PROTOCOL", 99)
    with pytest.raises(RunnerError, match="protocol"):
        await RunnerClient.connect(any_runner.socket)


async def test_a_request_that_no_frame_holds_is_refused_here(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    with pytest.raises(RunnerError, match="command and environment have"):
        agent.run("a", ["sh", "-c", "x" * (1 << 20)])
    agent.run("b", leave_with(0))
    assert (await agent.next("finished"))["id"] == "b"


async def test_who_asks_a_runner_that_leaves_is_told(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    await any_runner.kill()
    await agent.reading
    with pytest.raises(ConnectionError):
        await agent.client.read("shared/x", 0, 1)
