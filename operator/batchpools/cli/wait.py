"""`kubectl batch wait JOB`: until the job has finished, with a live bar on a terminal and plain lines elsewhere."""

import argparse
import asyncio
from typing import Any

from batchpools.api.durations import parse_duration
from batchpools.api.states import JobState, OnAllTasksComplete, Result
from batchpools.cli.access import Access
from batchpools.cli.tables import bar
from batchpools.core.views import JobView
from batchpools.kube.resources import JOBS
from batchpools.telemetry.clock import SystemClock

EXIT_SUCCESS, EXIT_FAILURE, EXIT_TIMEOUT = 0, 1, 124
_POLL = 0.5


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser(
        "wait", parents=[common], help="until a job has finished: 0 success, 1 failure, 124 out of time"
    )
    verb.add_argument("job", metavar="JOB")
    verb.add_argument("--timeout", default="", metavar="DURATION", help="such as 10m; without end by default")
    verb.set_defaults(run=run)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Look twice a second."""
    clock = SystemClock()
    access.show(f"kubectl wait --for=condition=Finished bjob/{options.job} -n {access.namespace}")
    try:
        end = clock.monotonic() + parse_duration(options.timeout) if options.timeout else None
    except ValueError as error:
        access.say(f"error: --timeout: {error}")
        return 2
    told, warned = "", False
    while True:
        job = await access.one(JOBS, JobView, options.job)
        if not warned and not _ends(job):
            warned = True
            access.say(f"Job {options.job} has onAllTasksComplete: NoAction: it will not end by itself.")
        line = _progress(job)
        if line != told:
            told = line
            _print(access, line)
        if job.status.state == JobState.COMPLETED:
            return _finish(access, job)
        if end is not None and clock.monotonic() >= end:
            access.say(f"\nJob {options.job} has not finished within {options.timeout}.")
            return EXIT_TIMEOUT
        await asyncio.sleep(_POLL)


def _progress(job: JobView) -> str:
    counts = job.status.task_counts
    total = counts.active + counts.running + counts.completed
    progress = bar(counts.completed, counts.failed, total)
    return f"{progress} {counts.completed}/{total} done, {counts.running} running, {counts.failed} failed"


def _print(access: Access, line: str) -> None:
    if access.out.isatty():
        access.say(f"\r\033[K{line}", end="")
    else:
        access.say(line)


def _finish(access: Access, job: JobView) -> int:
    if access.out.isatty():
        access.say()
    succeeded = job.status.result == Result.SUCCESS
    access.say(f"Job {job.metadata.name}: {job.status.result}")
    if not succeeded:
        access.say(f"See which: kubectl batch get tasks --job {job.metadata.name} -n {access.namespace}")
    return EXIT_SUCCESS if succeeded else EXIT_FAILURE


def _ends(job: JobView) -> bool:
    wanted = job.spec.on_all_tasks_complete
    return wanted == OnAllTasksComplete.TERMINATE_JOB or (wanted is None and bool(job.spec.tasks))
