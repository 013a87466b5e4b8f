"""The agent's machine: what a node does with its runs. `Executions.handle` takes one event and answers with instructions.

It keeps the rules of exactly once on the node: no older epoch is obeyed, no id runs twice, no result is forgotten before it is
acknowledged, a killed id never starts. Time is an argument; nothing here does anything.

A node has a runner in each container that tasks may name. A run belongs to one of them for life: what becomes of another
container says nothing of it. What is said of the whole node waits for all: no account of runs is given, and no run is taken,
before this agent has met every runner once (`is_complete`).

A run is in one state at a time; states are frozen and replaced. The table of them is changed in place: it holds ten minutes of
ids, and copying those at each event would cost more than the tasks.
"""

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from batchpools.api.names import TASK_CONTAINER
from batchpools.core.ended import Ended
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
    Stays,
    Stopping,
    TellFinished,
    TellInventory,
    TellRejected,
    TellStarted,
    TellUnknown,
)
from batchpools.core.lost_container import LastWord, MemoryScarce

ACKNOWLEDGED_KEPT = 600.0  # seconds that an acknowledged id is remembered (safety rule S5.2)

# ------------------------------------------------------------------ states of a run


@dataclass(frozen=True, slots=True)
class _Launching:
    """The runner was told; no process yet."""

    task_name: str
    boot_id: str
    container: str


@dataclass(frozen=True, slots=True)
class _Running:
    """The process exists."""

    task_name: str
    boot_id: str
    container: str
    started_at: float


@dataclass(frozen=True, slots=True)
class _Killing:
    """To be ended; started_at is 0 when it was still being launched."""

    task_name: str
    boot_id: str
    container: str
    started_at: float
    grace: float


@dataclass(frozen=True, slots=True)
class _Ended:
    """Over, and nobody has acknowledged the result."""

    task_name: str
    boot_id: str
    outcome: Ended


@dataclass(frozen=True, slots=True)
class _Settled:
    """Over, and the result is persisted."""


@dataclass(frozen=True, slots=True)
class _Barred:
    """Killed before it came: it may not start later."""


@dataclass(frozen=True, slots=True)
class _Condemned:
    """To be ended, by an agent that has not met its runner yet: it may be running there, so nobody is told anything."""

    grace: float


_Live = _Launching | _Running | _Killing
_State = _Live | _Ended | _Settled | _Barred | _Condemned

# ------------------------------------------------------------------ the machine


@dataclass(slots=True)
class _Container:
    """One container of the pod that runs tasks, as its runner tells of it. An empty boot id: this agent has not met it."""

    boot_id: str = ""
    is_up: bool = False
    memory: LastWord = field(default_factory=LastWord)


