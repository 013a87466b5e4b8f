"""The agent's machine: tables with a sentence each, and a search for orders of events that break its promises."""

import pytest
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
    Prepared,
    Restart,
    RestartAsked,
    Restored,
    RunAsked,
    RunFinished,
    RunnerDown,
    RunnerUp,
    RunStarted,
    RunUnknown,
    Stopping,
    TellFinished,
    TellInventory,
    TellRejected,
    TellStarted,
    TellUnknown,
)

OK = Ended("exit", 0, 10.0, 11.0)
LOST = Ended("bootLost", message="the task container was lost")
UP = RunnerUp("boot", (), ())
RUN = RunAsked("a", 2, "task-a", "how")
KILL = KillAsked("a", 2, 5.0)
STARTED = RunStarted("a", 10.0)
FINISHED = RunFinished("a", "task-a", OK)
LAUNCH = Launch("a", "task-a", "how")
TOLD = TellFinished("a", "task-a", "boot", OK)


def after(*events: Event, now: float = 0.0) -> Executions:
    machine = Executions()
    for event in events:
        machine.handle(event, now)
    return machine


BEGUN = (UP, Led(2), RUN)

CASES: dict[str, tuple[tuple[Event, ...], Event, list[Instruction]]] = {
    "a run is launched": ((UP, Led(2)), RUN, [LAUNCH]),
    "an agent that has not met its runner says of no run that it is not there": ((Led(2),), KILL, []),
    "what was to be ended before the runner was met is ended then": (
        (Led(2), KILL),
        RunnerUp("boot", (("a", "task-a", 10.0),), ()),
        [End("a", 5.0), TellInventory(2, "boot", (("a", "task-a", 10.0),), ())],
    ),
    "what was to be ended, and a runner does not know, is not there": (
        (Led(2), KILL),
        UP,
        [TellUnknown("a"), TellInventory(2, "boot", (), ())],
    ),
    "a run of an older epoch is rejected": (
        (UP, Led(3)),
        RUN,
        [TellRejected("a", "epoch 2 is over, 3 leads")],
    ),
    "a run of a newer epoch than any that led counts as its announcement": (
        (UP, Led(1), RUN),
        RunAsked("b", 1, "task-b", "how"),
        [TellRejected("b", "epoch 1 is over, 2 leads")],
    ),
    "the same run twice is launched once": (BEGUN, RUN, []),
    "a run that goes on is told again when it is asked for again": ((*BEGUN, STARTED), RUN, [TellStarted("a", 10.0)]),
    "a run that has ended is told again when it is asked for again": ((*BEGUN, FINISHED), RUN, [TOLD]),
    "a run whose result is persisted does not run again": (
        (*BEGUN, FINISHED, Acknowledged(("a",))),
        RUN,
        [TellUnknown("a")],
    ),
    "without a runner nothing starts": ((Led(2),), RUN, [TellRejected("a", "the task container is not up")]),
    "a runner that is gone starts nothing": (
        (UP, Led(2), RunnerDown()),
        RUN,
        [TellRejected("a", "the task container is not up")],
    ),
    "a runner whose start task has not succeeded starts nothing": (
        (RunnerUp("boot", (), (), (), serves=False), Led(2)),
        RUN,
        [TellRejected("a", "the start task has not succeeded in the task container yet")],
    ),
    "once it has, it does": (
        (RunnerUp("boot", (), (), (), serves=False), Led(2), Prepared()),
        RUN,
        [Launch("a", "task-a", "how")],
    ),
    "a container that restarts has to run its start task again": (
        (RunnerUp("boot", (), (), (), serves=False), Prepared(), RunnerUp("boot2", (), (), (), serves=False), Led(2)),
        RUN,
        [TellRejected("a", "the start task has not succeeded in the task container yet")],
    ),
    "an empty node begins anew": ((UP, Led(2)), RestartAsked(2, "boot"), [Restart("boot")]),
    "not with a run": (BEGUN, RestartAsked(2, "boot"), []),
    "not with a result that nobody has persisted": ((*BEGUN, FINISHED), RestartAsked(2, "boot"), []),
    "not for a former boot id": ((UP, Led(2)), RestartAsked(2, "boot0"), []),
    "not for an older leader": ((UP, Led(2)), RestartAsked(1, "boot"), []),
    "not without a runner": ((UP, Led(2), RunnerDown()), RestartAsked(2, "boot"), []),
    "a node that stops starts nothing": ((UP, Led(2), Stopping()), RUN, [TellRejected("a", "the node is stopping")]),
    "a leader is told what is live": (
        (*BEGUN, RunAsked("b", 2, "task-b", "how"), STARTED),
        Led(3),
        [TellInventory(3, "boot", (("a", "task-a", 10.0), ("b", "task-b", 0.0)), ())],
    ),
    "a leader is told results before the inventory that closes the account": (
        (*BEGUN, FINISHED),
        Led(3),
        [TOLD, TellInventory(3, "boot", (), ())],
    ),
    "a leader is told what was acknowledged": (
        (*BEGUN, FINISHED, Acknowledged(("a",))),
        Led(3),
        [TellInventory(3, "boot", (), ("a",))],
    ),
    "an older leader is told nothing": ((UP, Led(3)), Led(2), []),
    "the same leader on a new session is told again": ((UP, Led(2)), Led(2), [TellInventory(2, "boot", (), ())]),
    "a kill ends a run": ((*BEGUN, STARTED), KILL, [End("a", 5.0)]),
    "a kill ends a run that is being launched": (BEGUN, KILL, [End("a", 5.0)]),
    "a kill of an unknown run says so": ((UP, Led(2)), KILL, [TellUnknown("a")]),
    "a run that was killed before it came does not start": ((UP, Led(2), KILL), RUN, [TellUnknown("a")]),
    "a kill of a run that has ended tells its result": ((*BEGUN, FINISHED), KILL, [TOLD]),
    "a kill of a run whose result is persisted says that it is not there": (
        (*BEGUN, FINISHED, Acknowledged(("a",))),
        KILL,
        [TellUnknown("a")],
    ),
    "a kill by an older leader is not obeyed": ((*BEGUN, Led(3)), KILL, []),
    "a kill waits for a runner that is gone": ((*BEGUN, STARTED, RunnerDown()), KILL, []),
    "a kill reaches a runner that is back": (
        (*BEGUN, STARTED, RunnerDown(), KILL),
        RunnerUp("boot", (("a", "task-a", 10.0),), ()),
        [End("a", 5.0)],
    ),
    "a kill that the runner has no run for is confirmed": ((*BEGUN, KILL), RunUnknown("a"), [TellUnknown("a")]),
    "a runner that knows nothing of a run which has ended changes nothing": ((*BEGUN, FINISHED), RunUnknown("a"), []),
    "a start is told": (BEGUN, STARTED, [TellStarted("a", 10.0)]),
    "a start of a run that is to be killed is told": ((*BEGUN, KILL), STARTED, [TellStarted("a", 10.0)]),
    "a start of a run that has ended is no news": ((*BEGUN, FINISHED), STARTED, []),
    "an end is told": ((*BEGUN, STARTED), FINISHED, [TOLD]),
    "of two ends of a run the first one counts": (
        (*BEGUN, FINISHED),
        RunFinished("a", "task-a", Ended("killed")),
        [TOLD],
    ),
    "the runner forgets a result once it is persisted": (
        (*BEGUN, FINISHED),
        Acknowledged(("a", "a", "stranger")),
        [Forget(("a",))],
    ),
    "an acknowledgement of a live run does not make it forgotten": (BEGUN, Acknowledged(("a",)), []),
    "a persisted result that the runner tells again is forgotten again": (
        (*BEGUN, FINISHED, Acknowledged(("a",))),
        FINISHED,
        [Forget(("a",))],
    ),
    "runs of a runner that was restarted are lost": (
        (*BEGUN, RunnerDown()),
        RunnerUp("boot2", (), ()),
        [TellFinished("a", "task-a", "boot", LOST)],
    ),
    "runs go on under an agent that lost its connection": (
        (*BEGUN, STARTED, RunnerDown()),
        RunnerUp("boot", (("a", "task-a", 10.0),), ()),
        [],
    ),
    "an end that the agent missed is told": (
        (*BEGUN, STARTED, RunnerDown()),
        RunnerUp("boot", (), (("a", "task-a", OK),)),
        [TOLD],
    ),
    "a result outlives the runner that told it": (
        (*BEGUN, FINISHED, RunnerDown(), RunnerUp("boot2", (), ())),
        Led(3),
        [TOLD, TellInventory(3, "boot2", (), ())],
    ),
    "an agent that has just come up tells again once it has met its runner": (
        (Led(3),),
        RunnerUp("boot", (("a", "task-a", 0.0),), (("b", "task-b", OK),), ("c",)),
        [TellFinished("b", "task-b", "boot", OK), TellInventory(3, "boot", (("a", "task-a", 0.0),), ("c",))],
    ),
    "an agent that has just come up remembers results that its runner does not": (
        (Restored(3, (("a", "task-a", "old", OK),), ("c",)), Led(3)),
        RunnerUp("boot", (), ()),
        [TellFinished("a", "task-a", "old", OK), TellInventory(3, "boot", (), ("c",))],
    ),
    "an agent that has just come up obeys no older epoch than before": (
        (Restored(3, (), ()), UP),
        RUN,
        [TellRejected("a", "epoch 2 is over, 3 leads")],
    ),
}


