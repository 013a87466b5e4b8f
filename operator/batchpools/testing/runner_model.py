"""A model of the runner: what `operator/runner` answers and when, without processes, sockets or a clock.

Pure: it is told what happens and at which moment, and calls its `World`; `due` says when it wants to be called again. The
simulator's runner and the fake of the tests are shells around it, and one suite (`tests/agent`) runs against it and the
program, so that it cannot lie. It knows neither frames nor limits of output.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from batchpools.api import names
from batchpools.testing.runner_directories import Delivery, Directories, is_relative

PROTOCOL = 4
MAX_ID = 128  # bytes in a frame
MAX_LABEL = 260
ACKNOWLEDGED_KEPT = 600.0
_ROUNDING = 1e-6  # seconds; a timer may come by so much too early
_SIGTERM, _SIGKILL = 143, 137
_START_TASK_ID = "start-task:"
_EXPIRED = "no leader has vouched for this node in time"

Note = Mapping[str, Any]


class Moment(NamedTuple):
    """CLOCK_BOOTTIME, by which everything happens, and Unix seconds, which are only told."""

    boot: float
    wall: float


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a command does: seconds that it takes (inf = until it is ended), exit code, output at its start.

    dies_after: seconds between SIGTERM and its end, inf = it ignores it. counts: it leaves with the number of such runs that
    its directory has seen since it was new.
    """

    seconds: float
    exit_code: int = 0
    output: bytes = b""
    dies_after: float = 0.0
    counts: bool = False


Programs = Callable[[Sequence[str]], Behaviour | None]  # None: there is no such program


class World(Protocol):
    """Where the model acts. An agent is whatever said hello."""

    def tell(self, agent: Any, note: Note) -> None:
        """Say something to an agent."""
        ...

    def replaced(self, agent: Any) -> None:
        """An agent has lost its place: its connection ends."""
        ...

    def started(self, execution_id: str) -> None:
        """A process begins."""
        ...

    def ended(self, execution_id: str, cause: str) -> None:
        """It is dead; cause: `exit` when it ended by itself."""
        ...

    def acknowledged(self, execution_id: str) -> None:
        """A result is forgotten."""
        ...

    def left(self, exit_code: int) -> None:
        """The runner has ended by itself."""
        ...


@dataclass(frozen=True, slots=True)
class _Why:
    cause: str
    code: str = ""
    message: str = ""


@dataclass(slots=True)
class _Run:
    request: Note
    behaviour: Behaviour
    pid: int
    started_at: float  # wall
    ends_at: float  # boot, as far as is known now
    exit_code: int
    limit_at: float  # boot: its wall clock is over
    why: _Why | None = None
    awaits: Delivery | None = None  # files, and has no process yet

    @property
    def label(self) -> str:
        return str(self.request.get("label", ""))

    @property
    def is_start_task(self) -> bool:
        return bool(self.request.get("startTask"))

    @property
    def grace(self) -> float:
        return float(self.request.get("killGrace", 0.0))

    def end_no_later(self, when: float, exit_code: int) -> None:
        """What comes first ends it."""
        if when < self.ends_at:
            self.ends_at, self.exit_code = when, exit_code


