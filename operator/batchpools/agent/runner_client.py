"""The agent's end of the socket to a runner: framing, requests and answers. `operator/runner/protocol.go` is the reference."""

import asyncio
import base64
import itertools
import logging
import socket
import struct
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

_log = logging.getLogger(__name__)

PROTOCOL = 4
_LIMIT = 1 << 20
_ANSWER_TIME = 10.0
MAX_FRAME = 1 << 20


class RunnerError(Exception):
    """The runner refused a request; `code` is its word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BadNoteError(Exception):
    """What came is no message of a runner."""


class RunnerGoneError(ConnectionError):
    """There is no connection to the runner."""


Note = Mapping[str, Any]


class Requests:
    """Those of one connection that wait for their answers, by number."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[Note]] = {}
        self._numbers = itertools.count(1)

    def ask(self, tell: Callable[..., None], op: str, fields: Note) -> Coroutine[Any, Any, Note]:
        """Tell it at once; what it returns waits for the answer, which may come while it is told. See RunnerClient.ask."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            tell(op, req=number, **fields)
        except (RunnerError, RunnerGoneError):
            del self._waiting[number]
            raise
        return self._answered(number, answer)

    async def _answered(self, number: int, answer: asyncio.Future[Note]) -> Note:
        try:
            note = await asyncio.wait_for(answer, _ANSWER_TIME)
        finally:
            del self._waiting[number]
        if note["op"] == "error":
            raise RunnerError(note.get("code", ""), note.get("message", ""))
        return note

    def answer(self, note: Note) -> bool:
        """Give it to the request that it answers; False when it answers none."""
        asked = self._waiting.get(note.get("req", 0))
        if asked is None or asked.done():
            return False
        asked.set_result(note)
        return True

    def end(self) -> None:
        """No answer comes any more."""
        for one in self._waiting.values():
            if not one.done():
                one.set_exception(RunnerGoneError("the runner is gone"))


class RunnerClient:
    """One connection. `on_note` gets everything that is no answer to a request, in order; `closed` ends with the connection."""

    def __init__(self, hello: Note, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hello = hello
        self._reader = reader
        self._writer = writer
        self._requests = Requests()
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, address: str) -> "RunnerClient":
        """Connect and say hello; OSError while no runner listens or answers, RunnerError when it speaks another protocol."""
        reader, writer = await asyncio.open_unix_connection(sock=await _socket(address), limit=_LIMIT)
        try:
            writer.write(_frame({"op": "hello", "version": PROTOCOL}))
            async with asyncio.timeout(_ANSWER_TIME):
                return cls(await _read_hello(reader), reader, writer)
        except BaseException:
            writer.close()
            raise

    def listen(self, on_note: Callable[[Note], None]) -> asyncio.Task[None]:
        """Start reading; the task ends when the connection does."""
        self._reading = asyncio.create_task(self._read_all(on_note), name="runner")
        return self._reading

    def tell(self, op: str, **fields: Any) -> None:
        """Send a message that is answered by notes, if at all; RunnerGoneError, RunnerError TooLarge."""
        if self._writer.is_closing():
            raise RunnerGoneError("the runner is gone")
        frame = _frame({"op": op, **fields})
        if len(frame) > MAX_FRAME:
            raise RunnerError("TooLarge", f"command and environment have {len(frame)} bytes, more than {MAX_FRAME}")
        self._writer.write(frame)

    def ask(self, op: str, **fields: Any) -> Coroutine[Any, Any, Note]:
        """Send a request at once, so before whatever is told next; what it returns waits for the answer.

        RunnerGoneError; the answer: RunnerError, RunnerGoneError, TimeoutError after 10 s.
        """
        return self._requests.ask(self.tell, op, fields)

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
                if not self._requests.answer(note):
                    on_note(note)
        except (asyncio.IncompleteReadError, OSError, BadNoteError) as error:
            _log.info("the runner's connection has ended: %r", error)
        finally:
            self._writer.close()
            self._requests.end()


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


async def _read_hello(reader: asyncio.StreamReader) -> Note:
    """The hello, with what a runner of long memory says in parts before it."""
    finished: list[Note] = []
    acked: list[str] = []
    while True:
        note = await _read(reader)
        if note.get("op") not in {"known", "hello"}:
            raise RunnerError("Refused", str(note.get("message", "the runner refused")))
        finished += note["finished"]
        acked += note["acked"]
        if note["op"] == "hello":
            return {**note, "finished": finished, "acked": acked}


async def _read(reader: asyncio.StreamReader) -> Note:
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    if size > MAX_FRAME:
        raise BadNoteError(f"a message of {size} bytes")
    try:
        return msgspec.json.decode(await reader.readexactly(size), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadNoteError(str(error)) from None
