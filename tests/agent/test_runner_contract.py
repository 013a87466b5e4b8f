"""What a runner does for an agent: the suite that the model and the program both pass."""

import asyncio
import contextlib

import pytest
from tests.agent.runners import COUNT, WAIT, Runner, connect, leave_with
from tests.agent.talk import Open

from batchpools.agent import runner_client
from batchpools.agent.runner_client import RunnerClient, RunnerError
from batchpools.telemetry.clock import SystemClock


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
    """S3.1."""
    await any_runner.start()
    agent = await talk(any_runner, None)
    assert agent.client.hello["deadline"] == 0
    agent.run("a", leave_with(0))
    refused = await agent.next("finished")
    assert (refused["id"], refused["cause"], refused["exitCode"]) == ("a", "expired", None)
    agent.client.tell("deadline", at=SystemClock().boottime() - 1.0)
    agent.run("b", leave_with(0))
    assert (await agent.next("finished"))["cause"] == "expired"


async def test_when_the_deadline_passes_runs_are_killed_at_once_and_start_again_once_vouched_for(
    any_runner: Runner, talk: Open
) -> None:
    """S3.1, S6.3: SIGKILL, whatever the run's own grace; and nobody need be connected."""
    await any_runner.start()
    agent = await talk(any_runner, 3600.0)
    await agent.run_stubborn("a")
    agent.run("z", WAIT)
    await agent.next("started")
    deadline = SystemClock().boottime() + 0.5
    agent.client.tell("deadline", at=deadline)
    await agent.settle()
    assert (await talk(any_runner, None)).client.hello["deadline"] in {deadline, 0}
    newer = await talk(any_runner, None)
    ends = [await newer.next("finished"), await newer.next("finished")]
    assert {(end["id"], end["cause"], end["exitCode"]) for end in ends} == {
        ("a", "expired", 137),
        ("z", "expired", 137),
    }
    newer.run("b", leave_with(0))
    assert (await newer.next("finished"))["cause"] == "expired"
    newer.client.tell("deadline", at=SystemClock().boottime() + 3600)
    newer.run("c", leave_with(0))
    assert (await newer.next("finished"))["cause"] == "exit"


async def test_a_deadline_may_be_moved_and_the_last_word_counts(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner, 0.3)
    agent.run("a", WAIT)
    await agent.next("started")
    agent.client.tell("deadline", at=SystemClock().boottime() + 3600)
    await agent.settle()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(agent.next("finished"), 1.0)  # the first deadline has passed by then
    agent.client.tell("deadline", at=SystemClock().boottime() + 0.1)
    assert (await agent.next("finished"))["cause"] == "expired"


