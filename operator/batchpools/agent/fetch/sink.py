"""Where what is fetched goes. A sink shows its file under its name only when it is whole.

What tasks can reach is written by the runner alone (safety rule S8.2): its sink is `agent.fetch.into_task`. `FileSink` is for
the agent's own volume, which no task sees.
"""

import asyncio
import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from batchpools.api.reasons import FailureCode

_FULL = {errno.ENOSPC, errno.EDQUOT}


class SinkError(Exception):
    """What came cannot be kept; the fetch ends with this code and sentence."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Sink(Protocol):
    """One file to be. SinkError from any of them."""

    async def begin(self) -> None:
        """Nothing has come yet; what an earlier try wrote is dropped."""
        ...

    async def write(self, piece: bytes) -> None:
        """The next bytes."""
        ...

    async def finish(self) -> None:
        """It is whole: show it under its name."""
        ...

    async def abandon(self) -> None:
        """It will not be: leave nothing behind. Never raises."""
        ...


class FileSink:
    """A file in a directory that is the agent's own; what has the name goes. mode: its permissions."""

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        self._part = path.with_name(f".{path.name}.part")
        self._file: int | None = None

    async def begin(self) -> None:
        """Open a file beside it."""
        await self.abandon()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.open(self._part, flags, self._mode)
            os.fchmod(self._file, self._mode)  # os.open heeds the umask
        except OSError as error:
            raise _sink_error(FailureCode.RESOURCE_FILE_CREATE_FAILED, error) from None

    async def write(self, piece: bytes) -> None:
        """In a thread: a slow disk must not keep the agent from its messages."""
        try:
            await asyncio.to_thread(self._write, piece)
        except OSError as error:
            raise _sink_error(FailureCode.RESOURCE_FILE_WRITE_FAILED, error) from None

    async def finish(self) -> None:
        """Give it its name."""
        try:
            self._close()
            self._part.replace(self._path)
        except OSError as error:
            raise _sink_error(FailureCode.RESOURCE_FILE_WRITE_FAILED, error) from None

    async def abandon(self) -> None:
        """Remove what has come."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            self._part.unlink()

    def _write(self, piece: bytes) -> None:
        assert self._file is not None  # noqa: S101 (begin comes first)
        view = memoryview(piece)
        while view:
            view = view[os.write(self._file, view) :]

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


class MemorySink:
    """A short text, for a listing."""

    def __init__(self) -> None:
        self.content = b""

    async def begin(self) -> None:
        """Nothing yet."""
        self.content = b""

    async def write(self, piece: bytes) -> None:
        """More."""
        self.content += piece

    async def finish(self) -> None:
        """That is all."""

    async def abandon(self) -> None:
        """None of it."""
        self.content = b""


def _sink_error(code: FailureCode, error: OSError) -> SinkError:
    return SinkError(FailureCode.DISK_FULL if error.errno in _FULL else code, error.strerror or str(error))
