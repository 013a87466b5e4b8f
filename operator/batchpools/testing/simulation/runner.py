"""A model of the runner: the protocol of `operator/runner/protocol.go` without processes; `Run` is what would be one.

A command is `["simulate", seconds, exit code]`. `Processes` counts what lives, whoever believes what.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from batchpools.agent.runner_client import Note, RunnerClient, RunnerGoneError
from batchpools.testing.simulation.loop import Process, ProcessClock

_HOP = 0.0005  # seconds between agent and runner
_LATE = 0.25  # seconds by which the real one may be late: it looks at its deadline that often
_KEPT = 600.0


@dataclass
class Processes:
    """Everything that runs anywhere: execution id -> (task uid, node). `on_violation` hears what must never be."""

    live: dict[str, tuple[str, str]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)  # those that ended by themselves
    on_violation: Callable[[str], None] = lambda _: None
    on_start: Callable[[str, str], None] = lambda _, __: None
    log: Callable[[str], None] = lambda _: None

    def start(self, execution: str, node: str) -> None:
        """A process begins."""
        uid = execution.split(":", maxsplit=1)[0]
        others = [one for one, (task, _) in self.live.items() if task == uid]
        if others or execution in self.live:
            self.on_violation(f"two live runs of one task: {execution} on {node} beside {others}")
        if execution in self.started:
            self.on_violation(f"the same execution ran twice: {execution}")
        self.started.append(execution)
        self.live[execution] = (uid, node)
        self.log(f"start {execution} on {node}")
        self.on_start(execution, node)

    def end(self, execution: str) -> None:
        """It is dead."""
        self.live.pop(execution, None)
        self.log(f"end {execution}")


@dataclass
class _Run:
    label: str
    started_at: float
    timer: asyncio.TimerHandle


class SimulatedRunner:
    """One life of a task container. `on_ack(execution id)` is called when a result is to be forgotten."""

    def __init__(self, process: Process, clock: ProcessClock, node: str, boot_id: str, processes: Processes) -> None:
        self.process = process
        self.boot_id = boot_id
        self.on_ack: Callable[[str], None] = lambda _: None
        self._clock = clock
        self._node = node
        self._processes = processes
        self._runs: dict[str, _Run] = {}
        self._finished: dict[str, Note] = {}
        self._acked: dict[str, float] = {}
        self._deadline = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._stopping = False
        self._agent: SimulatedRunnerClient | None = None

    # ---------------------------------------------------------------- what happens to it

    def hello(self, agent: "SimulatedRunnerClient") -> Note:
        """A newer agent takes the older's place."""
        if self._agent is not None:
            self._agent.hang_up()
        self._agent = agent
        now = self._clock.monotonic()
        self._acked = {one: at for one, at in self._acked.items() if now - at < _KEPT}
        running = [_started(one, run) for one, run in self._runs.items()]
        return {
            "op": "hello", "bootId": self.boot_id, "env": [], "running": running, "finished": list(self._finished.values()),
            "acked": list(self._acked), "deadline": self._deadline,
        }  # fmt: skip

    def crash(self) -> None:
        """The container is killed: PID 1 takes everything along."""
        self.process.crash()
        if self._agent is not None:
            self._agent.hang_up()
        for one in list(self._runs):
            self._processes.end(one)
        self._runs.clear()

    def stop(self) -> None:
        """SIGTERM."""
        self._stopping = True
        self._tell({"op": "stopping"})
        for one in list(self._runs):
            self._end(one, "stopping", 143)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing runs and every result was acknowledged."""
        return not self._runs and not self._finished

    # ---------------------------------------------------------------- what the agent says

    def handle(self, agent: "SimulatedRunnerClient", message: Note) -> None:
        """One message."""
        if agent is not self._agent and message["op"] in {"run", "deadline"}:
            return
        match message["op"]:
            case "deadline":
                self._set_deadline(message["at"])
            case "run":
                self._start(message)
            case "kill":
                self._kill(message["id"])
            case "ack":
                for one in message["ids"]:
                    if self._finished.pop(one, None) is not None:
                        self._acked[one] = self._clock.monotonic()
                        self.on_ack(one)

    def _start(self, message: Note) -> None:
        one = message["id"]
        if one in self._runs:
            self._tell(_started(one, self._runs[one]))
        elif one in self._finished:
            self._tell(self._finished[one])
        elif self._stopping or not self._is_vouched_for():
            self._tell(self._result(one, message["label"], "stopping" if self._stopping else "expired", None, 0.0))
        else:
            _, seconds, code = message["argv"]
            timer = self.process.call_later(float(seconds), self._end, one, "exit", int(code))
            self._runs[one] = _Run(message["label"], self._clock.now().timestamp(), timer)
            self._processes.start(one, self._node)
            self._tell(_started(one, self._runs[one]))

    def _kill(self, one: str) -> None:
        if one in self._runs:
            self.process.call_later(0.05, self._end, one, "killed", 143)
        else:
            self._tell(self._finished.get(one, {"op": "unknown", "id": one}))

    # ---------------------------------------------------------------- inside

    def _is_vouched_for(self) -> bool:
        return self._clock.boottime() < self._deadline

    def _set_deadline(self, at: float) -> None:
        """The last word counts, also an earlier time."""
        self._deadline = at
        if self._alarm is not None:
            self._alarm.cancel()
        left = at - self._clock.boottime()
        self._alarm = self.process.call_later(max(left, 0.0) + _LATE, self._expire)

    def _expire(self) -> None:
        """The real one looks four times a second: it is late by up to a quarter of one."""
        if self._deadline and not self._is_vouched_for():
            self._deadline = 0.0
            for one in list(self._runs):
                self._end(one, "expired", 137)

    def _end(self, one: str, cause: str, code: int) -> None:
        run = self._runs.pop(one, None)
        if run is None:
            return
        run.timer.cancel()
        self._processes.end(one)
        if cause == "exit":
            self._processes.finished.add(one)
        self._finished[one] = self._result(one, run.label, cause, code, run.started_at)
        self._tell(self._finished[one])

    def _result(self, one: str, label: str, cause: str, code: int | None, started_at: float) -> Note:
        now = self._clock.now().timestamp()
        return {
            "op": "finished", "id": one, "label": label, "cause": cause, "exitCode": code, "signal": None,
            "startedAt": started_at, "endedAt": now, "userCpu": 0.0, "kernelCpu": 0.0, "maxRss": 0, "code": "", "message": "",
        }  # fmt: skip

    def _tell(self, note: Note) -> None:
        if self._agent is not None:
            self._agent.deliver(note)


class SimulatedRunnerClient(RunnerClient):
    """The agent's end, in the agent's process."""

    def __init__(self, process: Process, runner: SimulatedRunner) -> None:  # no socket, so not the base's
        self._process = process
        self._model = runner
        self._on_note: Callable[[Note], None] | None = None
        self._early: list[Note] = []
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
        message = {"op": op, **fields}
        self._model.process.call_later(_HOP, self._model.handle, self, message)

    async def ask(self, op: str, **fields: Any) -> Note:
        """Directories are removed, and that is all."""
        return {"op": "done"}

    async def close(self) -> None:
        """Nothing is heard any more."""
        self._ended.set()

    def hang_up(self) -> None:
        """The runner is gone, or a newer agent has this one's place."""
        self._process.call_later(_HOP, self._ended.set)

    def deliver(self, note: Note) -> None:
        """From the runner's process into this one."""
        self._process.call_later(_HOP, self._hear, note)

    def _hear(self, note: Note) -> None:
        if self._ended.is_set():
            return
        if self._on_note is None:
            self._early.append(note)
        else:
            self._on_note(note)


def _started(one: str, run: _Run) -> Note:
    return {"op": "started", "id": one, "label": run.label, "pid": 1, "startedAt": run.started_at}
