"""Reads an archive (zip, or tar with gzip) as entries, one after the other, in bounded memory. It writes nothing.

An archive is a stranger's: whatever it holds or declares, reading it takes no more memory than the bounds here allow.
"""

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from batchpools.api.states import PackageFormat

_MOST_AT_ONCE = 1 << 20  # bytes of a header
_MOST_ENTRIES_OF_ZIP = 65_534  # more need zip64, and memory: its directory is read whole
_MOST_DIRECTORY = 16 << 20
_END_OF_ZIP = b"PK\x05\x06"
_END_SIZE = 22
_UNIX = 3
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    gzip.BadGzipFile,
    NotImplementedError,
    RuntimeError,
)


class ArchiveError(Exception):
    """The archive cannot be used; the text says why."""


class Content(Protocol):
    """What can be read."""

    def read(self, size: int, /) -> bytes:
        """Some bytes; none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory."""

    name: str


@dataclass(frozen=True, slots=True)
class File:
    """A regular file; content is to be read before the next entry."""

    name: str
    executable: bool
    content: Content


@dataclass(frozen=True, slots=True)
class Link:
    """A link. hard: another name of an earlier file of the archive, else a path from where the link stands."""

    name: str
    target: str
    hard: bool


Entry = Directory | File | Link


def entries(path: Path, kind: str) -> Iterator[Entry]:
    """The entries of the archive of that format, within `explained`. ArchiveError when it holds what no package may."""
    read = _of_tar if kind == PackageFormat.TAR_GZ else _of_zip
    with path.open("rb") as file:
        yield from read(file)


@contextmanager
def explained(kind: str) -> Iterator[None]:
    """What libraries say of a broken archive, also while contents are read, is an ArchiveError."""
    try:
        yield
    except _BROKEN as error:
        raise ArchiveError(f"it cannot be read as {kind}: {str(error) or type(error).__name__}") from None


def _of_zip(file: IO[bytes]) -> Iterator[Entry]:
    _check_directory(file)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
            if info.is_dir():
                yield Directory(info.filename)
            elif stat.S_ISLNK(mode):
                yield Link(info.filename, archive.read(info).decode() if info.file_size < 4096 else "", hard=False)
            elif stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
                raise ArchiveError(f"{info.filename!r} is neither a file nor a directory nor a link")
            else:
                with archive.open(info) as content:  # made where there are no such rights: anything may be a program
                    yield File(info.filename, not stat.S_IMODE(mode) or bool(mode & 0o111), content)


def _check_directory(file: IO[bytes]) -> None:
    """Before it is read whole: how large it says that it is."""
    size = file.seek(0, 2)
    file.seek(max(size - _END_SIZE - 0xFFFF, 0))
    tail = file.read()
    at = tail.rfind(_END_OF_ZIP)
    if at < 0 or len(tail) < at + _END_SIZE:
        raise zipfile.BadZipFile("it has no directory")
    count = int.from_bytes(tail[at + 10 : at + 12], "little")
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    if count > _MOST_ENTRIES_OF_ZIP or length > _MOST_DIRECTORY:
        raise ArchiveError(f"it has more than {_MOST_ENTRIES_OF_ZIP} entries; TarGz takes more")
    file.seek(0)


def _of_tar(file: IO[bytes]) -> Iterator[Entry]:
    with gzip.GzipFile(fileobj=file) as stream:
        archive = tarfile.TarFile(fileobj=cast("IO[bytes]", _Forward(stream)))
        while (one := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # else it remembers them all
            if one.isdir():
                yield Directory(one.name)
            elif one.issym() or one.islnk():
                yield Link(one.name, one.linkname, hard=one.islnk())
            elif one.isreg() and not one.issparse() and (content := archive.extractfile(one)) is not None:
                yield File(one.name, bool(one.mode & 0o111), content)
            else:
                raise ArchiveError(f"{one.name!r} is neither a file nor a directory nor a link")


class _Forward:
    """A stream as tarfile reads it: forwards, but for one byte, and never much at once for what a header declares."""

    def __init__(self, stream: Content) -> None:
        self._stream = stream
        self._at = 0
        self._last = b""
        self._again = False

    def tell(self) -> int:
        """Where it is."""
        return self._at - self._again

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Forwards, or one byte back."""
        if whence != 0 or offset < self._at - 1:
            raise tarfile.ReadError("its headers lead backwards")
        self._again = offset == self._at - 1
        while self._at < offset:
            if not self._take(min(offset - self._at, _MOST_AT_ONCE)):
                break
        return offset

    def read(self, size: int = -1, /) -> bytes:
        """That many bytes, fewer at the end."""
        if not 0 <= size <= _MOST_AT_ONCE:
            raise tarfile.ReadError(f"one of its headers is larger than {_MOST_AT_ONCE} bytes")
        held = b""
        if self._again and size:
            held, self._again = self._last, False
        return held + self._take(size - len(held))

    def _take(self, size: int) -> bytes:
        found = self._stream.read(size) if size else b""
        self._at += len(found)
        self._last = found[-1:] or self._last
        return found
