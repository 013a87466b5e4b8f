"""The agent's end of the socket to a runner: framing, requests and answers. `operator/runner/protocol.go` is the reference."""

import asyncio
import base64
import itertools
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

PROTOCOL = 1
_LIMIT = 1 << 20
_ANSWER_TIME = 10.0


class RunnerError(Exception):
    """The runner refused a request; `code` is its word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RunnerGoneError(ConnectionError):
    """There is no connection to the runner."""


Note = Mapping[str, Any]


class RunnerClient:
    """One connection. `on_note` gets everything that is no answer to a request, in order; `closed` ends with the connection."""

    def __init__(self, hello: Note, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hello = hello
        self._reader = reader
        self._writer = writer
        self._requests: dict[int, asyncio.Future[Note]] = {}
        self._numbers = itertools.count(1)
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, address: str) -> "RunnerClient":
        """Connect and say hello; OSError while no runner listens, RunnerError when it speaks another protocol."""
        reader, writer = await asyncio.open_unix_connection(sock=await _socket(address), limit=_LIMIT)
        writer.write(_frame({"op": "hello", "version": PROTOCOL}))
        hello = await _read(reader)
        if hello.get("op") != "hello":
            writer.close()
            raise RunnerError("Refused", str(hello.get("message", "the runner refused")))
        return cls(hello, reader, writer)

    def listen(self, on_note: Callable[[Note], None]) -> asyncio.Task[None]:
        """Start reading; the task ends when the connection does."""
        self._reading = asyncio.create_task(self._read_all(on_note), name="runner")
        return self._reading

    def tell(self, op: str, **fields: Any) -> None:
        """Send a message that is answered by notes, if at all."""
        if self._writer.is_closing():
            raise RunnerGoneError("the runner is gone")
        self._writer.write(_frame({"op": op, **fields}))

    async def ask(self, op: str, **fields: Any) -> Note:
        """Send a request and wait for its answer; RunnerError, RunnerGoneError, TimeoutError after 10 s."""
        number = next(self._numbers)
        answer: asyncio.Future[Note] = asyncio.get_running_loop().create_future()
        self._requests[number] = answer
        try:
            self.tell(op, req=number, **fields)
            note = await asyncio.wait_for(answer, _ANSWER_TIME)
        finally:
            del self._requests[number]
        if note["op"] == "error":
            raise RunnerError(note.get("code", ""), note.get("message", ""))
        return note

    async def read(self, path: str, offset: int, limit: int) -> tuple[bytes, int, int]:
        """(bytes, their offset, the file's size)."""
        note = await self.ask("read", path=path, offset=offset, limit=limit)
        return base64.b64decode(note["data"]), note["offset"], note["size"]

    async def close(self) -> None:
        """Close the connection and wait for the reader's end."""
        self._writer.close()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read_all(self, on_note: Callable[[Note], None]) -> None:
        try:
            while True:
                note = await _read(self._reader)
                request = self._requests.get(note.get("req", 0))
                if request is not None and not request.done():
                    request.set_result(note)
                else:
                    on_note(note)
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self._writer.close()
            for waiting in self._requests.values():
                if not waiting.done():
                    waiting.set_exception(RunnerGoneError("the runner is gone"))


async def _socket(address: str) -> socket.socket:
    """A connected socket; "@name" is an abstract one."""
    name = "\0" + address[1:] if address.startswith("@") else address
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, name)
    except BaseException:
        made.close()
        raise
    return made


def _frame(message: Mapping[str, Any]) -> bytes:
    body = msgspec.json.encode(message)
    return struct.pack(">I", len(body)) + body


async def _read(reader: asyncio.StreamReader) -> Note:
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    note: Note = msgspec.json.decode(await reader.readexactly(size))
    return note
