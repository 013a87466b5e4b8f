"""Two runners for tests: the real program, and a fake that only pretends to run. One contract suite holds the fake to the real."""

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import signal
import struct
import tempfile
from pathlib import Path
from typing import Any, Protocol

import msgspec

from batchpools.agent.runner_client import PROTOCOL, RunnerClient
from batchpools.telemetry.clock import SystemClock

Note = dict[str, Any]

WAIT = ["sh", "-c", "while :; do sleep 0.05; done"]  # goes on until it is killed


def leave_with(code: int) -> list[str]:
    """A command that ends with an exit code."""
    return ["sh", "-c", f"exit {code}"]


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

    async def left(self) -> bool:
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

    async def start(self, mode: str = "serve") -> None:
        _free(self.socket)
        self.process = await asyncio.create_subprocess_exec(
            self._binary, "serve", "--mode", mode, "--socket", self.socket, "--root", self.root, "--stop-timeout", "5s"
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

    async def left(self) -> bool:
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
    """Speaks the protocol and pretends: `sh -c "exit N"` ends at once, WAIT goes on, any other program is not there."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bp-"))
        self.socket = str(self.folder / "s")
        self.asked: list[Note] = []
        self._boots = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._agent: asyncio.StreamWriter | None = None
        self._ended = asyncio.Event()
        self._forget()

    def _forget(self) -> None:
        self._running: dict[str, Note] = {}
        self._finished: dict[str, Note] = {}
        self._acked: list[str] = []
        self._stopping = False
        self._deadline = 0.0

    async def start(self, mode: str = "serve") -> None:
        self._mode = mode
        self._forget()
        self._boot = f"boot-{next(self._boots)}"
        self._ended.clear()
        _free(self.socket)
        self._server = await asyncio.start_unix_server(self._serve, self.socket)

    async def stop(self) -> None:
        self._stopping = True
        self._tell({"op": "stopping"})
        for one in list(self._running):
            self._end(one, "stopping", 143)
        self._leave_when_empty()

    async def kill(self) -> None:
        self._forget()
        self._leave()

    async def left(self) -> bool:
        return await self._ended.wait()

    async def clean(self) -> None:
        """Leave nothing behind."""
        self._leave()
        if self._server is not None:
            await self._server.wait_closed()
        shutil.rmtree(self.folder)

    def _leave(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._agent is not None:
            self._agent.close()
            self._agent = None
        self._ended.set()

    def _leave_when_empty(self) -> None:
        if self._stopping and not self._running and not self._finished:
            self._leave()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello = await _read(reader)
            if hello["version"] != PROTOCOL:
                text = f"the runner speaks protocol {PROTOCOL}, the agent {hello['version']}"
                writer.write(_frame({"op": "refused", "message": text}))
                return
            if self._agent is not None:
                self._agent.close()
            self._agent = writer
            self._tell(self._hello())
            while True:
                message = await _read(reader)
                self.asked.append(message)
                if self._agent is writer:
                    self._handle(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _hello(self) -> Note:
        return {
            "op": "hello", "version": PROTOCOL, "bootId": self._boot, "mode": self._mode, "env": ["PATH=/bin"],
            "running": list(self._running.values()), "finished": list(self._finished.values()), "acked": self._acked,
            "deadline": self._deadline,
        }  # fmt: skip

    def _handle(self, message: Note) -> None:
        match message["op"]:
            case "run":
                self._run(message)
            case "deadline":
                self._deadline = message["at"]
                left = max(self._deadline - SystemClock().boottime(), 0.0)
                asyncio.get_running_loop().call_later(left, self._expire, self._deadline)
            case "kill" if message["id"] in self._running:
                self._end(message["id"], "killed", 143)
            case "kill":
                self._tell(self._finished.get(message["id"], {"op": "unknown", "id": message["id"]}))
            case "ack":
                for one in message["ids"]:
                    if self._finished.pop(one, None) is not None:
                        self._acked.append(one)
                self._leave_when_empty()
            case "read":
                self._read_file(message)
            case "exit" if self._mode == "start-task" and not self._running:
                self._tell({"op": "bye"})
                self._leave()
            case _:
                self._tell({"op": "error", "req": message.get("req", 0), "code": "Refused", "message": "not now"})

    def _run(self, message: Note) -> None:
        one, label = message["id"], message.get("label", "")
        if known := self._running.get(one) or self._finished.get(one):
            self._tell(known)
        elif self._stopping:
            self._tell(_finished(one, label, "stopping", None))
        elif self._mode == "serve" and SystemClock().boottime() >= self._deadline:
            self._tell(_finished(one, label, "expired", None))
        elif message["argv"][0] != "sh":
            code, text = "CommandProgramNotFound", f"program {message['argv'][0]!r} is not there"
            self._finished[one] = {**_finished(one, label, "launchFailed", None), "code": code, "message": text}
            self._tell(self._finished[one])
        else:
            self._running[one] = {"op": "started", "id": one, "label": label, "pid": 1, "startedAt": 1.0}
            self._tell(self._running[one])
            if message["argv"] != WAIT:
                self._end(one, "exit", int(message["argv"][2].split()[1]))

    def _expire(self, deadline: float) -> None:
        if deadline != self._deadline:
            return  # it was moved
        self._deadline = 0.0
        for one in list(self._running):
            self._end(one, "expired", 137)

    def _end(self, one: str, cause: str, code: int) -> None:
        self._finished[one] = _finished(one, self._running.pop(one)["label"], cause, code)
        self._tell(self._finished[one])

    def _read_file(self, message: Note) -> None:
        if message["path"].endswith("stdout.txt"):
            body = base64.b64encode(b"").decode()
            self._tell({"op": "data", "req": message["req"], "data": body, "offset": 0, "size": 0})
        else:
            self._tell({"op": "error", "req": message["req"], "code": "NotFound", "message": "no such file"})

    def _tell(self, note: Note) -> None:
        if self._agent is not None:
            self._agent.write(_frame(note))


def _finished(one: str, label: str, cause: str, code: int | None) -> Note:
    return {
        "op": "finished", "id": one, "label": label, "cause": cause, "exitCode": code, "signal": None, "startedAt": 1.0,
        "endedAt": 2.0, "userCpu": 0.0, "kernelCpu": 0.0, "maxRss": 0, "code": "", "message": "",
    }  # fmt: skip


def _frame(note: Note) -> bytes:
    body = msgspec.json.encode(note)
    return struct.pack(">I", len(body)) + body


async def _read(reader: asyncio.StreamReader) -> Note:
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    return msgspec.json.decode(await reader.readexactly(size), type=Note)
