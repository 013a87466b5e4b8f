"""The agent's machine: what a node does with its runs. `Executions.handle` takes one event and answers with instructions.

It keeps the rules of exactly once on the node: no older epoch is obeyed, no id runs twice, no result is forgotten before it is
acknowledged, a killed id never starts. Time is an argument; nothing here does anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

ACKNOWLEDGED_KEPT = 600.0  # seconds that an acknowledged id is remembered (safety rule S5.2)

# ------------------------------------------------------------------ facts


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; the fields of the link's Finished but the ids."""

    cause: str
    exit_code: int | None = None
    started_at: float = 0.0
    ended_at: float = 0.0
    user_cpu: float = 0.0
    kernel_cpu: float = 0.0
    max_memory_bytes: int = 0
    code: str = ""
    message: str = ""


# ------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class Led:
    """A replica announced that it leads with this epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class RunAsked:
    """The leader wants a run; `request` is carried to the runner as it is."""

    execution_id: str
    epoch: int
    task_name: str
    request: object


@dataclass(frozen=True, slots=True)
class KillAsked:
    """The leader wants the end of a run."""

    execution_id: str
    epoch: int
    grace: float


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Results are persisted."""

    execution_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """The runner answered hello: what it runs as (id, task name, started at), what it has not been told to forget."""

    boot_id: str
    running: tuple[tuple[str, str, float], ...]
    finished: tuple[tuple[str, str, Outcome], ...]
    acknowledged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunnerDown:
    """The connection to the runner is gone; its runs may well go on."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The runner forked."""

    execution_id: str
    started_at: float


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The runner reports an end."""

    execution_id: str
    task_name: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class RunUnknown:
    """The runner does not know a run that it was to kill."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """The pod was told to stop: nothing starts any more."""


Event = (
    Led | RunAsked | KillAsked | Acknowledged | RunnerUp | RunnerDown | RunStarted | RunFinished | RunUnknown | Stopping
)

# ------------------------------------------------------------------ instructions


@dataclass(frozen=True, slots=True)
class Launch:
    """Have the runner start it."""

    execution_id: str
    task_name: str
    request: object


@dataclass(frozen=True, slots=True)
class End:
    """Have the runner kill it."""

    execution_id: str
    grace: float


@dataclass(frozen=True, slots=True)
class Forget:
    """Let the runner forget results."""

    execution_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TellInventory:
    """Send the leader all that is known; unacknowledged results went before, as TellFinished."""

    epoch: int
    boot_id: str
    live: tuple[tuple[str, str, float], ...]  # (id, task name, started at)
    acknowledged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TellStarted:
    """Tell the leader of a start."""

    execution_id: str
    started_at: float


@dataclass(frozen=True, slots=True)
class TellFinished:
    """Tell the leader of an end."""

    execution_id: str
    task_name: str
    boot_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class TellUnknown:
    """Tell the leader that a run is not here and will not start."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class TellRejected:
    """Tell the leader that a run was not started."""

    execution_id: str
    reason: str


Instruction = Launch | End | Forget | TellInventory | TellStarted | TellFinished | TellUnknown | TellRejected

# ------------------------------------------------------------------ the machine


@dataclass(slots=True)
class _Live:
    task_name: str
    boot_id: str
    started_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Ended:
    task_name: str
    boot_id: str
    outcome: Outcome