async def test_a_program_that_is_not_there_is_told_with_a_code(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", ["/no/such/program"])
    ended = await agent.next("finished")
    assert (ended["cause"], ended["exitCode"], ended["code"]) == ("launchFailed", None, "CommandProgramNotFound")
    assert ended["message"]


async def test_a_runner_that_is_not_root_elevates_nobody_and_says_why(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", WAIT, elevated=True)
    ended = await agent.next("finished")
    assert (ended["cause"], ended["exitCode"], ended["code"]) == ("launchFailed", None, "CommandLaunchFailed")
    assert "cannot elevate" in ended["message"]


async def test_an_id_runs_once_whether_it_runs_has_ended_or_was_acknowledged(any_runner: Runner, talk: Open) -> None:
    """S1.1: at most one run per execution id."""
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", WAIT)
    first = await agent.next("started")
    agent.run("a", COUNT)
    assert await agent.next("started") == first
    agent.client.tell("kill", id="a", grace=5)
    ended = await agent.next("finished")
    agent.run("a", COUNT)
    assert await agent.next("finished") == ended
    agent.client.tell("ack", ids=["a"])
    agent.run("a", COUNT)
    assert (await agent.next("unknown"))["id"] == "a"
    newer = await talk(any_runner)
    newer.run("a", COUNT)
    assert (await newer.next("unknown"))["id"] == "a"
    newer.run("b", COUNT, dir="workitems/j/a")
    assert (await newer.next("finished"))["exitCode"] == 1  # nothing else ran in that directory


async def test_a_retry_keeps_its_directory_and_a_fresh_or_removed_one_is_new(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    codes = []
    for one, fresh in (("a", False), ("b", False), ("c", True), ("d", False)):
        agent.run(one, COUNT, dir="workitems/j/t", fresh=fresh)
        codes.append((await agent.next("finished"))["exitCode"])
    await agent.client.ask("remove", path="workitems/j/t")
    agent.run("e", COUNT, dir="workitems/j/t")
    codes.append((await agent.next("finished"))["exitCode"])
    assert codes == [1, 2, 1, 2, 1]
    with pytest.raises(RunnerError) as refused:
        await agent.client.ask("remove", path="shared")
    assert refused.value.code == "Escapes"
    await agent.client.ask("remove", path="workitems/never")


async def test_the_directory_of_a_live_run_is_not_removed_and_requests_keep_their_order(
    any_runner: Runner, talk: Open
) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", COUNT, dir="workitems/j/t")
    await agent.next("finished")
    removed = agent.client.ask("remove", path="workitems/j/t")  # it is sent now, before the run
    agent.run("b", COUNT, dir="workitems/j/t")
    await removed
    assert (await agent.next("finished"))["exitCode"] == 1
    agent.run("c", WAIT, dir="workitems/j/t")
    await agent.next("started")
    for path in ("workitems/j/t", "workitems/j", "workitems/j/t/wd"):
        with pytest.raises(RunnerError) as refused:
            await agent.client.ask("remove", path=path)
        assert refused.value.code == "InUse"
    agent.client.tell("kill", id="c", grace=5)
    await agent.next("finished")
    await agent.client.ask("remove", path="workitems/j/t")


async def test_a_wall_clock_ends_a_run_with_its_code(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", WAIT, wallClock=0.1)
    ended = await agent.next("finished")
    assert (ended["cause"], ended["code"], ended["exitCode"]) == ("wallClock", "TaskEnded", 143)
    assert ended["message"] == "the task ran longer than its limit of 0.1 s"
    agent.run("b", WAIT, wallClock=3600)
    await agent.next("started")
    agent.client.tell("kill", id="b", grace=5)
    assert (await agent.next("finished"))["cause"] == "killed"


async def test_a_kill_ends_a_run_and_of_an_unknown_run_says_so(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", WAIT)
    await agent.next("started")
    agent.client.tell("kill", id="a", grace=5)
    ended = await agent.next("finished")
    assert (ended["cause"], ended["exitCode"]) == ("killed", 143)
    agent.client.tell("kill", id="a", grace=5)
    assert await agent.next("finished") == ended
    agent.client.tell("ack", ids=["a"])
    agent.client.tell("kill", id="a", grace=5)
    assert (await agent.next("unknown"))["id"] == "a"
    agent.client.tell("kill", id="b", grace=5)
    assert (await agent.next("unknown"))["id"] == "b"


async def test_who_ignores_sigterm_is_killed_after_the_grace_and_a_shorter_one_hastens(
    any_runner: Runner, talk: Open
) -> None:
    """S6.3: SIGTERM, the grace, SIGKILL."""
    await any_runner.start()
    agent = await talk(any_runner)
    await agent.run_stubborn("a")
    agent.client.tell("kill", id="a", grace=0.2)
    ended = await agent.next("finished")
    assert (ended["cause"], ended["exitCode"], ended["signal"]) == ("killed", 137, 9)
    await agent.run_stubborn("b")
    agent.client.tell("kill", id="b", grace=3600)
    agent.client.tell("kill", id="b", grace=0.1)
    assert (await agent.next("finished"))["exitCode"] == 137
    agent.run("c", WAIT)
    await agent.next("started")
    agent.client.tell("kill", id="c", grace=0)
    assert (await agent.next("finished"))["exitCode"] == 137


async def test_what_no_id_can_be_and_no_op_is_are_refused(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    for one in ("", "x" * 128):
        agent.run(one, leave_with(0))
        assert (await agent.next("error"))["code"] == "BadRequest"
    agent.client.tell("dance")
    assert (await agent.next("error"))["code"] == "Unknown"
    for folder in ("../x", "/x", ""):
        agent.run(f"a{folder}", leave_with(0), dir=folder)
        assert (await agent.next("finished"))["code"] == "ResourceDirectoryCreateFailed"
    agent.run("b", [""])
    assert (await agent.next("finished"))["code"] == "CommandLaunchFailed"


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


async def test_many_results_and_ids_are_told_to_the_next_agent(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    ids = [f"r{number}" for number in range(70)]
    for one in ids:
        agent.run(one, leave_with(0), dir="workitems/j/t")
        await agent.next("finished")
    agent.client.tell("ack", ids=ids[:10])
    await agent.settle()
    hello = (await talk(any_runner)).client.hello
    assert [one["id"] for one in hello["finished"]] == ids[10:]
    assert sorted(hello["acked"]) == sorted(ids[:10])


async def test_a_newer_agent_takes_the_place_of_the_older_whose_words_count_no_more(
    any_runner: Runner, talk: Open
) -> None:
    """S1.1: what an older connection still had to say was answered by the newer one's hello."""
    await any_runner.start()
    older = await talk(any_runner, None)
    newer = await talk(any_runner, None)
    with contextlib.suppress(ConnectionError):
        older.client.tell("deadline", at=SystemClock().boottime() + 3600)
        older.run("stale", leave_with(0))
    await older.reading
    newer.run("a", leave_with(0))
    assert (await newer.next("finished"))["cause"] == "expired"
    newer.client.tell("deadline", at=SystemClock().boottime() + 3600)
    newer.run("b", leave_with(0))
    assert (await newer.next("finished"))["id"] == "b"
    newer.client.tell("kill", id="stale", grace=5)
    assert (await newer.next("unknown"))["id"] == "stale"


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
    assert await any_runner.has_left()


async def test_an_agent_that_comes_to_a_runner_that_stops_is_told_and_one_that_never_acknowledges_is_not_waited_for(
    any_runner: Runner, talk: Open
) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    agent.run("a", leave_with(0))
    await agent.next("finished")
    await any_runner.stop()
    await agent.next("stopping")
    newer = await talk(any_runner)
    await newer.next("stopping")
    assert await any_runner.has_left()  # after its time to stop: nobody acknowledged


async def test_only_a_start_tasks_runner_leaves_when_told(any_runner: Runner, talk: Open) -> None:
    await any_runner.start("start-task")
    agent = await talk(any_runner)
    agent.client.tell("exit", code=0)
    await agent.next("bye")
    assert await any_runner.has_left()
    await any_runner.start("serve")
    agent = await talk(any_runner)
    agent.client.tell("exit", code=0)
    assert (await agent.next("error"))["code"] == "Refused"


async def test_a_start_task_needs_nobodys_word_and_its_result_holds_up_no_restart(
    any_runner: Runner, talk: Open
) -> None:
    await any_runner.start()
    agent = await talk(any_runner, None)
    agent.run("start-task:0", leave_with(0), dir="startup", startTask=True)
    assert (await agent.next("finished"))["exitCode"] == 0
    agent.run("a", leave_with(0))
    assert (await agent.next("finished"))["cause"] == "expired"
    agent.client.tell("restart", boot=agent.client.hello["bootId"])
    await agent.next("bye")


async def test_a_deadline_that_passes_does_not_end_a_start_task(any_runner: Runner, talk: Open) -> None:
    await any_runner.start()
    agent = await talk(any_runner, 0.05)
    agent.run("start-task:0", WAIT, dir="startup", startTask=True)
    agent.run("a", WAIT)
    assert (await agent.next("finished"))["id"] == "a"
    agent.client.tell("kill", id="start-task:0", grace=0)
    assert (await agent.next("finished"))["cause"] == "killed"


async def test_a_runner_restarts_once_for_a_boot_id_when_nothing_runs_and_everything_is_told(
    any_runner: Runner, talk: Open
) -> None:
    await any_runner.start()
    agent = await talk(any_runner)
    boot = agent.client.hello["bootId"]

    async def refused(which: str) -> bool:
        agent.client.tell("restart", boot=which)
        return bool((await agent.next("error"))["code"] == "Refused")

    assert await refused("another")
    agent.run("a", WAIT)
    assert await refused(boot)
    agent.client.tell("kill", id="a", grace=0)
    await agent.next("finished")
    assert await refused(boot)
    with pytest.raises(RunnerError) as held_up:
        await agent.client.ask("restart", boot=boot, dry=True)
    assert held_up.value.code == "Refused"
    agent.client.tell("ack", ids=["a"])
    assert (await agent.client.ask("restart", boot=boot, dry=True))["op"] == "done", "it would, and stays"
    agent.run("b", leave_with(0))
    await agent.next("finished")
    agent.client.tell("ack", ids=["b"])
    assert (await agent.client.ask("restart", boot=boot))["op"] == "bye"


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
