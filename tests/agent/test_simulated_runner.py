"""The runner in virtual time: the model's answers arrive, its timers are exact, its end is noticed, and waiting is free."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

import pytest

from batchpools.agent.runner_client import RunnerError, RunnerGoneError
from batchpools.testing.simulation.loop import Process, ProcessClock, Scheduler
from batchpools.testing.simulation.runner import Processes, SimulatedRunner, SimulatedRunnerClient

RUN = "task:-:1:1"


class Stage:
    """A runner and an agent's end of it, in two processes."""

    def __init__(self) -> None:
        self.time = Scheduler()
        self.clock = ProcessClock(self.time)
        self.processes = Processes()
        self.agent = self.time.process("agent")
        self.runner = self.container("boot-1")
        self.heard: list[Mapping[str, Any]] = []

    def container(self, boot_id: str) -> SimulatedRunner:
        process: Process = self.time.process(boot_id)
        return SimulatedRunner(process, self.clock, "node", boot_id, self.processes)

    def within(self, work: Coroutine[Any, Any, Any], seconds: float = 1.0) -> asyncio.Task[Any]:
        task = self.agent.create_task(work)
        self.time.run(self.time.now + seconds)
        assert self.time.defects() == []
        return task

    async def connect(self) -> SimulatedRunnerClient:
        client = SimulatedRunnerClient(self.agent, self.runner)
        client.listen(self.heard.append)
        return client

    def client(self, vouch: float = 3600.0) -> SimulatedRunnerClient:
        made: SimulatedRunnerClient = self.within(self.connect()).result()
        made.tell("deadline", at=self.clock.boottime() + vouch)
        return made

    def run(self, client: SimulatedRunnerClient, seconds: float, one: str = RUN) -> None:
        argv = ["simulate", str(seconds), "3"]
        client.tell("run", id=one, label="t", dir=f"workitems/j/{one}", argv=argv, env=[], killGrace=5, fresh=True)

    def causes(self) -> list[str]:
        return [note["cause"] for note in self.heard if note["op"] == "finished"]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_run_begins_and_ends_when_its_time_is_over(stage: Stage) -> None:
    stage.run(stage.client(), 100.0)
    stage.time.run(stage.time.now + 99.9)
    assert list(stage.processes.live) == [RUN]
    stage.time.run(stage.time.now + 0.2)
    assert stage.processes.live == {}
    assert stage.causes() == ["exit"]
    assert stage.heard[-1]["exitCode"] == 3


def test_waiting_for_hours_costs_no_turns(stage: Stage) -> None:
    stage.run(stage.client(100_000.0), 7200.0)
    stage.time.run(stage.time.now + 1.0)
    before = stage.time.turns
    stage.time.run(stage.time.now + 7000.0)
    assert stage.time.turns == before


def test_the_deadline_kills_at_its_moment_also_without_an_agent(stage: Stage) -> None:
    client = stage.client(10.0)
    stage.run(client, 7200.0)
    stage.within(client.close())
    began = stage.time.now
    stage.time.run(began + 8.9)
    assert list(stage.processes.live) == [RUN]
    stage.time.run(began + 9.1)
    assert stage.processes.live == {}
    stage.client()
    told = SimulatedRunnerClient(stage.agent, stage.runner).hello["finished"]
    assert [one["cause"] for one in told] == ["expired"]


def test_a_container_that_crashes_takes_its_runs_along_and_its_agent_notices(stage: Stage) -> None:
    client = stage.client()
    stage.run(client, 7200.0)
    asking = stage.within(ask_of_a_paused_runner(stage, client))
    with pytest.raises(TimeoutError):
        SimulatedRunnerClient(stage.agent, stage.runner)
    stage.runner.crash()
    stage.time.run(stage.time.now + 0.1)
    assert stage.processes.live == {}
    assert isinstance(asking.exception(), RunnerGoneError)
    with pytest.raises(RunnerGoneError):
        client.tell("kill", id=RUN, grace=0)
    with pytest.raises(ConnectionRefusedError):
        SimulatedRunnerClient(stage.agent, stage.runner)
    stage.runner = stage.container("boot-2")
    assert stage.client().hello["running"] == []
    assert stage.processes.violations == []


async def ask_of_a_paused_runner(stage: Stage, client: SimulatedRunnerClient) -> None:
    await asyncio.sleep(0.1)
    stage.runner.process.paused = True
    await client.ask("remove", path="workitems/j")


def test_a_newer_agent_cuts_the_older_off(stage: Stage) -> None:
    older = stage.client()
    newer = stage.client()
    with pytest.raises(RunnerGoneError):
        stage.run(older, 1.0)
    stage.run(newer, 1.0)
    stage.time.run(stage.time.now + 2.0)
    assert stage.causes() == ["exit"]


def test_who_asks_is_answered(stage: Stage) -> None:
    client = stage.client()
    stage.run(client, 0.0)
    answer = stage.within(client.read(f"workitems/j/{RUN}/stdout.txt", 0, 10)).result()
    assert answer == (b"", 0, 0)

    async def remove() -> None:
        await client.ask("remove", path="shared")

    refused = stage.within(remove()).exception()
    assert isinstance(refused, RunnerError)
    assert refused.code == "Escapes"


def test_a_runner_that_stops_leaves_once_it_is_acknowledged_and_nobody_is_let_in(stage: Stage) -> None:
    acknowledged: list[str] = []
    stage.runner.on_ack = acknowledged.append
    client = stage.client()
    stage.run(client, 7200.0)
    stage.time.run(stage.time.now + 1.0)
    stage.runner.stop()
    stage.time.run(stage.time.now + 1.0)
    assert stage.causes() == ["stopping"]
    assert not stage.runner.has_left
    client.tell("ack", ids=[RUN])
    stage.time.run(stage.time.now + 1.0)
    assert (acknowledged, stage.runner.is_quiet, stage.runner.has_left) == ([RUN], True, True)
    with pytest.raises(ConnectionRefusedError):
        SimulatedRunnerClient(stage.agent, stage.runner)


def test_a_runner_that_has_left_lets_time_pass_also_beyond_its_deadline(stage: Stage) -> None:
    client = stage.client(10.0)
    stage.run(client, 1.0)
    stage.time.run(stage.time.now + 2.0)
    stage.runner.stop()
    client.tell("ack", ids=[RUN])
    stage.time.run(stage.time.now + 1.0)
    assert stage.runner.has_left
    before = stage.time.turns
    stage.time.run(stage.time.now + 100.0)
    assert stage.time.turns <= before + 1
    assert stage.time.defects() == []


def test_a_process_that_never_lets_time_pass_is_a_defect_and_does_not_hang_the_history(stage: Stage) -> None:
    def again() -> None:
        stage.agent.call_later(0.0, again)

    again()
    stage.time.run(stage.time.now + 1.0)
    assert stage.time.defects() == ["agent: it never lets time pass"]


def test_two_live_runs_of_a_task_and_an_id_that_runs_twice_are_violations(stage: Stage) -> None:
    other = stage.container("elsewhere")
    first, stage.runner = stage.client(), other
    second = stage.client()
    stage.run(first, 10.0)
    stage.run(second, 10.0, "task:-:2:1")
    stage.time.run(stage.time.now + 20.0)
    stage.run(second, 10.0)
    stage.time.run(stage.time.now + 20.0)
    assert [text.split(":")[0] for text in stage.processes.violations] == [
        "two live runs of one task",
        "the same execution ran twice",
    ]
