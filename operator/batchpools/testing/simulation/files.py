"""Resource files of a history: a played fetch that takes virtual time, and what must hold of them. Pure but for the sleep.

A file's URL says how long it takes and whether it is there: `http://files/<seconds>/<there|absent>`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batchpools.agent.fetch.result import FetchFailure
from batchpools.agent.fetch.sink import Sink
from batchpools.agent.places import Places
from batchpools.api.reasons import FailureCode
from batchpools.core.node_config import FileSource

_SECONDS = (0.2, 1.0, 3.0, 6.0)


def files_of(number: int) -> dict[str, Any]:
    """What some tasks of a history have brought; of some of those it is not there."""
    if number % 3 != 2:
        return {}
    end = "absent" if number % 9 == 5 else "there"
    url = f"http://files/{_SECONDS[number % len(_SECONDS)]}/{end}"
    return {"resourceFiles": [{"httpUrl": url, "filePath": "input"}]}


def has_files(spec: Mapping[str, Any]) -> bool:
    """Whether files are brought for a task."""
    return bool(spec.get("resourceFiles"))


def is_absent(spec: Mapping[str, Any]) -> bool:
    """Whether one of them cannot be had, so that the task never runs."""
    return any(one["httpUrl"].endswith("/absent") for one in spec.get("resourceFiles") or ())


async def played_fetch(
    sources: Sequence[FileSource], _: Places, __: str, make_sink: Callable[[str, int], Sink]
) -> FetchFailure | None:
    """One after the other, each in two pieces with its time between them."""
    for one in sources:
        *_rest, seconds, end = one.location.split("/")
        sink = make_sink(one.path, one.mode)
        await sink.begin()
        await sink.write(b"first ")
        await asyncio.sleep(float(seconds))
        if end == "absent":
            return FetchFailure(FailureCode.BLOB_NOT_FOUND, f"{one.path}: {one.location} was answered with 404")
        await sink.write(b"second")
        await sink.finish()
    return None