@dataclass(slots=True)
class RunnerModel:
    """One life of a runner. Every method says when it happens; call `advance` at `due`."""

    boot_id: str
    world: World
    programs: Programs
    mode: str = "serve"
    env: Sequence[str] = ()
    stop_timeout: float = 30.0
    deadline: float = 0.0
    stopping: bool = False
    elevates: bool = False  # it is root of its container
    _agent: Any = None
    _leaves_at: float = math.inf
    _has_left: bool = False
    _runs: dict[str, _Run] = field(default_factory=dict)
    _finished: dict[str, Note] = field(default_factory=dict)
    _acked: dict[str, float] = field(default_factory=dict)
    _directories: Directories = field(default_factory=Directories)
    _pids: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    # ---------------------------------------------------------------- what is asked of it

    @property
    def due(self) -> float:
        """CLOCK_BOOTTIME at which something happens by itself; inf = never."""
        if self._has_left:
            return math.inf
        due = self.deadline if self.deadline and self.mode == "serve" else math.inf
        return min(due, self._leaves_at, *[min(run.ends_at, run.limit_at) for run in self._runs.values()])

    @property
    def live(self) -> tuple[str, ...]:
        """Execution ids of what runs."""
        return tuple(self._runs)

    def brought_to(self, one: str) -> Sequence[str]:
        """The files that are whole of those that a run awaits."""
        run = self._runs.get(one)
        return tuple(run.awaits.whole) if run is not None and run.awaits is not None else ()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing runs and every result was acknowledged."""
        return not self._runs and all(one.startswith(_START_TASK_ID) for one in self._finished)

    def hello(self, agent: Any, version: int, at: Moment) -> list[Note]:
        """An agent has come: it takes the former one's place, and is told everything that is known. The answer, in order."""
        self.advance(at)
        if version != PROTOCOL:
            return [{"op": "refused", "message": f"the runner speaks protocol {PROTOCOL}, the agent {version}"}]
        if self._agent is not None:
            self.world.replaced(self._agent)
        self._agent = agent
        hello = {
            "op": "hello", "version": PROTOCOL, "bootId": self.boot_id, "mode": self.mode, "env": list(self.env),
            "running": [_started(one, run) for one, run in self._runs.items()], "finished": list(self._finished.values()),
            "acked": list(self._acked), "deadline": self.deadline,
        }  # fmt: skip
        stopping = [{"op": "stopping"}] if self.stopping else []
        return [hello, *stopping, *self._lose_what_awaits(at)]

    def gone(self, agent: Any) -> None:
        """An agent's connection has ended; runs go on."""
        if self._agent is agent:
            self._agent = None

    def handle(self, agent: Any, message: Note, at: Moment) -> None:
        """One message of an agent."""
        self.advance(at)
        match message["op"]:
            case "run":
                self._run(agent, message, at)
            case "put" | "begin" | "fail":
                self._bring(agent, message, at)
            case "kill":
                self._kill(agent, message, at)
            case "deadline":
                if agent is self._agent and message["at"] > 0:
                    self.deadline = message["at"]
            case "ack":
                self._acknowledge(message["ids"], at)
            case "read" | "list" | "remove":
                live = [str(run.request["dir"]) for run in self._runs.values()]
                self.world.tell(agent, {**self._directories.answer(message, live), "req": message["req"]})
            case "usage":
                self.world.tell(agent, {**usage_after(at.boot), "req": message["req"]})
            case "exit":
                self._exit(agent, message)
            case "restart":
                self._restart(agent, message)
            case op:
                error = {"op": "error", "req": message.get("req", 0), "code": "Unknown", "message": f"unknown op {op}"}
                self.world.tell(agent, error)
        self.advance(at)

    def stop(self, at: Moment) -> None:
        """SIGTERM: start nothing, end everything, leave when every result is acknowledged or the time is over."""
        self.stopping = True
        self._leaves_at = at.boot + self.stop_timeout
        self._say({"op": "stopping"})
        for run in self._runs.values():
            why = _Why("stopping", "", "the node's pod was told to stop")
            self._end(run, why, min(run.grace, self.stop_timeout / 2), at)
        self.advance(at)
        self._leave_when_empty()

    def tell_memory(self, one: str, size: int, used: int, limit: int) -> None:
        """Memory is scarce: this run has the most of it, bytes; an empty id: there is enough again."""
        self._say({"op": "memory", "id": one, "bytes": size, "used": used, "limit": limit})

    def exhaust(self, one: str, cause: str, at: Moment) -> None:
        """The watch kills a run: cause outOfMemory or diskFull."""
        code = {"outOfMemory": "OutOfMemory", "diskFull": "DiskFull"}[cause]
        self._end(
            self._runs[one],
            _Why(cause, code, f"the node was nearly full, and this task had the most of it: {code}"),
            0.0,
            at,
        )
        self.advance(at)

    def advance(self, at: Moment) -> None:
        """Let everything happen that is due by now, in the order of its time."""
        while self.due <= at.boot + _ROUNDING:
            min(self._agenda(), key=lambda one: one[0])[1](at)

    # ---------------------------------------------------------------- what happens by itself

    def _agenda(self) -> Iterator[tuple[float, Callable[[Moment], None]]]:
        for one, run in self._runs.items():
            yield run.ends_at, lambda at, one=one: self._finish(one, at)  # type: ignore[misc]
            yield run.limit_at, lambda at, run=run: self._over_limit(run, at)  # type: ignore[misc]
        if self.deadline and self.mode == "serve":
            yield self.deadline, self._expire
        yield self._leaves_at, lambda _: self._leave(0)

    def _finish(self, one: str, at: Moment) -> None:
        run = self._runs.pop(one)
        why = run.why or _Why("exit")
        if run.awaits is None:
            self.world.ended(one, why.cause)
        exit_code = run.exit_code if run.awaits is None else None
        self._settle(_result(one, run.label, why, exit_code, run.started_at, at.wall))

    def _over_limit(self, run: _Run, at: Moment) -> None:
        run.limit_at = math.inf
        text = f"the task ran longer than its limit of {run.request['wallClock']:g} s"
        self._end(run, _Why("wallClock", "TaskEnded", text), run.grace, at)

    def _expire(self, at: Moment) -> None:
        self.deadline = 0.0
        for run in [one for one in self._runs.values() if not one.is_start_task]:
            self._end(run, _Why("expired", "", _EXPIRED), 0.0, at)

    def _end(self, run: _Run, why: _Why, grace: float, at: Moment) -> None:
        """SIGTERM, SIGKILL after the grace; without one SIGKILL at once. The first to ask gives the cause."""
        if run.awaits is not None:
            run.why, run.ends_at = run.why or why, at.boot
            return
        if run.why is None:
            run.why = why
            if grace > 0:
                run.end_no_later(at.boot + run.behaviour.dies_after, _SIGTERM)
        run.end_no_later(at.boot + max(grace, 0.0), _SIGKILL)

    def _leave_when_empty(self) -> None:
        if self.stopping and self.is_quiet:
            self._leave(0)

    def _leave(self, exit_code: int) -> None:
        if not self._has_left:
            self._has_left = True
            for one in (one for one, run in self._runs.items() if run.awaits is None):
                self.world.ended(one, "left")  # PID 1 takes everything along
            self._runs.clear()
            self._leaves_at = math.inf
            self.world.left(exit_code)

    # ---------------------------------------------------------------- what the agent asks

    def _run(self, agent: Any, message: Note, at: Moment) -> None:
        one, label = message["id"], message.get("label", "")
        if not one or _size(one) > MAX_ID or _size(label) > MAX_LABEL:
            text = f"an id has 1 to {MAX_ID} bytes, a label at most {MAX_LABEL}"
            self.world.tell(agent, {"op": "error", "code": "BadRequest", "message": text})
        elif agent is not self._agent:
            return
        elif one in self._runs:
            self._say(_started(one, self._runs[one]))
        elif one in self._finished:
            self._say(self._finished[one])
        elif one in self._acked:
            self._say({"op": "unknown", "id": one})  # it ran: it does not run again
        elif self.stopping:
            self._say(_result(one, label, _Why("stopping"), None, 0.0, at.wall))
        elif self.mode == "serve" and not message.get("startTask") and at.boot >= self.deadline:
            self._say(_result(one, label, _Why("expired", "", _EXPIRED), None, 0.0, at.wall))
        else:
            self._launch(one, label, message, at)

    def _launch(self, one: str, label: str, message: Note, at: Moment) -> None:
        folder = message["dir"]
        if not is_relative(folder):
            text = f"the directory must be relative and clean: {folder}"
            why = _Why("launchFailed", "ResourceDirectoryCreateFailed", text)
            self._settle(_result(one, label, why, None, at.wall, at.wall))
            return
        made = self._directories.made(folder)
        if message.get("fresh"):
            made.tries = 0
        limit = message.get("wallClock", 0.0)
        limit_at = at.boot + limit if limit > 0 else math.inf
        run = _Run(message, Behaviour(math.inf), 0, at.wall, math.inf, 0, limit_at)
        if message.get("awaits"):
            run.awaits = Delivery()
            self._runs[one] = run
            self._say(_started(one, run))
            return
        self._fork(one, run, at)

    def _fork(self, one: str, run: _Run, at: Moment) -> None:
        """Its process begins, or why it cannot."""
        failed, behaviour = self._program(run.request)
        if behaviour is None:
            self._runs.pop(one, None)
            self._settle(_result(one, run.label, failed, None, run.started_at, at.wall))
            return
        made = self._directories.made(run.request["dir"])
        made.tries += behaviour.counts
        made.output = behaviour.output
        run.awaits, run.behaviour, run.pid = None, behaviour, next(self._pids)
        run.ends_at = at.boot + behaviour.seconds
        run.exit_code = made.tries if behaviour.counts else behaviour.exit_code
        self._runs[one] = run
        self.world.started(one)
        self._say(_started(one, run))

    def _bring(self, agent: Any, message: Note, at: Moment) -> None:
        """Of files that a run awaits: only the present agent knows which."""
        run = self._runs.get(message["id"])
        if run is None or run.awaits is None or agent is not self._agent:
            if message["op"] == "put":
                refused = {"op": "error", "code": "NotAwaiting", "message": "no run awaits that file"}
                self.world.tell(agent, {**refused, "req": message["req"]})
        elif message["op"] == "put":
            self.world.tell(agent, {**run.awaits.put(message), "req": message["req"]})
        elif message["op"] == "begin":
            self._fork(message["id"], run, at)
        else:
            del self._runs[message["id"]]
            why = _Why("launchFailed", message.get("failure", ""), message.get("text", ""))
            self._settle(_result(message["id"], run.label, why, None, run.started_at, at.wall))

    def _lose_what_awaits(self, at: Moment) -> list[Note]:
        """A newer agent knows nothing of what was to be brought: what came of it, told after its hello."""
        why = _Why("bootLost", "", "the agent that was bringing its files is gone")
        lost = [(one, run) for one, run in self._runs.items() if run.awaits is not None]
        for one, run in lost:
            del self._runs[one]
            self._finished[one] = _result(one, run.label, why, None, run.started_at, at.wall)
        return [self._finished[one] for one, _ in lost]

    def _program(self, message: Note) -> tuple[_Why, Behaviour | None]:
        """What its command will do, or why it cannot begin."""
        argv = message["argv"]
        if not argv or not argv[0]:
            return _Why("launchFailed", "CommandLaunchFailed", "the command is empty"), None
        if message.get("elevated") and not self.elevates:
            text = "this node cannot elevate tasks: its pod was made before its pool allowed it"
            return _Why("launchFailed", "CommandLaunchFailed", text), None
        return _Why("launchFailed", "CommandProgramNotFound", f"program {argv[0]!r} is not there"), self.programs(argv)

    def _kill(self, agent: Any, message: Note, at: Moment) -> None:
        one = message["id"]
        if one in self._runs:
            self._end(self._runs[one], _Why("killed"), message.get("grace", 0.0), at)
        else:
            self.world.tell(agent, self._finished.get(one, {"op": "unknown", "id": one}))

    def _acknowledge(self, ids: Sequence[str], at: Moment) -> None:
        for one in ids:
            if self._finished.pop(one, None) is not None:
                self._acked[one] = at.boot
                self.world.acknowledged(one)
        for one, then in list(self._acked.items()):
            if at.boot - then <= ACKNOWLEDGED_KEPT:
                break
            del self._acked[one]
        self._leave_when_empty()

    def _exit(self, agent: Any, message: Note) -> None:
        if self.mode != "start-task" or self._runs:
            text = "this runner does not leave now"
            self.world.tell(agent, {"op": "error", "code": "Refused", "message": text})
            return
        self.world.tell(agent, {"op": "bye"})
        self._leave(message.get("code", 0))

    def _restart(self, agent: Any, message: Note) -> None:
        """All containers begin anew: once for a boot id, when no task runs and every result is told (safety rule S6.4)."""
        live = any(not run.is_start_task for run in self._runs.values())
        untold = any(not one.startswith(_START_TASK_ID) for one in self._finished)
        req = message.get("req", 0)
        if self.mode != "serve" or self.stopping or message["boot"] != self.boot_id or live or untold:
            text = "this runner does not restart now"
            self.world.tell(agent, {"op": "error", "req": req, "code": "Refused", "message": text})
            return
        if message.get("dry"):  # another container's runner is to leave
            self.world.tell(agent, {"op": "done", "req": req})
            return
        self.stopping = True
        self.world.tell(agent, {"op": "bye", "req": req})
        self._leave(names.RESTART_EXIT_CODE)

    # ---------------------------------------------------------------- inside

    def _settle(self, result: Note) -> None:
        self._finished[result["id"]] = result
        self._say(result)

    def _say(self, note: Note) -> None:
        if self._agent is not None:
            self.world.tell(self._agent, note)


def _started(one: str, run: _Run) -> Note:
    return {"op": "started", "id": one, "label": run.label, "pid": run.pid, "startedAt": run.started_at}


def _result(one: str, label: str, why: _Why, exit_code: int | None, started_at: float, ended_at: float) -> Note:
    number = exit_code - 128 if exit_code in {_SIGTERM, _SIGKILL} else None
    return {
        "op": "finished", "id": one, "label": label, "cause": why.cause, "exitCode": exit_code, "signal": number,
        "startedAt": started_at, "endedAt": ended_at, "userCpu": 0.0, "kernelCpu": 0.0, "maxRss": 0, "code": why.code,
        "message": why.message,
    }  # fmt: skip


def usage_after(seconds: float) -> dict[str, Any]:
    """A container that always uses half of its core."""
    whole = int(seconds)
    return {
        "op": "usage", "cpu": seconds / 2, "cores": 1.0, "memory": 64 << 20, "disk": 1 << 30, "readBytes": 10 * whole,
        "writeBytes": 20 * whole, "readOps": whole, "writeOps": 2 * whole, "networkIn": 30 * whole, "networkOut": 40 * whole,
    }  # fmt: skip


def _size(text: str) -> int:
    return len(msgspec.json.encode(text))