@dataclass(slots=True)
class Executions:
    """All runs of a node. Only `handle` changes it. containers: those that run tasks, in the order of the pod."""

    containers: tuple[str, ...] = (TASK_CONTAINER,)
    max_epoch: int = 0
    prepared: bool = False  # no start task has to succeed in the task container any more
    stopping: bool = False
    restarting: bool = False  # all containers begin anew: nothing is taken until that is done, or was refused
    _there: dict[str, _Container] = field(default_factory=dict)
    _runs: dict[str, _State] = field(default_factory=dict)
    _remembered: deque[tuple[float, str]] = field(default_factory=deque)  # settled and barred ids, oldest first

    def __post_init__(self) -> None:
        """No runner has been met."""
        self._there = {name: _Container() for name in self.containers}

    @property
    def is_complete(self) -> bool:
        """Whether this agent has met every runner: before, it cannot say what is not running."""
        return all(one.boot_id for one in self._there.values())

    @property
    def boot_id(self) -> str:
        """Of the node: another one when any of its containers has begun anew; empty before every runner was met."""
        if not self.is_complete:
            return ""
        ids = [one.boot_id for one in self._there.values()]
        return ids[0] if len(ids) == 1 else hashlib.sha256(" ".join(ids).encode()).hexdigest()[:32]

    @property
    def runner_up(self) -> bool:
        """Whether every runner is there."""
        return all(one.is_up for one in self._there.values())

    @property
    def live_count(self) -> int:
        """Runs that may be going on."""
        return sum(isinstance(run, _Live) for run in self._runs.values())

    def live_in(self, container: str) -> int:
        """Runs that may be going on in one container."""
        return sum(isinstance(run, _Live) and run.container == container for run in self._runs.values())

    @property
    def unacknowledged(self) -> int:
        """Results that nobody has persisted yet."""
        return sum(isinstance(run, _Ended) for run in self._runs.values())

    def handle(self, event: Event, now: float) -> list[Instruction]:  # noqa: PLR0911 (a table)
        """What follows from an event at monotonic time `now`."""
        self._prune(now)
        match event:
            case Restored():
                return self._restored(event, now)
            case Led(epoch):
                return self._led(epoch)
            case RunAsked():
                return self._run_asked(event)
            case KillAsked():
                return self._kill_asked(event, now)
            case Acknowledged(ids):
                return self._acknowledged(ids, now)
            case RunnerUp():
                return self._runner_up(event, now)
            case RunnerDown() | MemoryScarce():
                return self._runner_wanes(event, now)
            case RunStarted(execution_id, started_at):
                return self._started(execution_id, started_at)
            case RunFinished(execution_id, task_name, outcome, container):
                return self._finished(execution_id, task_name, self._there[container].boot_id, outcome)
            case RunUnknown():
                return self._unknown(event, now)
            case Prepared() | Stopping() | RestartAsked() | Stays():
                return self._node_changes(event)
            case _:
                assert_never(event)

    # ---------------------------------------------------------------- the leader speaks

    def _led(self, epoch: int) -> list[Instruction]:
        if epoch < self.max_epoch:
            return []
        self.max_epoch = epoch
        return self._account()

    def _account(self) -> list[Instruction]:
        """Results first, in as many frames as they take; the inventory closes the account: what is in neither is not here."""
        told: list[Instruction] = []
        live = []
        settled = []
        for one, run in self._runs.items():
            match run:
                case _Ended():
                    told.append(_tell(one, run))
                case _Settled():
                    settled.append(one)
                case _Launching() | _Running() | _Killing():
                    live.append((one, run.task_name, _started_at(run)))
                case _Barred() | _Condemned():
                    pass
        if not self.is_complete:  # what some runner runs is not known: nothing of this is an account
            return [*told, TellInventory(self.max_epoch, "", (), ())]
        return [*told, TellInventory(self.max_epoch, self.boot_id, tuple(live), tuple(settled))]

    def _run_asked(self, event: RunAsked) -> list[Instruction]:
        one = event.execution_id
        if event.epoch < self.max_epoch:
            return [TellRejected(one, f"epoch {event.epoch} is over, {self.max_epoch} leads")]
        self.max_epoch = event.epoch
        known = self._runs.get(one)
        if known is not None:
            return _tell_again(one, known)
        refused = self._refusal(event.container) or event.refused
        if refused:
            return [TellRejected(one, refused)]
        there = self._there[event.container]
        self._runs[one] = _Launching(event.task_name, there.boot_id, event.container)
        return [Launch(one, event.task_name, event.request, event.container)]

    def _refusal(self, container: str) -> str:
        """Why no run can be started in that container now, as a sentence; empty when it can."""
        if self.stopping:
            return "the node is stopping"
        if self.restarting:
            return "the node restarts"
        there = self._there.get(container)
        if there is None:
            return f"the node has no container {container!r}"
        if not there.is_up:
            return (
                "the task container is not up" if container == TASK_CONTAINER else f"container {container!r} is not up"
            )
        if not self.is_complete:
            return "not all containers of the node are up"
        if not self.prepared:
            return "the start task has not succeeded in the task container yet"
        return ""

    def _kill_asked(self, event: KillAsked, now: float) -> list[Instruction]:
        if event.epoch < self.max_epoch:
            return []
        one = event.execution_id
        match self._runs.get(one):
            case None if not self.is_complete:
                self._runs[one] = _Condemned(event.grace)
                return []
            case None:
                self._remember(one, _Barred(), now)
                return [TellUnknown(one)]
            case _Condemned():
                return []
            case _Ended() as ended:
                return [_tell(one, ended)]
            case _Settled() | _Barred():
                return [TellUnknown(one)]
            case _Launching() | _Running() | _Killing() as run:
                self._runs[one] = _Killing(run.task_name, run.boot_id, run.container, _started_at(run), event.grace)
                is_up = self._there[run.container].is_up
                return [End(one, event.grace, run.container)] if is_up else []  # else when the runner is back

    def _node_changes(self, event: Prepared | Stopping | RestartAsked | Stays) -> list[Instruction]:
        """It takes runs from now on, takes none any more, begins anew, or does not after all.

        That only with empty containers, whose results are all persisted (safety rule S6.4). The runners look once more.
        """
        match event:
            case Prepared():
                self.prepared = True
            case Stopping():
                self.stopping = True
            case Stays():
                self.restarting = False
            case RestartAsked(epoch, boot_id):
                return self._restart_asked(epoch, boot_id)
        return []

    def _restart_asked(self, epoch: int, boot_id: str) -> list[Instruction]:
        wanted = epoch >= self.max_epoch and boot_id == self.boot_id and self.runner_up
        if not wanted or self.restarting or self.live_count or self.unacknowledged:
            return []
        self.restarting = True
        task, *others = ((name, one.boot_id) for name, one in self._there.items())
        return [Restart(task[1], tuple(others))]

    def _acknowledged(self, ids: Iterable[str], now: float) -> list[Instruction]:
        known = tuple(one for one in dict.fromkeys(ids) if isinstance(self._runs.get(one), _Ended))
        for one in known:
            self._remember(one, _Settled(), now)
        return [Forget(known)] if known else []

    # ---------------------------------------------------------------- the node speaks

    def _restored(self, event: Restored, now: float) -> list[Instruction]:
        self.max_epoch = max(self.max_epoch, event.max_epoch)
        for one, task_name, boot_id, outcome in event.finished:
            self._runs[one] = _Ended(task_name, boot_id, outcome)
        for one in event.acknowledged:
            self._remember(one, _Settled(), now)
        return []

    def _runner_up(self, event: RunnerUp, now: float) -> list[Instruction]:
        """A runner with another boot id has none of the former one's runs: they are lost. The same one is believed in all.

        Of the runs of other containers it says nothing. An agent that has just come up knew of no runs before; what it told a
        leader meanwhile (with an empty boot id) said nothing, so it tells again once it has met every runner.
        """
        told: list[Instruction] = []
        was_complete = self.is_complete
        there = self._there[event.container]
        last_word = LastWord() if event.boot_id == there.boot_id else there.memory
        there.memory = LastWord()
        there.is_up, there.boot_id = True, event.boot_id
        if event.container == TASK_CONTAINER:
            self.prepared, self.restarting = event.serves, False
        for one in event.acknowledged:
            if one not in self._runs:
                self._remember(one, _Settled(), now)
        for one, task_name, started_at in event.running:
            told += self._seen_running(one, task_name, started_at, event.container)
        for one, task_name, outcome in event.finished:
            told += self._finished(one, task_name, event.boot_id, outcome)
        told += self._lose_all_but({one for one, _, _ in event.running}, last_word, event.container)
        if self.is_complete:
            told += self._spare_condemned(now)
            if not was_complete and self.max_epoch:
                return [*(one for one in told if not isinstance(one, TellFinished)), *self._account()]
        return told

    def _runner_wanes(self, event: RunnerDown | MemoryScarce, now: float) -> list[Instruction]:
        """It is gone, or says what may soon take it away."""
        there = self._there[event.container]
        if isinstance(event, RunnerDown):
            there.is_up = False
            self.prepared = self.prepared and event.container != TASK_CONTAINER
            there.memory = there.memory.when_lost(now)
        else:
            there.memory = LastWord(event, now) if event.execution_id else LastWord()
        return []

    def _seen_running(self, one: str, task_name: str, started_at: float, container: str) -> list[Instruction]:
        boot_id = self._there[container].boot_id
        known = self._runs.get(one)
        if isinstance(known, _Condemned):
            known = _Killing(task_name, boot_id, container, started_at, known.grace)
        if isinstance(known, _Killing):
            self._runs[one] = _Killing(known.task_name, boot_id, container, started_at, known.grace)
            return [End(one, known.grace, container)]
        if known is None or isinstance(known, _Launching | _Running):
            live: _Live = _Launching(task_name, boot_id, container)
            self._runs[one] = _Running(task_name, boot_id, container, started_at) if started_at else live
        return []

    def _lose_all_but(self, present: set[str], last_word: LastWord, container: str) -> list[Instruction]:
        """Runs that their runner does not have: it was restarted under them, or it never got to hear of them."""
        told: list[Instruction] = []
        for one, run in list(self._runs.items()):
            if isinstance(run, _Live) and run.container == container and one not in present:
                ended = last_word.ended(one, _started_at(run), container)
                told += self._finished(one, run.task_name, run.boot_id, ended)
        return told

    def _spare_condemned(self, now: float) -> list[Instruction]:
        """What was to be ended, and no runner knows anything of: it is not there, and will not start."""
        absent = [one for one, run in self._runs.items() if isinstance(run, _Condemned)]
        for one in absent:
            self._remember(one, _Barred(), now)
        return [TellUnknown(one) for one in absent]

    def _started(self, one: str, started_at: float) -> list[Instruction]:
        match self._runs.get(one):
            case _Launching(task_name, boot_id, container):
                self._runs[one] = _Running(task_name, boot_id, container, started_at)
            case _Killing(task_name, boot_id, container, _, grace):
                self._runs[one] = _Killing(task_name, boot_id, container, started_at, grace)
            case _:
                return []
        return [TellStarted(one, started_at)]

    def _finished(self, one: str, task_name: str, boot_id: str, outcome: Ended) -> list[Instruction]:
        known = self._runs.get(one)
        if isinstance(known, _Settled):
            return [Forget((one,))]
        ended = known if isinstance(known, _Ended) else _Ended(task_name, boot_id, outcome)
        self._runs[one] = ended
        return [_tell(one, ended)]

    def _unknown(self, event: RunUnknown, now: float) -> list[Instruction]:
        """The runner has no run that it was to end. Only that of the run's own container can say so."""
        one = event.execution_id
        run = self._runs.get(one)
        if isinstance(run, _Live) and run.container == event.container:
            self._remember(one, _Barred(), now)
            return [TellUnknown(one)]
        return []

    # ---------------------------------------------------------------- memory

    def _remember(self, one: str, state: _Settled | _Barred, now: float) -> None:
        self._runs[one] = state
        self._remembered.append((now, one))

    def _prune(self, now: float) -> None:
        while self._remembered and now - self._remembered[0][0] > ACKNOWLEDGED_KEPT:
            _, one = self._remembered.popleft()
            if isinstance(self._runs.get(one), _Settled | _Barred):
                del self._runs[one]


def _started_at(run: _Live) -> float:
    return 0.0 if isinstance(run, _Launching) else run.started_at


def _tell(one: str, ended: _Ended) -> TellFinished:
    return TellFinished(one, ended.task_name, ended.boot_id, ended.outcome)


def _tell_again(one: str, run: _State) -> list[Instruction]:
    """A run that is asked for twice: how it stands."""
    match run:
        case _Launching():
            return []
        case _Running(started_at=started_at) | _Killing(started_at=started_at):
            return [TellStarted(one, started_at)] if started_at else []
        case _Ended():
            return [_tell(one, run)]
        case _Settled() | _Barred():
            return [TellUnknown(one)]
        case _Condemned():
            return []
