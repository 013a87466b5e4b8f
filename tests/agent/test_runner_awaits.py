"""A run that awaits files is the runner's from the beginning: it runs once, ends as any other, and starts when it is told."""

import asyncio
import base64
from typing import Any

import pytest
from tests.agent.runners import COUNT, WAIT, Runner, leave_with
from tests.agent.talk import Open, Talk

from batchpools.agent.runner_client import RunnerError
from batchpools.telemetry.clock import SystemClock


async def awaiting(agent: Talk, one: str, argv: list[str], **fields: Any) -> None:
    agent.run(one, argv, awaits=True, **fields)
    started = await agent.next("started")
    assert started["pid"] == 0
    assert started["startedAt"] > 0, "bringing files is part of the run"


async def put(agent: Talk, one: str, path: str, content: bytes, **fields: Any) -> str:
    """`done`, or the code of the refusal."""
    piece = {"offset": 0, "mode": 0o770, "last": True, **fields}
    try:
        done = await agent.client.ask("put", id=one, path=path, data=base64.b64encode(content).decode(), **piece)
    except RunnerError as refused:
        return refused.code
    return str(done["op"])


async def test_it_starts_with_its_files_when_it_is_told(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    await awaiting(agent, "a", leave_with(3))
    assert await put(agent, "a", "in/x", b"ha", last=False) == "done"
    assert await put(agent, "a", "y", b"") == "done"
    assert await put(agent, "a", "in/x", b"lf", offset=2) == "done"
    agent.client.tell("begin", id="a")
    assert (await agent.next("started"))["pid"] > 0
    ended = await agent.next("finished")
    assert (ended["cause"], ended["exitCode"]) == ("exit", 3)
    assert await put(agent, "a", "z", b"") == "NotAwaiting"


@pytest.mark.parametrize(
    ("path", "offset", "code"),
    [
        ("../x", 0, "ResourceFileCreateFailed"),
        ("/x", 0, "ResourceFileCreateFailed"),
        ("x", 7, "ResourceFileWriteFailed"),
    ],
)
async def test_what_cannot_be_brought_is_refused_and_the_run_waits_on(
    any_runner: Runner, talk: Open, path: str, offset: int, code: str
) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    await awaiting(agent, "a", leave_with(0))
    assert await put(agent, "a", path, b"x", offset=offset) == code
    agent.client.tell("fail", id="a", failure=code, text="so it is")
    ended = await agent.next("finished")
    assert (ended["cause"], ended["code"], ended["message"], ended["exitCode"]) == (
        "launchFailed",
        code,
        "so it is",
        None,
    )


async def test_an_id_that_awaits_files_runs_once(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    await awaiting(agent, "a", COUNT)
    agent.run("a", COUNT)
    assert (await agent.next("started"))["pid"] == 0
    agent.client.tell("begin", id="a")
    agent.client.tell("begin", id="a")
    agent.client.tell("fail", id="a", failure="BlobNotFound", text="too late")
    assert (await agent.next("finished"))["exitCode"] == 1


@pytest.mark.parametrize("cause", ["killed", "expired", "stopping", "wallClock"])
async def test_it_ends_as_any_other_without_having_run(any_runner: Runner, talk: Open, cause: str) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    await awaiting(agent, "a", COUNT, wallClock=0.3 if cause == "wallClock" else 0)
    match cause:
        case "killed":
            agent.client.tell("kill", id="a", grace=5)
        case "expired":
            agent.client.tell("deadline", at=SystemClock().boottime() + 0.05)
        case "stopping":
            await any_runner.stop()
    ended = await agent.next("finished")
    assert (ended["cause"], ended["exitCode"]) == (cause, None)
    assert ended["startedAt"] > 0
    agent.client.tell("begin", id="a")
    if cause != "stopping":
        await agent.settle()
        agent.client.tell("deadline", at=SystemClock().boottime() + 3600)
        agent.run("b", COUNT, dir="workitems/j/a")
        assert (await agent.next("finished"))["exitCode"] == 1, "nothing has run there"


async def test_with_the_next_agent_it_ends_and_what_runs_goes_on(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    former = await talk(any_runner)
    former.run("b", WAIT)
    await former.next("started")
    await awaiting(former, "a", COUNT)
    agent = await talk(any_runner)
    assert {one["id"] for one in agent.client.hello["running"]} == {"a", "b"}
    ended = await agent.next("finished")
    assert (ended["id"], ended["cause"], ended["exitCode"]) == ("a", "bootLost", None)
    agent.client.tell("begin", id="a")
    assert await put(agent, "a", "x", b"") == "NotAwaiting"
    later = await talk(any_runner)
    assert [one["id"] for one in later.client.hello["running"]] == ["b"]
    assert [one["id"] for one in later.client.hello["finished"]] == ["a"]


async def test_without_an_agent_it_waits_for_the_next_and_keeps_the_node_from_restarting(
    any_runner: Runner, talk: Open
) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    await awaiting(agent, "a", COUNT)
    with pytest.raises(RunnerError, match="does not restart now"):
        await agent.client.ask("restart", boot=agent.client.hello["bootId"])
    await agent.client.close()
    await asyncio.sleep(0.05)
    assert [one["id"] for one in (await talk(any_runner)).client.hello["running"]] == ["a"]
