"""A node with two containers, each with a real runner: what becomes of one says nothing of the other's tasks."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.agent.runners import RealRunner
from tests.link.house import POD, House, until
from tests.link.test_end_to_end import UNTIL_TOLD, waiting

from batchpools.api.names import RESTART_EXIT_CODE
from batchpools.link import messages as link
from batchpools.link.words import Cause, NodePhase

TOOL = "tool"


@pytest.fixture
async def tool(house: House, runner_binary: Path) -> AsyncIterator[RealRunner]:
    """The runner of the second container. Its directory is one of its own here, so that it can be killed with all it runs."""
    made = RealRunner(runner_binary)
    made.socket = house.places.socket_of(TOOL)
    house.containers = [TOOL]
    yield made
    await made.clean()


async def opened(house: House, tool: RealRunner) -> None:
    """Both runners are up, and the node is ready."""
    await tool.start()
    await house.open()


def report(house: House) -> link.NodeReport:
    """The node's last word of itself."""
    return house.leader.of(link.NodeReport)[-1]


def accounts(house: House) -> list[link.Inventory]:
    """The inventories that say something."""
    return [one for one in house.leader.of(link.Inventory) if one.boot_id]


async def rejection_of(house: House, one: str) -> str:
    """Wait until a run is rejected; why."""
    await until(lambda: any(told.execution_id == one for told in house.leader.of(link.Rejected)))
    return next(told.reason for told in house.leader.of(link.Rejected) if told.execution_id == one)


async def test_a_node_is_ready_when_all_its_runners_are_and_each_task_runs_in_its_container(
    house: House, tool: RealRunner
) -> None:
    await house.replica.start()
    house.replica.lead(1)
    await house.runner.start()
    house.start_agent()
    await until(lambda: bool((info := house.replica.hub.session(POD)) and info.vouched_epoch))
    while (await house.replica.hub.read_file(POD, "none", 0, 1)).error == "NotReady":
        pass  # until the agent has met the first runner
    assert not house.run("early", "true"), "nothing is sent to a node that has given no account"
    assert not accounts(house), "what the other container runs is not known"
    await tool.start()
    await until(house.is_ready)
    assert report(house).containers == ["task", TOOL]
    house.run("a", "pwd")
    house.run("b", "pwd", container=TOOL)
    assert [(await house.end_of(one)).exit_code for one in ("a", "b")] == [0, 0]
    assert (house.runner.root / "workitems/job/a/stdout.txt").read_text().startswith(str(house.runner.root))
    assert (tool.root / "workitems/job/b/stdout.txt").read_text().startswith(str(tool.root))
    assert (await house.output_of("b")).startswith(str(tool.root)), "a file is read through whichever runner has it"
    house.run("c", "true", container="another")
    assert await rejection_of(house, "c") == "the node has no container 'another'"


async def test_a_container_that_restarts_loses_its_own_runs_alone(house: House, tool: RealRunner) -> None:
    await opened(house, tool)
    house.run("a", UNTIL_TOLD, **waiting(house))
    house.run("b", UNTIL_TOLD, **waiting(house), container=TOOL)
    await house.start_of("a")
    await house.start_of("b")
    boot = report(house).boot_id
    await tool.kill()
    await until(lambda: report(house).phase == NodePhase.STARTING)
    house.run("c", "true", container=TOOL)
    assert await rejection_of(house, "c") == "container 'tool' is not up"
    assert not house.leader.ends("b"), "its runner may be there: only its next life says what is lost"
    await tool.start()
    lost = await house.end_of("b")
    assert (lost.cause, lost.exit_code, lost.message) == (Cause.BOOT_LOST, None, "the container 'tool' was lost")
    await until(lambda: report(house).phase == NodePhase.READY)
    assert report(house).boot_id != boot
    assert not house.leader.ends("a")
    house.mark("go")
    ended = await house.end_of("a")
    assert (ended.cause, ended.exit_code) == (Cause.EXIT, 4)
    assert ended.boot_id != lost.boot_id


