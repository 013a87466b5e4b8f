"""The runner in virtual time: a shell of the model (`testing.runner_model`) in one process, and the agent's end of it.

A command is `["simulate", seconds, exit code]`. `Processes` counts what lives, whoever believes what.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from batchpools.agent.runner_client import PROTOCOL, Note, Requests, RunnerClient, RunnerGoneError
from batchpools.api import names
from batchpools.testing.runner_model import Behaviour, Moment, RunnerModel
from batchpools.testing.simulation.loop import Process, ProcessClock

_HOP = 0.0005  # seconds between agent and runner
_DIES_AFTER = 0.05  # seconds between SIGTERM and the end of a process


@dataclass
class Processes:
    """Everything that runs anywhere: execution id -> (task uid, node). `violations` is what must never be.

    finished: those that ended by themselves. brought: (task uid, node) of those whose files are in their directory there.
    """

    live: dict[str, tuple[str, str]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    brought: set[tuple[str, str]] = field(default_factory=set)
    on_start: Callable[[str, str, str], None] = lambda _, __, ___: None  # execution id, pod, container
    on_remove: Callable[[str, str], None] = lambda _, __: None  # what a run left there is to be removed
    violations: list[str] = field(default_factory=list)
    on_violation: Callable[[str], None] = lambda _: None
    log: Callable[[str], None] = lambda _: None

    def start(self, execution: str, node: str, container: str = names.TASK_CONTAINER) -> None:
        """A process begins."""
        uid = execution.split(":", maxsplit=1)[0]
        others = [one for one, (task, _) in self.live.items() if task == uid]
        if others or execution in self.live:
            self.violated(f"two live runs of one task: {execution} on {node} beside {others}")
        if execution in self.started:
            self.violated(f"the same execution ran twice: {execution}")
        self.started.append(execution)
        self.live[execution] = (uid, node)
        self.log(f"start {execution} on {node}")
        self.on_start(execution, node, container)

    def violated(self, sentence: str) -> None:
        """What must never be."""
        self.violations.append(sentence)
        self.on_violation(sentence)

    def end(self, execution: str, cause: str) -> None:
        """It is dead."""
        if cause == "exit":
            self.finished.add(execution)
        self.live.pop(execution, None)
        self.log(f"end {execution}")


class SimulatedRunner:
    """One life of a container. `on_ack(execution id)` is called when a result is to be forgotten."""

    container = names.TASK_CONTAINER

    def __init__(self, process: Process, clock: ProcessClock, node: str, boot_id: str, processes: Processes) -> None:
        self.process = process
        self.boot_id = boot_id
        self.on_ack: Callable[[str], None] = lambda _: None
        self.on_left: Callable[[int], None] = lambda _: None  # with that exit code
        self.has_left = False  # by itself, after SIGTERM or a restart that was asked for
        self._clock = clock
        self._node = node
        self._processes = processes
        self._model = RunnerModel(boot_id, self, _behaviour)
        self._agent: SimulatedRunnerClient | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._taken_along: list[str] = []
        self._left_by: dict[str, str] = {}  # directory -> execution id of the last run there
        self._elevates = False

    @property
    def elevates(self) -> bool:
        """Whether it is root of its container."""
        return self._elevates

    @elevates.setter
    def elevates(self, value: bool) -> None:
        self._elevates = self._model.elevates = value

    # ---------------------------------------------------------------- what happens to it

    def hello(self, agent: "SimulatedRunnerClient") -> Note:
        """A newer agent takes the older's place. OSError when nobody listens."""
        if self.has_left or self.process.dead:
            raise ConnectionRefusedError("no runner listens")
        if self.process.paused:
            raise TimeoutError("the runner does not answer")
        hello, *later = self._model.hello(agent, PROTOCOL, self._now())
        self._agent = agent
        for note in later:
            agent.deliver(note)
        self._set_timer()
        return hello

    def crash(self) -> None:
        """The container is killed: PID 1 takes everything along."""
        self.process.crash()
        for one in self._model.live:
            self._processes.end(one, "crash")
        self._model = RunnerModel(self.boot_id, self, _behaviour)
        self._model.elevates = self.elevates
        self._cut()

    def stop(self) -> None:
        """SIGTERM."""
        self._model.stop(self._now())
        self._set_timer()

    def tell_memory(self, execution_id: str, size: int, used: int, limit: int) -> None:
        """Memory is scarce: this run has the most of it, bytes; an empty id: there is enough again."""
        self._model.tell_memory(execution_id, size, used, limit)

    def exhaust(self, execution_id: str, cause: str = "outOfMemory") -> None:
        """The watch kills a live run: cause outOfMemory or diskFull."""
        self._model.exhaust(execution_id, cause, self._now())
        self._set_timer()

    @property
    def runs(self) -> tuple[str, ...]:
        """Execution ids of what runs here, or awaits its files."""
        return self._model.live

    @property
    def is_quiet(self) -> bool:
        """Whether nothing runs and every result was acknowledged."""
        return self._model.is_quiet

    # ---------------------------------------------------------------- what the agent says

    def handle(self, agent: "SimulatedRunnerClient", message: Note) -> None:
        """One message."""
        if message["op"] == "run":
            self._left_by[message["dir"]] = message["id"]
            if message.get("fresh"):
                self._processes.brought.discard((_uid(message), self._node))
        elif message["op"] == "remove":
            self._processes.on_remove(self._left_by.get(message["path"], ""), self._node)
        self._model.handle(agent, message, self._now())
        if message["op"] == "put" and message["path"] in self._model.brought_to(message["id"]):
            self._processes.brought.add((_uid(message), self._node))
        self._set_timer()

    def gone(self, agent: "SimulatedRunnerClient") -> None:
        """An agent has closed its connection."""
        self._model.gone(agent)

    # ---------------------------------------------------------------- the model's world

    def tell(self, agent: Any, note: Note) -> None:
        """To an agent's process."""
        if note.get("code") == "InUse":
            self._processes.violated(f"on {self._node} {note['message']}, and its directory was to be removed")
        agent.deliver(note)

    def replaced(self, agent: Any) -> None:
        """Its connection ends."""
        agent.cut()

    def started(self, execution_id: str) -> None:
        """A process begins."""
        self._processes.start(execution_id, self._node, self.container)

    def ended(self, execution_id: str, cause: str) -> None:
        """It is dead."""
        if cause == "left":
            self._taken_along.append(execution_id)
        self._processes.end(execution_id, cause)

    def acknowledged(self, execution_id: str) -> None:
        """A result is forgotten."""
        self.on_ack(execution_id)

    def left(self, exit_code: int) -> None:
        """The runner has ended."""
        if exit_code == names.RESTART_EXIT_CODE and self._taken_along:
            self._processes.violated(f"all containers of {self._node} begin anew under {self._taken_along}")
        self.has_left = True
        self._cut()
        self.on_left(exit_code)

    # ---------------------------------------------------------------- inside

    def _now(self) -> Moment:
        return Moment(self._clock.boottime(), self._clock.now().timestamp())

    def _set_timer(self) -> None:
        """One timer, at the moment when the model does something by itself."""
        due = self._model.due
        if due == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        if due < math.inf:
            self._timer = self.process.call_later(max(due - self._clock.boottime(), 0.0), self._be_on_time)

    def _be_on_time(self) -> None:
        self._timer_at = math.inf
        self._model.advance(self._now())
        self._set_timer()

    def _cut(self) -> None:
        if self._agent is not None:
            self._agent.cut()
            self._agent = None


