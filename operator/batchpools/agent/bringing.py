"""Files on their way to runs that await them: begun with a run, ended with it or with the connection to its runner.

The runner holds the run meanwhile (`operator/runner/await.go`): it alone knows whether the run may still begin, so what comes too
late does nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from batchpools.agent.fetch.into_task import RunOverError, TaskSink
from batchpools.agent.fetch.result import FetchFailure
from batchpools.agent.fetch.sink import Sink
from batchpools.agent.places import Places
from batchpools.agent.runner_client import RunnerClient, RunnerGoneError
from batchpools.api.reasons import FailureCode
from batchpools.core.node_config import FileSource
from batchpools.link.bounds import clip
from batchpools.telemetry.logs import bound

_log = logging.getLogger(__name__)

BringFiles = Callable[[Sequence[FileSource], Places, str, Callable[[str, int], Sink]], Awaitable[FetchFailure | None]]


class Bringing:
    """Of one connection to a runner. auto_storage: URL of the account whose containers files may name."""

    def __init__(self, bring: BringFiles, runner: RunnerClient, places: Places, auto_storage: str) -> None:
        self._bring = bring
        self._runner = runner
        self._places = places
        self._auto_storage = auto_storage
        self._jobs: dict[str, asyncio.Task[None]] = {}

    def start(self, run_id: str, files: Sequence[FileSource]) -> None:
        """The runner was told that this run awaits them."""
        job = asyncio.create_task(self._work(run_id, files), name=f"files-{run_id}")
        self._jobs[run_id] = job
        job.add_done_callback(lambda _: self._jobs.pop(run_id, None))

    def stop(self, run_id: str) -> None:
        """The run is over: nobody wants them any more."""
        job = self._jobs.get(run_id)
        if job is not None:
            job.cancel()

    async def close(self) -> None:
        """The connection has ended."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _work(self, run_id: str, files: Sequence[FileSource]) -> None:
        """Whatever happens, the run is told: one that awaits files for ever would hold its slots."""
        try:
            failed = await self._bring(
                files, self._places, self._auto_storage, lambda path, mode: TaskSink(self._runner, run_id, path, mode)
            )
        except RunOverError as over:
            bound(_log, execution=run_id).info("files are not wanted any more: %s", over)
            return
        except Exception as error:  # noqa: BLE001 (see above)
            bound(_log, execution=run_id).exception("files could not be brought")
            failed = FetchFailure(FailureCode.BLOB_DOWNLOAD_MISC_ERROR, f"the files could not be brought: {error!r}")
        try:
            if failed is None:
                self._runner.tell("begin", id=run_id)
            else:
                self._runner.tell("fail", id=run_id, failure=failed.code, text=clip(failed.message, 1024))
        except RunnerGoneError:
            return  # with its runner's next agent the run ends