async def test_the_task_container_that_restarts_leaves_the_other_ones_run_going(house: House, tool: RealRunner) -> None:
    await opened(house, tool)
    house.run("a", UNTIL_TOLD, **waiting(house))
    house.run("b", UNTIL_TOLD, **waiting(house), container=TOOL)
    await house.start_of("a")
    await house.start_of("b")
    await house.runner.kill()
    await house.runner.start()
    assert (await house.end_of("a")).cause == Cause.BOOT_LOST
    assert not house.leader.ends("b")
    house.mark("go")
    assert (await house.end_of("b")).exit_code == 4


async def test_an_agent_that_restarts_gives_no_account_before_it_has_met_both_runners(
    house: House, tool: RealRunner
) -> None:
    """A runner that is not met yet must not be taken for one whose runs are dead."""
    await opened(house, tool)
    house.run("a", UNTIL_TOLD, **waiting(house))
    house.run("b", UNTIL_TOLD, **waiting(house), container=TOOL)
    await house.start_of("a")
    await house.start_of("b")
    await house.stop_agent()
    hidden = f"{tool.socket}.hidden"
    os.rename(tool.socket, hidden)
    house.leader.heard.clear()
    house.start_agent()
    await until(lambda: bool(house.leader.of(link.Inventory)))
    house.replica.hub.kill(POD, "b", 0.0)
    house.replica.hub.kill(POD, "never", 0.0)
    house.mark("go")
    assert (await house.end_of("a")).exit_code == 4, "a result is told by itself"
    assert not accounts(house)
    assert not house.leader.ends("b")
    assert not house.leader.of(link.Unknown), "nobody can say that it is not there"
    os.rename(hidden, tool.socket)
    ended = await house.end_of("b")
    assert ended.cause in {Cause.KILLED, Cause.EXIT}, "it was there all the time"
    await until(lambda: bool(accounts(house)))
    await until(lambda: house.leader.of(link.Unknown) == [link.Unknown("never")])


async def test_both_runners_end_everything_when_nobody_vouches_for_the_node(
    house: House, tool: RealRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.link.house.UNREACHABLE_TIMEOUT", 1.5)
    await opened(house, tool)
    house.run("a", "sleep 600")
    house.run("b", "sleep 600", container=TOOL)
    await house.start_of("a")
    await house.start_of("b")
    house.replica.renews = False
    assert {(await house.end_of(one)).cause for one in ("a", "b")} == {"expired"}


async def test_a_node_begins_anew_only_when_no_container_has_a_run(house: House, tool: RealRunner) -> None:
    await opened(house, tool)
    boot = report(house).boot_id
    house.run("b", UNTIL_TOLD, **waiting(house), container=TOOL)
    await house.start_of("b")
    house.replica.hub.restart(POD, boot)
    house.mark("go")
    assert (await house.end_of("b")).exit_code == 4
    house.replica.hub.restart(POD, boot)  # its result is not acknowledged yet: it stays
    house.run("c", "true")
    assert (await house.end_of("c")).exit_code == 0
    house.replica.hub.acknowledge(POD, ["b", "c"])
    house.replica.hub.restart(POD, boot)
    assert house.runner.process is not None
    assert await house.runner.process.wait() == RESTART_EXIT_CODE
    assert tool.process is not None
    assert tool.process.returncode is None, "the kubelet ends the other containers"


async def test_a_runner_that_has_a_run_which_the_agent_does_not_know_of_holds_a_restart_up(
    house: House, tool: RealRunner, caplog: pytest.LogCaptureFixture
) -> None:
    """The third look of rule S6.4 is each runner's own."""
    await opened(house, tool)
    house.run("b", "sleep 600", container=TOOL)
    await house.start_of("b")
    house.nodes[-1]._machine._runs.pop("b")
    caplog.set_level("INFO")
    house.replica.hub.restart(POD, report(house).boot_id)
    await until(lambda: "the node does not restart" in caplog.text)
    house.run("a", "true")
    assert (await house.end_of("a")).exit_code == 0, "the node goes on: nothing has left"
    assert house.runner.process is not None
    assert house.runner.process.returncode is None