@dataclass(slots=True)
class Executions:
    """All runs of a node. Only `handle` changes it."""

    max_epoch: int = 0
    boot_id: str = ""
    runner_up: bool = False
    stopping: bool = False
    _live: dict[str, _Live] = field(default_factory=dict)
    _ended: dict[str, _Ended] = field(default_factory=dict)
    _acknowledged: dict[str, float] = field(default_factory=dict)
    _never: dict[str, float] = field(default_factory=dict)  # killed before they came: they may not start later

    @property
    def live_count(self) -> int:
        """Runs that may be going on."""
        return len(self._live)

    @property
    def unacknowledged(self) -> int:
        """Results that nobody has persisted yet."""
        return len(self._ended)

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """What follows from an event at monotonic time `now`."""
        match event:
            case Led(epoch):
                return self._led(epoch, now)
            case RunAsked():
                return self._run_asked(event)
            case KillAsked():
                return self._kill_asked(event, now)
            case Acknowledged(ids):
                return self._forget(ids, now)
            case RunnerUp():
                return self._runner_up(event, now)
            case RunnerDown():
                self.runner_up = False
            case RunStarted(execution_id, started_at):
                return self._started(execution_id, started_at)
            case RunFinished(execution_id, task_name, outcome):
                return self._finished(execution_id, task_name, self.boot_id, outcome)
            case RunUnknown(execution_id):
                return self._unknown(execution_id, now)
            case Stopping():
                self.stopping = True
        return []

    def _led(self, epoch: int, now: float) -> list[Instruction]:
        if epoch < self.max_epoch:
            return []
        self.max_epoch = epoch
        self._prune(now)
        return self._account()

    def _account(self) -> list[Instruction]:
        """Results first, in as many frames as they take; the inventory closes the account: what is in neither is not here."""
        live = tuple((one, run.task_name, run.started_at) for one, run in self._live.items())
        told: list[Instruction] = [
            TellFinished(one, end.task_name, end.boot_id, end.outcome) for one, end in self._ended.items()
        ]
        return [*told, TellInventory(self.max_epoch, self.boot_id, live, tuple(self._acknowledged))]

    def _run_asked(self, event: RunAsked) -> list[Instruction]:
        one = event.execution_id
        if event.epoch < self.max_epoch:
            return [TellRejected(one, f"epoch {event.epoch} is over, {self.max_epoch} leads")]
        if one in self._live:
            started = self._live[one].started_at
            return [TellStarted(one, started)] if started else []
        if one in self._ended:
            end = self._ended[one]
            return [TellFinished(one, end.task_name, end.boot_id, end.outcome)]
        if one in self._acknowledged or one in self._never:
            return [TellUnknown(one)]
        if self.stopping:
            return [TellRejected(one, "the node is stopping")]
        if not self.runner_up:
            return [TellRejected(one, "the task container is not up")]
        self._live[one] = _Live(event.task_name, self.boot_id)
        return [Launch(one, event.task_name, event.request)]

    def _kill_asked(self, event: KillAsked, now: float) -> list[Instruction]:
        one = event.execution_id
        if event.epoch < self.max_epoch:
            return []
        if one in self._ended:
            end = self._ended[one]
            return [TellFinished(one, end.task_name, end.boot_id, end.outcome)]
        if one not in self._live:
            self._never[one] = now
            return [TellUnknown(one)]
        return (
            [End(one, event.grace)] if self.runner_up else []
        )  # else again when the runner is back: the leader asks again

    def _forget(self, ids: Iterable[str], now: float) -> list[Instruction]:
        known = tuple(one for one in ids if self._ended.pop(one, None) is not None)
        for one in known:
            self._acknowledged[one] = now
        return [Forget(known)] if known else []

    def _runner_up(self, event: RunnerUp, now: float) -> list[Instruction]:
        """A runner with another boot id has none of the former one's runs: they are lost. The same one is believed in all.

        An agent that has just come up knew of no runs before; what it told a leader meanwhile (with an empty boot id) said
        nothing, so it tells again.
        """
        told: list[Instruction] = []
        is_first = not self.boot_id
        self.runner_up = True
        self.boot_id = event.boot_id
        for one in event.acknowledged:
            self._acknowledged.setdefault(one, now)
        for one, task_name, started_at in event.running:
            self._live.setdefault(one, _Live(task_name, event.boot_id)).started_at = started_at
        for one, task_name, outcome in event.finished:
            told += self._finished(one, task_name, event.boot_id, outcome)
        present = {one for one, _, _ in event.running}
        for one, run in list(self._live.items()):
            if one not in present:
                lost = Outcome("bootLost", started_at=run.started_at, message="the task container was restarted")
                told += self._finished(one, run.task_name, run.boot_id, lost)
        return self._account() if is_first and self.max_epoch else told

    def _started(self, execution_id: str, started_at: float) -> list[Instruction]:
        run = self._live.get(execution_id)
        if run is None:
            return []
        run.started_at = started_at
        return [TellStarted(execution_id, started_at)]

    def _finished(self, one: str, task_name: str, boot_id: str, outcome: Outcome) -> list[Instruction]:
        if one in self._acknowledged:
            return [Forget((one,))]
        self._live.pop(one, None)
        if one not in self._ended:
            self._ended[one] = _Ended(task_name, boot_id, outcome)
        end = self._ended[one]
        return [TellFinished(one, end.task_name, end.boot_id, end.outcome)]

    def _unknown(self, execution_id: str, now: float) -> list[Instruction]:
        self._live.pop(execution_id, None)
        self._never[execution_id] = now
        return [TellUnknown(execution_id)]

    def _prune(self, now: float) -> None:
        for remembered in (self._acknowledged, self._never):
            for one in [one for one, at in remembered.items() if now - at > ACKNOWLEDGED_KEPT]:
                del remembered[one]
