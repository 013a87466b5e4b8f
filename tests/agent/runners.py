"""Two runners for tests: the real program, and the model behind a socket. One contract suite holds the model to the real."""

import asyncio
import contextlib
import itertools
import math
import os
import shutil
import signal
import struct
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from batchpools.agent.runner_client import RunnerClient
from batchpools.telemetry.clock import SystemClock
from batchpools.testing.runner_model import Behaviour, Moment, RunnerModel

Note = dict[str, Any]

WAIT = ["sh", "-c", "while :; do sleep 0.05; done"]  # goes on until it is killed


STUBBORN = [
    "sh",
    "-c",
    "trap '' TERM; echo ready; while :; do sleep 0.05; done",
]  # goes on until it is killed with SIGKILL
COUNT = ["sh", "-c", "echo x >> tries; exit $(wc -l < tries)"]  # leaves with how often its directory was used


def leave_with(code: int) -> list[str]:
    """A command that ends with an exit code."""
    return ["sh", "-c", f"exit {code}"]


def behaviour_of(argv: Sequence[str]) -> Behaviour | None:
    """What these commands do; there is no other program."""
    if list(argv) == WAIT:
        return Behaviour(math.inf)
    if list(argv) == STUBBORN:
        return Behaviour(math.inf, output=b"ready\n", dies_after=math.inf)
    if list(argv) == COUNT:
        return Behaviour(0.0, counts=True)
    return Behaviour(0.0, int(argv[2].split()[1])) if argv[0] == "sh" else None


class Runner(Protocol):
    """What a test does with a runner."""

    socket: str

    async def start(self, mode: str = "serve") -> None:
        """Begin to listen, with a new boot id."""
        ...

    async def stop(self) -> None:
        """As SIGTERM does."""
        ...

    async def kill(self) -> None:
        """As SIGKILL does: nothing is left."""
        ...

    async def has_left(self) -> bool:
        """Wait for its end."""
        ...


async def connect(runner: Runner, vouch: float | None = 3600.0) -> RunnerClient:
    """A client, as soon as the runner listens; it vouches for the node for so many seconds, None = it does not."""
    while True:
        try:
            client = await RunnerClient.connect(runner.socket)
            break
        except (ConnectionError, FileNotFoundError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.01)
    if vouch is not None:
        client.tell("deadline", at=SystemClock().boottime() + vouch)
    return client


class RealRunner:
    """The Go program in a short directory: a socket's path has at most 107 bytes."""

    def __init__(self, binary: Path) -> None:
        self._binary = binary
        self.folder = Path(tempfile.mkdtemp(prefix="bp-"))
        self.root = self.folder / "root"
        self.root.mkdir()
        self.socket = str(self.folder / "s")
        self.process: asyncio.subprocess.Process | None = None
        self.cgroup: Path | None = None  # where it is to live
        self.disk_limit = 0  # of its directory, 0 = none
        self.log = self.folder / "log"  # the container's

    async def start(self, mode: str = "serve") -> None:
        _free(self.socket)
        enter = f"echo $$ > {self.cgroup}/cgroup.procs && " if self.cgroup else ""
        options = (
            f"--mode {mode} --socket {self.socket} --root {self.root} --stop-timeout 5s --disk-limit {self.disk_limit}"
        )
        self.process = await asyncio.create_subprocess_exec(
            "sh", "-c", f'{enter}exec "$0" serve "$@" >> {self.log}', self._binary, *options.split()
        )

    async def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()

    async def kill(self) -> None:
        """The tasks go with it, as they do with the PID 1 of a container."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        while found := _living_below(self.root):
            for one in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            await asyncio.sleep(0.01)

    async def has_left(self) -> bool:
        return self.process is not None and await self.process.wait() == 0

    async def clean(self) -> None:
        """Leave nothing behind."""
        await self.kill()
        shutil.rmtree(self.folder)


def _free(socket: str) -> None:
    Path(socket).unlink(missing_ok=True)


def _living_below(folder: Path) -> list[int]:
    """Processes whose working directory is in the folder, also when it has been removed: what tasks left."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            there = os.readlink(one / "cwd")
        except OSError:  # it has ended, or was another user's
            continue
        if there.startswith(f"{folder}/"):
            found.append(int(one.name))
    return found


class FakeRunner:
    """The model of the runner (`testing.runner_model`) behind a socket, in real time; it knows the programs above."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bp-"))
        self.socket = str(self.folder / "s")
        self._boots = itertools.count(1)
        self._model = RunnerModel("", self, behaviour_of)
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._ended = asyncio.Event()

    async def start(self, mode: str = "serve") -> None:
        env = [f"PATH={os.defpath}"]
        self._model = RunnerModel(f"boot-{next(self._boots)}", self, behaviour_of, mode, env, stop_timeout=5.0)
        self._ended.clear()
        _free(self.socket)
        self._server = await asyncio.start_unix_server(self._serve, self.socket)

    async def stop(self) -> None:
        self._model.stop(_now())
        self._set_timer()

    async def kill(self) -> None:
        self._close()

    async def has_left(self) -> bool:
        return await self._ended.wait()

    async def clean(self) -> None:
        """Leave nothing behind."""
        self._close()
        if self._server is not None:
            await self._server.wait_closed()
        shutil.rmtree(self.folder)

    # ---------------------------------------------------------------- the model's world

    def tell(self, agent: asyncio.StreamWriter, note: Mapping[str, Any]) -> None:
        agent.write(_frame(note))

    def replaced(self, agent: asyncio.StreamWriter) -> None:
        agent.close()

    def started(self, execution_id: str) -> None:
        """Nothing runs here."""

    def ended(self, execution_id: str, cause: str) -> None:
        """Nothing ran here."""

    def acknowledged(self, execution_id: str) -> None:
        """The agent has said so itself."""

    def left(self, exit_code: int) -> None:
        self._close()
        self._ended.set()

    # ---------------------------------------------------------------- inside

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        model = self._model
        self._open.add(writer)
        try:
            hello = await _read(reader)
            for note in model.hello(writer, hello["version"], _now()):
                writer.write(_frame(note))
            while model is self._model and not writer.is_closing():
                model.handle(writer, await _read(reader), _now())
                self._set_timer()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            model.gone(writer)
            self._open.discard(writer)
            writer.close()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._model.due
        if due < math.inf:
            self._timer = asyncio.get_running_loop().call_later(max(due - _now().boot, 0.0), self._be_on_time)

    def _be_on_time(self) -> None:
        self._model.advance(_now())
        self._set_timer()

    def _close(self) -> None:
        """The process is gone, and all that it had open."""
        self._model = RunnerModel("", self, behaviour_of)
        self._set_timer()
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.close()


def _now() -> Moment:
    clock = SystemClock()
    return Moment(clock.boottime(), clock.now().timestamp())


def _frame(note: Mapping[str, Any]) -> bytes:
    body = msgspec.json.encode(note)
    return struct.pack(">I", len(body)) + body


async def _read(reader: asyncio.StreamReader) -> Note:
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    return msgspec.json.decode(await reader.readexactly(size), type=Note)
