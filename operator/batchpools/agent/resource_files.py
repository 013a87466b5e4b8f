"""Brings resource files into a working directory: it works out which files a list means, and has each fetched or read.

Source: REST reference, ResourceFile. What goes wrong first ends it; a file is there whole or not at all. Of two entries with one
path the later counts.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchpools.agent.fetch.result import BLOB, FetchFailure
from batchpools.agent.fetch.sink import Sink, SinkError
from batchpools.agent.fetch.source import Fetch, Source, shown
from batchpools.agent.places import Places
from batchpools.api.reasons import FailureCode
from batchpools.core.node_config import FileSource

_AT_ONCE = 4
_PIECE = 256 << 10  # bytes

MakeSink = Callable[[str, int], Sink]  # of a path relative to the working directory, and its permissions


@dataclass(frozen=True, slots=True)
class _File:
    """One file to be: of the web, or of a mounted volume."""

    origin: Source | Path
    mode: int


class _FailedError(Exception):
    def __init__(self, failure: FetchFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


async def bring_files(
    sources: Sequence[FileSource], places: Places, auto_storage: str, make_sink: MakeSink
) -> FetchFailure | None:
    """Have all of them there; None when they are. Whatever `make_sink` raises beside SinkError comes through."""
    from batchpools.agent.fetch.web import Web  # noqa: PLC0415 (ten megabytes that most nodes never need)

    try:
        async with Web() as web:
            files: dict[str, _File] = {}
            for one in sources:
                files |= await _files_of(one, places, auto_storage, web.fetch)
            await _bring_all(files, make_sink, web.fetch)
    except _FailedError as error:
        return error.failure
    return None


async def _bring_all(files: dict[str, _File], make_sink: MakeSink, fetch: Fetch) -> None:
    """Some at a time; the first that fails ends the others."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def bring(path: str, file: _File) -> None:
        async with gate:
            sink = make_sink(path, file.mode & 0o777)
            if isinstance(file.origin, Path):
                await _read(file.origin, path, sink)
                return
            fetched = await fetch(file.origin, sink, BLOB)
            if isinstance(fetched, FetchFailure):
                raise _FailedError(FetchFailure(fetched.code, f"{path}: {fetched.message}"))

    try:
        async with asyncio.TaskGroup() as group:
            for path, file in files.items():
                group.create_task(bring(path, file))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


async def _read(origin: Path, path: str, sink: Sink) -> None:
    """A key of a ConfigMap or Secret: it has at most a megabyte."""
    try:
        content = await asyncio.to_thread(origin.read_bytes)
    except OSError as error:
        raise _FailedError(FetchFailure(FailureCode.BLOB_NOT_FOUND, f"{path}: {error.strerror}")) from None
    try:
        await sink.begin()
        for start in range(0, len(content), _PIECE):
            await sink.write(content[start : start + _PIECE])
        await sink.finish()
    except SinkError as error:
        await sink.abandon()
        raise _FailedError(FetchFailure(error.code, f"{path}: it cannot be kept: {error}")) from None


# ------------------------------------------------------------------ which files


async def _files_of(one: FileSource, places: Places, auto_storage: str, fetch: Fetch) -> dict[str, _File]:
    if one.kind in {"ConfigMap", "Secret"}:
        return _mounted(one, places)
    if one.kind == "Http":
        return {_inside("", one.path): _File(_source(one, one.location, places), one.mode)}
    url = one.location
    if one.kind == "AutoStorage":
        if not auto_storage:
            sentence = f"storage container {one.location}: this node was told of no storage account (autoStorage.url of the chart)"
            raise _FailedError(FetchFailure(FailureCode.RESOURCE_CONTAINER_NOT_FOUND, sentence))
        url = f"{auto_storage.rstrip('/')}/{one.location}"
    return await _blobs(one, _source(one, url, places), fetch)


async def _blobs(one: FileSource, container: Source, fetch: Fetch) -> dict[str, _File]:
    from batchpools.agent.fetch.blobs import blob_of, list_blobs  # noqa: PLC0415 (as above)

    names = await list_blobs(fetch, container, one.prefix)
    if isinstance(names, FetchFailure):
        raise _FailedError(names)
    return {
        _inside(one.path, name, f"{shown(container.url)} holds a blob with the name {name!r}"): _File(
            blob_of(container, name), one.mode
        )
        for name in names
    }


def _mounted(one: FileSource, places: Places) -> dict[str, _File]:
    """All keys of it; what begins with two dots is the kubelet's."""
    folder = _reference(places, one.kind, one.location)
    try:
        keys = sorted(key.name for key in folder.iterdir() if not key.name.startswith(".."))
    except OSError:
        keys = []
    if not keys:
        sentence = f"{one.kind} {one.location} is not on this node, or is empty"
        raise _FailedError(FetchFailure(FailureCode.BLOB_NOT_FOUND, sentence))
    return {_inside(one.path, key): _File(folder / key, one.mode) for key in keys}


def _source(one: FileSource, url: str, places: Places) -> Source:
    folder = _reference(places, "Secret", one.credentials) if one.credentials else None
    try:
        return Source(url, sha256=one.sha256).with_credentials(folder)
    except ValueError as error:
        raise _FailedError(FetchFailure(FailureCode.BLOB_ACCESS_DENIED, f"{shown(url)}: {error}")) from None


def _reference(places: Places, kind: str, name: str) -> Path:
    if "/" in name or name in {"", ".", ".."}:
        raise _FailedError(FetchFailure(FailureCode.BLOB_NOT_FOUND, f"{name!r} is the name of no {kind}"))
    return places.references_dir / kind / name


def _inside(folder: str, name: str, what: str = "") -> str:
    """The path of a file below a directory that must not leave the working directory."""
    path = f"{folder}/{name}" if folder else name
    if "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        sentence = f"{what or repr(path)}: no file in the working directory can be called so"
        raise _FailedError(FetchFailure(FailureCode.RESOURCE_FILE_CREATE_FAILED, sentence))
    return path
