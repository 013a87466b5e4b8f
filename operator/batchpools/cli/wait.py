"""`kubectl batch wait JOB`: until the job has finished, with a live bar on a terminal and plain lines elsewhere."""

import argparse
from typing import Any

from batchpools.api.durations import format_duration, parse_duration
from batchpools.api.states import JobState, Result
from batchpools.cli.access import Access
from batchpools.cli.tables import bar
from batchpools.core.jobs.completion import ends_by_itself
from batchpools.core.jobs.manager import ends_with_its_manager
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.views import JobView
from batchpools.kube.errors import ServerError, TooManyRequestsError, UnreachableError
from batchpools.kube.resources import JOBS

EXIT_SUCCESS, EXIT_FAILURE, EXIT_TIMEOUT = 0, 1, 124
_POLL = 0.5  # seconds


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser(
        "wait", parents=[common], help="until a job has finished: 0 success, 1 failure, 124 out of time"
    )
    verb.add_argument("job", metavar="JOB")
    verb.add_argument(
        "--timeout", type=_duration, default=None, metavar="DURATION", help="such as 10m; without end by default"
    )
    verb.set_defaults(run=run)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Look twice a second; an API server that does not answer for a while does not end the wait."""
    limit = f" --timeout={format_duration(options.timeout)}" if options.timeout is not None else ""
    access.teach(f"kubectl wait --for=condition=Finished bjob/{options.job} -n {access.namespace}{limit}")
    end = None if options.timeout is None else access.clock.monotonic() + options.timeout
    job = await access.one(JOBS, JobView, options.job)
    ends = ends_by_itself(JobSituation(job)) or ends_with_its_manager(job)
    if not ends and job.status.state == JobState.ACTIVE:
        access.note(f"Job {options.job} has onAllTasksComplete: NoAction: it will not end by itself.")
    progress = _Progress(access)
    while True:
        progress.show(job)
        if job.status.state == JobState.COMPLETED:
            progress.end()
            return _finish(access, job)
        if end is not None and access.clock.monotonic() >= end:
            progress.end()
            access.note(f"Job {options.job} has not finished within {format_duration(options.timeout)}.")
            return EXIT_TIMEOUT
        await access.pause(_POLL)
        job = await _look_again(access, job, progress)


async def _look_again(access: Access, job: JobView, progress: "_Progress") -> JobView:
    """The job now, or as it was when nobody tells."""
    try:
        job = await access.one(JOBS, JobView, job.metadata.name)
    except (UnreachableError, ServerError, TooManyRequestsError) as error:
        progress.interrupt(f"The wait goes on: {error.sentence}")
    else:
        progress.resume()
    return job


class _Progress:
    """One line that is painted over on a terminal; elsewhere a line for each change. Says once that nobody tells."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._painted = access.out.isatty()
        self._line = ""
        self._interrupted = False

    def show(self, job: JobView) -> None:
        counts = job.status.task_counts
        total = counts.active + counts.running + counts.completed
        done = f"{bar(counts.completed, counts.failed, total)} {counts.completed}/{total} done"
        line = f"{done}, {counts.running} running, {counts.failed} failed"
        if line != self._line:
            self._line = line
            self._access.say(f"\r\033[K{line}" if self._painted else line, end="" if self._painted else "\n")

    def interrupt(self, sentence: str) -> None:
        if not self._interrupted:
            self._interrupted = True
            self.end()
            self._access.note(sentence)

    def resume(self) -> None:
        self._interrupted = False

    def end(self) -> None:
        if self._painted and self._line:
            self._access.say()
        self._line = ""


def _finish(access: Access, job: JobView) -> int:
    succeeded = job.status.result == Result.SUCCESS
    access.say(f"Job {job.metadata.name}: {job.status.result or job.status.state}")
    if not succeeded:
        access.say(f"See which: kubectl batch get tasks --job {job.metadata.name} -n {access.namespace}")
    return EXIT_SUCCESS if succeeded else EXIT_FAILURE


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
