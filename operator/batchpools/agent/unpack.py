"""Unpacks an archive into a directory that nobody else writes: nothing leaves it, whatever the archive says. Shell of files.

Whatever stands in a name, a file or directory is made below the directory, through real directories alone: links are made when
everything else is there, and lead nowhere else. No owners, no special rights, no devices. It blocks: for a thread.
"""

import os
import posixpath
import shutil
from collections.abc import Callable
from pathlib import Path

from batchpools.agent.archive import ArchiveError, Content, Directory, Entry, File, Link, entries, explained

MAX_ENTRIES = 1_000_000
MAX_BYTES = 64 << 30
_MOST_OF_TARGET = 1024
_PIECE = 256 << 10


class StoppedError(Exception):
    """Nobody wants it any more."""


def unpack(archive: Path, kind: str, folder: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Make `folder`, which is not there, from the archive. ArchiveError, OSError, StoppedError: then it is there in part."""
    tree = _Tree(folder, stopped)
    with explained(kind):
        for entry in entries(archive, kind):
            tree.add(entry)
    tree.finish()


class _Tree:
    def __init__(self, folder: Path, stopped: Callable[[], bool]) -> None:
        self._folder = folder
        self._stopped = stopped
        self._entries = 0
        self._bytes = 0
        self._links: list[tuple[Path, Link]] = []
        folder.mkdir(parents=True)
        folder.chmod(0o755)

    def add(self, entry: Entry) -> None:
        """One more."""
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise ArchiveError(f"it has more than {MAX_ENTRIES} entries")
        if self._stopped():
            raise StoppedError
        match entry:
            case Directory():
                self._made(_parts(entry.name))
            case File():
                self._file(entry)
            case Link():
                self._link(entry)

    def _file(self, entry: File) -> None:
        place = self._place(entry.name)
        place.unlink(missing_ok=True)  # an archive may hold a name twice: the last one counts
        number = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(number, "wb") as file:
            while piece := self._read(entry.content):
                file.write(piece)
            os.fchmod(number, 0o755 if entry.executable else 0o644)

    def _link(self, entry: Link) -> None:
        place = self._place(entry.name)
        if entry.hard:
            place.unlink(missing_ok=True)
            os.link(self._folder.joinpath(*_parts(entry.target)), place, follow_symlinks=False)
            return
        standing = posixpath.dirname("/".join(_parts(entry.name)))
        end = posixpath.normpath(posixpath.join(standing, entry.target))
        is_out = entry.target.startswith("/") or end == ".." or end.startswith("../")
        if not entry.target or "\0" in entry.target or len(entry.target) > _MOST_OF_TARGET or is_out:
            raise ArchiveError(f"the link {entry.name!r} leads out of it")
        self._links.append((place, entry))

    def finish(self) -> None:
        """Make the links; none of them may lead out by way of another."""
        for place, entry in self._links:
            place.symlink_to(entry.target)
        within = self._folder.resolve()
        for place, entry in self._links:
            try:
                end = place.resolve()
            except RuntimeError:
                raise ArchiveError(f"the link {entry.name!r} leads in a circle") from None
            if not end.is_relative_to(within):
                raise ArchiveError(f"the link {entry.name!r} leads out of it")

    def _place(self, name: str) -> Path:
        """Where that goes, its directory made."""
        parts = _parts(name)
        if not parts:
            raise ArchiveError(f"{name!r} is no name of a file")
        return self._made(parts[:-1]) / parts[-1]

    def _made(self, parts: list[str]) -> Path:
        here = self._folder
        for part in parts:
            here = here / part
            try:
                here.mkdir()
            except FileExistsError:
                if not here.is_dir():
                    raise ArchiveError(f"{'/'.join(parts)!r} is a file and a directory") from None
            else:
                here.chmod(0o755)
        return here

    def _read(self, content: Content) -> bytes:
        piece = content.read(_PIECE)
        self._bytes += len(piece)
        if self._bytes > MAX_BYTES:
            raise ArchiveError(f"it holds more than {MAX_BYTES >> 30} GiB")
        if self._stopped():
            raise StoppedError
        return piece


def _parts(name: str) -> list[str]:
    """The parts of a relative path. ArchiveError when it is none, or leads upwards."""
    parts = [one for one in name.split("/") if one not in {"", "."}]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise ArchiveError(f"the entry {name!r} leads out of it")
    return parts


def removed(folder: Path) -> None:
    """Whatever is there goes, so that it can be made anew. OSError when it does not."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
