"""Runs over the whole link: hub, TLS, agent, runner and processes are real. Crashes come between any two of them."""

import signal
from typing import Any

from tests.link.house import POD, House, until

from batchpools.link import messages as link
from batchpools.link.words import Cause, NodePhase

UNTIL_TOLD = 'while ! test -e "$ROOT/shared/go"; do sleep 0.02; done; exit 4'


def waiting(house: House) -> dict[str, Any]:
    """Fields of a run of UNTIL_TOLD."""
    return {"env": [f"ROOT={house.runner.root}"]}


async def test_a_run_begins_ends_and_its_output_is_read_back(house: House) -> None:
    await house.open()
    script = 'echo "$GREETING from $AZ_BATCH_NODE_ID $AZ_BATCH_TASK_EXECUTION_ID"; exit 3'
    assert house.run("a", script, env=["GREETING=hello"])
    end = await house.end_of("a")
    assert (end.cause, end.exit_code, end.task_name) == (Cause.EXIT, 3, "task-a")
    assert end.ended_at >= end.started_at > 0
    assert await house.output_of("a") == "hello from demo-0 a\n"


async def test_references_in_a_command_are_expanded_from_the_whole_environment(house: House) -> None:
    await house.open()
    env = ["NAME=world", "TEXT=hello $(NAME)", "AZ_BATCH_TASK_ID=mine"]
    house.run("a", "", argv=["echo", "$(TEXT)", "$(AZ_BATCH_TASK_ID)", "$$(NAME)", "$(NOBODY)"], env=env)
    await house.end_of("a")
    assert await house.output_of("a") == "hello world a $(NAME) $(NOBODY)\n"


async def test_a_command_that_cannot_be_run_fails_with_a_sentence(house: House) -> None:
    await house.open()
    house.run("a", "", argv=["/no/such/program"])
    house.run("b", "", argv=["echo", *["$(BIG)"] * 200], env=["BIG=" + "x" * 8000])
    absent, grown = await house.end_of("a"), await house.end_of("b")
    assert (absent.cause, absent.exit_code, absent.code) == (Cause.LAUNCH_FAILED, None, "CommandProgramNotFound")
    assert (grown.cause, grown.code) == (Cause.LAUNCH_FAILED, "CommandLaunchFailed")
    assert "expands to more than" in grown.message


async def test_a_run_of_some_duration_is_told_to_have_started(house: House) -> None:
    await house.open()
    house.run("a", UNTIL_TOLD, **waiting(house))
    await house.start_of("a")
    house.mark("go")
    assert (await house.end_of("a")).exit_code == 4


async def test_a_kill_is_confirmed_by_an_end_and_of_an_unknown_run_by_unknown(house: House) -> None:
    await house.open()
    house.run("a", UNTIL_TOLD, **waiting(house))
    await house.start_of("a")
    assert house.replica.hub.kill(POD, "a", 5.0)
    assert (await house.end_of("a")).cause == Cause.KILLED
    assert house.replica.hub.kill(POD, "b", 5.0)
    await until(lambda: link.Unknown("b") in house.leader.heard)


async def test_a_result_is_sent_again_until_it_is_acknowledged(house: House) -> None:
    await house.open()
    house.run("a", "exit 0")
    await house.end_of("a")
    await house.restart_hub(epoch=2)  # nothing was acknowledged
    await house.end_of("a")
    await until(house.is_ready)
    assert house.replica.hub.acknowledge(POD, ["a"])
    await house.restart_hub(epoch=3)
    await until(house.is_ready)
    assert house.leader.ends("a") == []
    assert house.leader.of(link.Inventory)[-1].acknowledged == ["a"]


async def test_a_new_leader_learns_from_the_node_what_runs_there(house: House) -> None:
    await house.open()
    house.run("a", UNTIL_TOLD, **waiting(house))
    await house.start_of("a")
    await house.restart_hub(epoch=2)
    await until(house.is_ready)
    [live] = house.leader.of(link.Inventory)[-1].live
    assert (live.execution_id, live.task_name) == ("a", "task-a")
    assert live.started_at > 0
    house.mark("go")
    assert (await house.end_of("a")).exit_code == 4


async def test_a_task_goes_on_under_an_agent_that_is_killed_and_its_result_arrives(house: House) -> None:
    await house.replica.start()
    house.replica.lead(1)
    await house.runner.start()
    agent = await house.start_agent_process()
    await until(house.is_ready)
    house.run("a", UNTIL_TOLD, **waiting(house))
    await house.start_of("a")
    agent.send_signal(signal.SIGKILL)
    await agent.wait()
    await until(lambda: house.leader.left == 1)
    house.mark("go")  # it ends while nobody looks
    house.leader.heard.clear()
    await house.start_agent_process()
    end = await house.end_of("a")
    assert (end.cause, end.exit_code) == (Cause.EXIT, 4)
    assert house.leader.of(link.Started) == []