@pytest.mark.parametrize("sentence", CASES)
def test_what_follows_from_an_event(sentence: str) -> None:
    before, event, expected = CASES[sentence]
    assert after(*before).handle(event, 0.0) == expected


def test_a_runner_that_remembers_what_the_agent_forgot_completes_it() -> None:
    machine = after(UP, Led(2))
    machine.handle(RunnerUp("boot", (("a", "task-a", 10.0),), ()), 0.0)
    assert machine.live_count == 1
    assert machine.handle(FINISHED, 0.0) == [TOLD]
    assert (machine.live_count, machine.unacknowledged) == (0, 1)


def test_acknowledged_ids_are_remembered_for_ten_minutes_and_no_longer() -> None:
    assert ACKNOWLEDGED_KEPT == 600.0
    machine = after(*BEGUN, FINISHED, Acknowledged(("a",)), now=100.0)
    assert machine.handle(Led(2), 100.0 + ACKNOWLEDGED_KEPT) == [TellInventory(2, "boot", (), ("a",))]
    assert machine.handle(Led(2), 101.0 + ACKNOWLEDGED_KEPT) == [TellInventory(2, "boot", (), ())]


def test_a_long_life_of_short_runs_does_not_fill_the_memory() -> None:
    machine = after(UP, Led(2))
    for number in range(10_000):
        one = f"run-{number}"
        machine.handle(RunAsked(one, 2, "task", "how"), number)
        machine.handle(RunFinished(one, "task", OK), number)
        machine.handle(Acknowledged((one,)), number)
    [inventory] = machine.handle(Led(2), 10_000)
    assert isinstance(inventory, TellInventory)
    assert len(inventory.acknowledged) <= ACKNOWLEDGED_KEPT


