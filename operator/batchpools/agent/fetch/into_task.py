"""The way of what is fetched into the working directory of a run that awaits it: its runner writes it (safety rule S8.2)."""

import base64
from contextlib import suppress

from batchpools.agent.fetch.sink import SinkError
from batchpools.agent.runner_client import RunnerClient, RunnerError, RunnerGoneError
from batchpools.api.reasons import FailureCode

_LONGEST = 512 << 10  # bytes: base64 of them is in a frame


class RunOverError(Exception):
    """The run does not await files any more, or its runner is gone: nobody wants what is fetched."""


class TaskSink:
    """One file of one run. path: relative to its working directory; mode: its permissions."""

    def __init__(self, runner: RunnerClient, run_id: str, path: str, mode: int) -> None:
        self._runner = runner
        self._where = {"id": run_id, "path": path, "mode": mode}
        self._size = 0

    async def begin(self) -> None:
        """The first piece begins the file anew."""
        self._size = 0

    async def write(self, piece: bytes) -> None:
        """As many messages as it takes; each waits for its answer, so that a slow disk slows the fetching."""
        for start in range(0, len(piece), _LONGEST):
            await self._put(piece[start : start + _LONGEST], last=False)

    async def finish(self) -> None:
        """The runner gives it its name."""
        await self._put(b"", last=True)

    async def abandon(self) -> None:
        """The runner drops what is not whole when the run begins or ends."""

    async def _put(self, piece: bytes, *, last: bool) -> None:
        data = base64.b64encode(piece).decode()
        try:
            await self._runner.ask("put", **self._where, offset=self._size, data=data, last=last)
        except RunnerGoneError as gone:
            raise RunOverError(str(gone)) from None
        except TimeoutError:
            raise SinkError(FailureCode.RESOURCE_FILE_WRITE_FAILED, "the disk did not take it in time") from None
        except RunnerError as refused:
            if refused.code == "NotAwaiting":
                raise RunOverError(str(refused)) from None
            raise SinkError(_code(refused.code), str(refused)) from None
        self._size += len(piece)


def _code(word: str) -> FailureCode:
    with suppress(ValueError):
        return FailureCode(word)
    return FailureCode.RESOURCE_FILE_WRITE_FAILED