async def test_a_result_survives_the_restart_of_agent_and_runner_together(house: House) -> None:
    await house.open()
    house.run("a", "exit 5")
    told = await house.end_of("a")
    await house.stop_agent()
    await house.runner.kill()
    await house.runner.start()
    house.leader.heard.clear()
    house.start_agent()
    assert await house.end_of("a") == told


async def test_an_agent_obeys_no_older_epoch_than_before_its_restart(house: House) -> None:
    await house.open(epoch=5)
    await house.stop_agent()
    await house.restart_hub(epoch=4)  # the Lease was deleted, say
    house.start_agent()
    await until(lambda: house.leader.phases()[-1:] == [NodePhase.READY])
    await house.replica.hub.read_file(POD, "shared/x", 0, 1)  # what it had to say before has come
    assert house.leader.of(link.Inventory) == []
    assert not house.run("a", "true", epoch=4)


async def test_the_runner_forgets_a_result_that_is_acknowledged(house: House) -> None:
    await house.open()
    house.run("a", "exit 0")
    await house.end_of("a")
    house.replica.hub.acknowledge(POD, ["a"])
    await house.replica.hub.read_file(POD, "shared/x", 0, 1)  # asked after it, so both have read it
    await house.stop_agent()
    house.places.journal_file.unlink()  # what follows is the runner's own memory
    house.leader.heard.clear()
    house.start_agent()
    await until(house.is_told)
    assert house.leader.ends("a") == []
    assert house.leader.of(link.Inventory)[-1].acknowledged == ["a"]


async def test_a_run_of_an_older_epoch_is_rejected(house: House) -> None:
    await house.open(epoch=5)
    assert house.run("a", "true", epoch=4)
    await until(lambda: bool(house.leader.of(link.Rejected)))
    assert house.leader.of(link.Rejected) == [link.Rejected("a", "epoch 4 is over, 5 leads")]


async def test_a_restarted_task_container_loses_its_runs_and_says_so(house: House) -> None:
    await house.open()
    house.run("a", UNTIL_TOLD, **waiting(house))
    await house.start_of("a")
    boot = house.leader.of(link.NodeReport)[-1].boot_id
    await house.runner.kill()
    await house.runner.start()
    end = await house.end_of("a")
    assert (end.cause, end.boot_id, end.exit_code) == (Cause.BOOT_LOST, boot, None)
    await until(lambda: house.leader.of(link.NodeReport)[-1].phase == NodePhase.READY)
    assert house.leader.of(link.NodeReport)[-1].boot_id != boot
    house.run("b", "exit 0")
    assert (await house.end_of("b")).exit_code == 0


async def test_a_node_that_stops_ends_its_runs_and_leaves_once_all_is_acknowledged(house: House) -> None:
    await house.replica.start()
    house.replica.lead(1)
    await house.runner.start()
    agent = await house.start_agent_process()
    await until(house.is_ready)
    house.run("a", UNTIL_TOLD, **waiting(house))
    await house.start_of("a")
    await house.runner.stop()
    assert (await house.end_of("a")).cause == Cause.STOPPING
    agent.terminate()
    await until(lambda: house.leader.phases()[-1] == NodePhase.STOPPING)
    house.run("b", "exit 0")
    await until(lambda: bool(house.leader.of(link.Rejected)))
    assert house.leader.of(link.Rejected) == [link.Rejected("b", "the node is stopping")]
    house.replica.hub.acknowledge(POD, ["a"])
    assert await agent.wait() == 0
    assert await house.runner.has_left()


async def test_a_file_that_is_not_there_is_refused_with_a_code(house: House) -> None:
    await house.open()
    chunk = await house.replica.hub.read_file(POD, "workitems/job/nobody/stdout.txt", 0, 100)
    assert (chunk.error, chunk.content) == ("NotFound", b"")
    escape = await house.replica.hub.read_file(POD, "../token", 0, 100)
    assert escape.error == "Escapes"


async def test_a_tasks_directory_is_removed(house: House) -> None:
    await house.open()
    house.run("a", "exit 0")
    await house.end_of("a")
    folder = house.runner.root / "workitems/job/a"
    assert folder.exists()
    house.replica.hub.remove_directory(POD, "workitems/job/a")
    await until(lambda: not folder.exists())
