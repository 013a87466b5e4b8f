"""The agent's machine with two containers: every rule of exactly once holds for each, and the node's account waits for both."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from batchpools.core.ended import Ended
from batchpools.core.execution import ACKNOWLEDGED_KEPT, Executions
from batchpools.core.execution_events import (
    Acknowledged,
    End,
    Event,
    Forget,
    Instruction,
    KillAsked,
    Launch,
    Led,
    Restart,
    RestartAsked,
    RunAsked,
    RunFinished,
    RunnerDown,
    RunnerUp,
    RunStarted,
    RunUnknown,
    Stays,
    TellFinished,
    TellInventory,
    TellRejected,
    TellUnknown,
)
from batchpools.core.lost_container import MemoryScarce

TASK, TOOL = "task", "tool"
OK = Ended("exit", 0)


def node(*events: Event) -> Executions:
    """A machine with two containers, after these events."""
    machine = Executions((TASK, TOOL))
    for event in events:
        machine.handle(event, 0.0)
    return machine


def up(container: str, boot: str = "", running: tuple[tuple[str, str, float], ...] = ()) -> RunnerUp:
    """Its runner says hello."""
    return RunnerUp(boot or f"boot-{container}", running, (), container=container)


BOTH = (up(TASK), up(TOOL), Led(2))
BEGUN = (
    *BOTH,
    RunAsked("a", 2, "task-a", None, TASK),
    RunAsked("b", 2, "task-b", None, TOOL),
    RunStarted("a", 1.0),
    RunStarted("b", 1.0),
)


def test_a_run_is_launched_in_its_container_and_ended_there() -> None:
    machine = node(*BOTH)
    assert machine.handle(RunAsked("b", 2, "task-b", "how", TOOL), 0.0) == [Launch("b", "task-b", "how", TOOL)]
    assert machine.handle(KillAsked("b", 2, 5.0), 0.0) == [End("b", 5.0, TOOL)]
    assert (machine.live_in(TASK), machine.live_in(TOOL)) == (0, 1)
    assert machine.handle(RunUnknown("b", TASK), 0.0) == [], "another container's runner cannot say so"
    assert machine.handle(RunUnknown("b", TOOL), 0.0) == [TellUnknown("b")]


def test_nothing_is_taken_before_every_runner_was_met_nor_where_none_is() -> None:
    machine = node(up(TASK), Led(2))
    assert machine.handle(RunAsked("a", 2, "task-a", None, TASK), 0.0) == [
        TellRejected("a", "not all containers of the node are up")
    ]
    machine.handle(up(TOOL), 0.0)
    machine.handle(RunnerDown(TOOL), 0.0)
    assert machine.handle(RunAsked("b", 2, "task-b", None, TOOL), 0.0) == [
        TellRejected("b", "container 'tool' is not up")
    ]
    assert machine.handle(RunAsked("c", 2, "task-c", None, "other"), 0.0) == [
        TellRejected("c", "the node has no container 'other'")
    ]
    assert machine.handle(RunAsked("a", 2, "task-a", None, TASK), 0.0) == [Launch("a", "task-a", None, TASK)]


def test_a_container_that_restarts_loses_its_own_runs_alone() -> None:
    machine = node(*BEGUN)
    assert machine.handle(RunnerDown(TOOL), 0.0) == []
    lost = Ended("bootLost", started_at=1.0, message="the container 'tool' was lost")
    assert machine.handle(up(TOOL, "again"), 0.0) == [TellFinished("b", "task-b", "boot-tool", lost)]
    assert machine.live_in(TASK) == 1
    assert machine.handle(RunFinished("a", "task-a", OK, TASK), 0.0) == [TellFinished("a", "task-a", "boot-task", OK)]


def test_the_last_word_of_one_container_names_nobody_in_another() -> None:
    machine = node(*BEGUN, MemoryScarce("a", 9, 10, 10, TASK), RunnerDown(TOOL))
    (told,) = machine.handle(up(TOOL, "again"), 0.0)
    assert isinstance(told, TellFinished)
    assert (told.execution_id, told.outcome.code) == ("b", "")


def test_an_agent_that_has_met_one_runner_gives_no_account_and_condemns_what_it_does_not_know() -> None:
    machine = node(Led(2))
    assert machine.handle(KillAsked("b", 2, 5.0), 0.0) == []
    assert machine.handle(KillAsked("never", 2, 5.0), 0.0) == []
    assert machine.handle(up(TASK, running=(("a", "task-a", 1.0),)), 0.0) == []
    assert machine.boot_id == ""
    assert machine.handle(Led(2), 0.0) == [TellInventory(2, "", (), ())]
    told = machine.handle(up(TOOL, running=(("b", "task-b", 1.0),)), 0.0)
    assert told == [
        End("b", 5.0, TOOL),
        TellUnknown("never"),
        TellInventory(2, machine.boot_id, (("b", "task-b", 1.0), ("a", "task-a", 1.0)), ()),
    ]


def test_the_nodes_boot_id_changes_with_that_of_any_container() -> None:
    machine = node(*BOTH)
    seen = {machine.boot_id}
    for event in (up(TASK, "x"), up(TOOL, "y"), up(TASK, "z")):
        machine.handle(event, 0.0)
        seen.add(machine.boot_id)
    assert len(seen) == 4
    assert all(0 < len(one) <= 64 for one in seen)


def test_the_node_begins_anew_when_no_container_has_anything_and_takes_nothing_meanwhile() -> None:
    machine = node(*BEGUN)
    boot = machine.boot_id
    for one, container in (("a", TASK), ("b", TOOL)):
        assert machine.handle(RestartAsked(2, boot), 0.0) == []
        machine.handle(RunFinished(one, "task", OK, container), 0.0)
        assert machine.handle(RestartAsked(2, boot), 0.0) == [], "its result is not persisted"
        machine.handle(Acknowledged((one,)), 0.0)
    assert machine.handle(RestartAsked(2, boot), 0.0) == [Restart("boot-task", ((TOOL, "boot-tool"),))]
    assert machine.handle(RestartAsked(2, boot), 0.0) == []
    assert machine.handle(RunAsked("c", 2, "task-c", None, TOOL), 0.0) == [TellRejected("c", "the node restarts")]
    machine.handle(RunnerDown(TOOL), 0.0)
    machine.handle(up(TOOL), 0.0)
    assert machine.restarting, "only the task container's own news ends it"
    machine.handle(Stays(), 0.0)
    assert machine.handle(RunAsked("c", 2, "task-c", None, TOOL), 0.0) == [Launch("c", "task-c", None, TOOL)]


def test_a_start_task_in_the_task_container_holds_both_up_and_only_its_own_restart_asks_for_it_again() -> None:
    waits = RunnerUp("boot-task", (), (), serves=False)
    machine = node(waits, up(TOOL), Led(2))
    assert machine.handle(RunAsked("b", 2, "task-b", None, TOOL), 0.0) == [
        TellRejected("b", "the start task has not succeeded in the task container yet")
    ]
    machine = node(*BOTH, RunnerDown(TOOL), up(TOOL, "again"))
    assert machine.prepared
    machine.handle(RunnerDown(TASK), 0.0)
    assert not machine.prepared


# ---------------------------------------------------------------- any order of events

IDS = st.sampled_from(["t1:1", "t1:2", "t2:1", "t2:2"])  # task and epoch
CONTAINERS = st.sampled_from([TASK, TOOL])


def home(one: str) -> str:
    """The container that a task names."""
    return TASK if one.startswith("t1") else TOOL


class TwoContainers(RuleBasedStateMachine):
    """A machine between a leader that asks anything in any order and two runners, each a set of processes."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Executions((TASK, TOOL))
        self.now = 0.0
        self.boots = {TASK: 0, TOOL: 0}
        self.met: set[str] = set()
        self.connected: set[str] = set()
        self.processes: set[str] = set()
        self.results: dict[str, Ended] = {}
        self.owed: set[str] = set()
        self.ever: set[str] = set()
        self.gone: set[str] = set()

    def give(self, event: Event) -> None:
        self.now += 1.0
        for instruction in self.machine.handle(event, self.now):
            self.carry_out(instruction)

    def carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Launch(one, container=container):
                assert container == home(one), "it runs where it belongs"
                assert container in self.connected
                assert self.met == {TASK, TOOL}
                assert one not in self.ever | self.gone, "an id runs once, and never after it was said not to"
                self.ever.add(one)
                self.processes.add(one)
            case End(one, container=container):
                assert container == home(one)
                if one in self.processes:
                    self.end(one, Ended("killed"))
            case Forget(ids):
                for one in ids:
                    self.results.pop(one, None)
            case TellFinished(one):
                assert one not in self.processes, "nothing is said to have ended that goes on in any container"
                self.owed.add(one)
            case TellUnknown(one):
                assert one not in self.processes
                self.gone.add(one)
            case TellInventory(_, boot_id, live, _):
                assert bool(boot_id) == (self.met == {TASK, TOOL}), "an account is of all containers, or none"
                here = {one for one in self.processes if home(one) in self.connected}
                assert not boot_id or here <= {one for one, _, _ in live}
            case _:
                pass

    def end(self, one: str, outcome: Ended) -> None:
        self.processes.discard(one)
        self.results[one] = outcome
        if home(one) in self.connected:
            self.give(RunFinished(one, "task", outcome, home(one)))

    @rule(one=IDS)
    def ask_to_run(self, one: str) -> None:
        self.give(RunAsked(one, int(one[-1]), "task", None, home(one)))

    @rule(one=IDS, epoch=st.integers(1, 3))
    def ask_to_kill(self, one: str, epoch: int) -> None:
        self.give(KillAsked(one, epoch, 5.0))

    @rule(epoch=st.integers(1, 3))
    def lead(self, epoch: int) -> None:
        self.give(Led(epoch))

    @rule(one=IDS)
    def acknowledge(self, one: str) -> None:
        if one in self.owed:
            self.owed.discard(one)
            self.give(Acknowledged((one,)))

    @rule(container=CONTAINERS)
    def runner_connects(self, container: str) -> None:
        self.boots[container] = self.boots[container] or 1
        self.met.add(container)
        self.connected.add(container)
        running = tuple((one, "task", 1.0) for one in sorted(self.processes) if home(one) == container)
        finished = tuple((one, "task", how) for one, how in sorted(self.results.items()) if home(one) == container)
        self.give(RunnerUp(f"{container}-{self.boots[container]}", running, finished, container=container))

    @rule(container=CONTAINERS)
    def runner_connection_breaks(self, container: str) -> None:
        if container in self.connected:
            self.connected.discard(container)
            self.give(RunnerDown(container))

    @rule(container=CONTAINERS)
    def container_restarts(self, container: str) -> None:
        self.runner_connection_breaks(container)
        self.boots[container] += 1
        self.processes = {one for one in self.processes if home(one) != container}
        self.results = {one: how for one, how in self.results.items() if home(one) != container}

    @rule(one=IDS)
    def process_ends(self, one: str) -> None:
        if one in self.processes:
            self.end(one, OK)

    @rule()
    def time_passes(self) -> None:
        if self.now < ACKNOWLEDGED_KEPT / 2:
            self.now += 200.0

    @invariant()
    def nothing_unacknowledged_is_forgotten(self) -> None:
        told = self.machine.handle(Led(self.machine.max_epoch), self.now)
        assert {one.execution_id for one in told if isinstance(one, TellFinished)} == self.owed


TestTwoContainers = TwoContainers.TestCase
TestTwoContainers.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