IDS = st.sampled_from(["t1:1", "t1:2", "t2:1", "t2:2"])  # task and epoch


def epoch_of(one: str) -> int:
    return int(one.partition(":")[2])


class Node(RuleBasedStateMachine):
    """A machine between a leader that asks anything in any order and a runner that is a set of processes."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Executions()
        self.now = 0.0
        self.epoch = 0
        self.boot = 0
        self.connected = False
        self.processes: set[str] = set()
        self.results: dict[str, Ended] = {}  # in the runner, not acknowledged
        self.owed: set[str] = set()  # told to the leader, not acknowledged
        self.ever_launched: set[str] = set()
        self.gone: set[str] = set()  # the leader was told that it will not start

    def give(self, event: Event) -> None:
        self.now += 1.0
        for instruction in self.machine.handle(event, self.now):
            self.carry_out(instruction)

    def carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Launch(one):
                assert one not in self.ever_launched, "an id runs once"
                assert one not in self.gone, "what was said not to start does not start"
                assert epoch_of(one) >= self.epoch, "no older epoch launches"
                assert self.connected
                self.ever_launched.add(one)
                self.processes.add(one)
            case End(one):
                if one in self.processes:
                    self.end(one, Ended("killed"))
            case Forget(ids):
                for one in ids:
                    self.results.pop(one, None)
            case TellFinished(one):
                assert one not in self.processes, "nothing is said to have ended that goes on"
                self.owed.add(one)
            case TellUnknown(one):
                assert one not in self.processes
                self.gone.add(one)
            case TellInventory(_, boot_id, live, acknowledged):
                listed = {one for one, _, _ in live}
                assert not listed & set(acknowledged)
                if boot_id and self.connected:
                    assert self.processes <= listed, "what goes on stands in the inventory"
            case _:
                pass

    def end(self, one: str, outcome: Ended) -> None:
        self.processes.discard(one)
        self.results[one] = outcome
        if self.connected:
            self.give(RunFinished(one, "task", outcome))

    @rule(one=IDS)
    def ask_to_run(self, one: str) -> None:
        self.epoch = max(self.epoch, epoch_of(one))
        self.give(RunAsked(one, epoch_of(one), "task", None))

    @rule(one=IDS, epoch=st.integers(1, 3))
    def ask_to_kill(self, one: str, epoch: int) -> None:
        self.give(KillAsked(one, epoch, 5.0))

    @rule(epoch=st.integers(1, 3))
    def lead(self, epoch: int) -> None:
        self.epoch = max(self.epoch, epoch)
        self.give(Led(epoch))

    @rule(one=IDS)
    def acknowledge(self, one: str) -> None:
        if one in self.owed:
            self.owed.discard(one)
            self.give(Acknowledged((one,)))

    @rule()
    def runner_connects(self) -> None:
        if self.boot == 0:
            self.boot = 1
        self.connected = True
        running = tuple((one, "task", 1.0) for one in sorted(self.processes))
        finished = tuple((one, "task", outcome) for one, outcome in sorted(self.results.items()))
        self.give(RunnerUp(f"boot-{self.boot}", running, finished))

    @rule()
    def runner_connection_breaks(self) -> None:
        if self.connected:
            self.connected = False
            self.give(RunnerDown())

    @rule()
    def runner_restarts(self) -> None:
        if self.connected:
            self.connected = False
            self.give(RunnerDown())
        self.boot += 1
        self.processes.clear()
        self.results.clear()

    @rule(one=IDS)
    def process_ends(self, one: str) -> None:
        if one in self.processes:
            self.end(one, OK)

    @rule(one=IDS)
    def process_starts(self, one: str) -> None:
        if one in self.processes and self.connected:
            self.give(RunStarted(one, 1.0))

    @rule()
    def time_passes(self) -> None:
        if self.now < ACKNOWLEDGED_KEPT / 2:  # ids are not sent again after they are forgotten
            self.now += 200.0

    @invariant()
    def nothing_unacknowledged_is_forgotten(self) -> None:
        told = {
            instruction.execution_id
            for instruction in self.machine.handle(Led(self.machine.max_epoch), self.now)
            if isinstance(instruction, TellFinished)
        }
        assert told == self.owed


TestNode = Node.TestCase
TestNode.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
