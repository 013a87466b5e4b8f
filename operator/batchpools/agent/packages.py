"""Puts a node's application packages in place before anything runs there: fetched, compared, unpacked, whole or not at all.

They lie in a volume that the agent alone writes; tasks see it read-only as `applications/`. One that is there is not fetched again:
a file beside it says what it was made from. What cannot be put in place is a sentence, and tried again.

Source: Azure Batch, application packages of pools: in place when a node joins, reboots or is reimaged; a failure makes it unusable.
"""

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from batchpools.agent.archive import ArchiveError
from batchpools.agent.fetch.result import Fetched, FetchFailure
from batchpools.agent.fetch.sink import FileSink
from batchpools.agent.fetch.source import Source
from batchpools.agent.places import Places
from batchpools.agent.unpack import StoppedError, removed, unpack
from batchpools.core.node_config import PackageConfig
from batchpools.core.packages.places import subject

_MAX_ARCHIVE = 64 << 30  # bytes
_LONGEST = 3600.0  # seconds that one fetch may take, with all its tries
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0  # seconds between two tries, at most

Fetch = Callable[[Source, FileSink], Awaitable[Fetched | FetchFailure]]
Install = Callable[[Places, PackageConfig], Awaitable[str]]


async def in_place(
    places: Places, packages: Sequence[PackageConfig], tell: Callable[[str], None], install: Install
) -> None:
    """Return when all are there; until then say why not, and try again after pauses that grow."""
    pause = FIRST_PAUSE
    while True:
        sentences = [sentence for one in packages if (sentence := await install(places, one))]
        if not sentences:
            return
        tell(" ".join(sentences))
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def install_package(places: Places, package: PackageConfig, fetch: Fetch | None = None) -> str:
    """Put one in place, if it is not. Why it cannot be, as a sentence; empty when it is there."""
    folder = places.packages_dir / package.name / package.version
    if _is_there(folder, package):
        return ""
    archive = places.journal_file.with_name("package.archive")
    try:
        source, why = await _archive(places, package, archive, fetch or _fetch)
        if source is None:
            return f"{subject(package.name, package.version)}: {why}."
        stop = threading.Event()
        try:
            await asyncio.to_thread(_put, source, folder, package, stop)
        finally:
            stop.set()  # a thread cannot be cancelled
    except (ArchiveError, StoppedError) as error:
        return f"{subject(package.name, package.version)}: the archive is refused: {error}."
    except OSError as error:
        return f"{subject(package.name, package.version)}: it cannot be unpacked: {error.strerror or error}."
    finally:
        archive.unlink(missing_ok=True)
    return ""


async def _archive(places: Places, package: PackageConfig, archive: Path, fetch: Fetch) -> tuple[Path | None, str]:
    """(Where the archive is, why it is not)."""
    if package.config_map:
        return await asyncio.to_thread(_in_config_map, places.package_sources_dir / package.config_map, package)
    got = await fetch(Source(package.url, sha256=package.sha256), FileSink(archive))
    return (None, got.message) if isinstance(got, FetchFailure) else (archive, "")


async def _fetch(source: Source, sink: FileSink) -> Fetched | FetchFailure:
    from batchpools.agent.fetch import web  # noqa: PLC0415 (a node that fetches nothing has no need of it)

    return await web.fetch(source, sink, web.Limits(total=_LONGEST, max_bytes=_MAX_ARCHIVE))


def _in_config_map(folder: Path, package: PackageConfig) -> tuple[Path | None, str]:
    """The one file that the kubelet mounted there."""
    try:
        files = [one for one in folder.iterdir() if not one.name.startswith("..")]
        if not files:
            return None, f"ConfigMap {folder.name} does not exist or is empty"
        if len(files) > 1:
            return None, f"ConfigMap {folder.name} holds {len(files)} keys: it must be the archive alone"
        found = hashlib.sha256(files[0].read_bytes()).hexdigest()
    except OSError:
        return None, f"ConfigMap {folder.name} does not exist or is empty"
    if package.sha256 and found != package.sha256:
        return None, f"ConfigMap {folder.name} has the SHA-256 {found}, not {package.sha256}"
    return files[0], ""


def _put(archive: Path, folder: Path, package: PackageConfig, stop: threading.Event) -> None:
    """Unpack beside, then give it its name; what it was made from is noted last."""
    part = folder.with_name(f".{folder.name}.part")
    removed(part)
    try:
        unpack(archive, package.format, part, stop.is_set)
        folder.parent.chmod(0o755)
        _note(folder).unlink(missing_ok=True)
        removed(folder)
        part.rename(folder)
        _note(folder).write_text(package.fingerprint)
    except BaseException:
        removed(part)
        raise


def _is_there(folder: Path, package: PackageConfig) -> bool:
    try:
        return folder.is_dir() and _note(folder).read_text() == package.fingerprint
    except (OSError, UnicodeDecodeError):
        return False


def _note(folder: Path) -> Path:
    """No version begins with a dot."""
    return folder.with_name(f".{folder.name}.from")