def _uid(message: Note) -> str:
    """The task of a run that is spoken of."""
    return str(message["id"]).split(":", maxsplit=1)[0]


def _behaviour(argv: Sequence[str]) -> Behaviour:
    _, seconds, code = argv
    return Behaviour(float(seconds), int(code), dies_after=_DIES_AFTER)


class SimulatedRunnerClient(RunnerClient):
    """The agent's end, in the agent's process."""

    def __init__(self, process: Process, runner: SimulatedRunner) -> None:  # no socket, so not the base's
        self._process = process
        self._runner = runner
        self._on_note: Callable[[Note], None] | None = None
        self._early: list[Note] = []
        self._requests = Requests()
        self._ended = asyncio.Event()
        self.hello = runner.hello(self)

    def listen(self, on_note: Callable[[Note], None]) -> asyncio.Task[None]:
        """Start hearing; ends when the runner is gone or another agent has its place."""
        self._on_note = on_note
        for note in self._early:
            on_note(note)
        return self._process.create_task(self._until_ended())

    async def _until_ended(self) -> None:
        await self._ended.wait()

    def tell(self, op: str, **fields: Any) -> None:
        """Send a message."""
        if self._ended.is_set():
            raise RunnerGoneError("the runner is gone")
        self._runner.process.call_later(_HOP, self._runner.handle, self, {"op": op, **fields})

    async def close(self) -> None:
        """Nothing is heard any more."""
        self._end()
        self._runner.process.call_later(_HOP, self._runner.gone, self)

    def cut(self) -> None:
        """The runner has ended, or another agent has this one's place: its machine closes the connection."""
        self._process.call_later(_HOP, self._end)

    def deliver(self, note: Note) -> None:
        """From the runner's process into this one."""
        self._process.call_later(_HOP, self._hear, note)

    def _end(self) -> None:
        self._ended.set()
        self._requests.end()

    def _hear(self, note: Note) -> None:
        if self._ended.is_set() or self._requests.answer(note):
            return
        if self._on_note is None:
            self._early.append(note)
        else:
            self._on_note(note)
