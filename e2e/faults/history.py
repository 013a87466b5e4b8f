"""What happened, as three witnesses tell it: the tasks themselves, the machine's processes, and the watch of the Task objects.

Only shapes and their reading; `checker` judges. All moments are seconds since the machine's start (CLOCK_BOOTTIME), which every
container of a machine shares.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchpools.core.identity import ExecutionId

RESOLUTION = 0.01  # seconds: tasks read /proc/uptime

# For a task's script: `tell start` and `tell end ' <exit code>'` append the lines that `read_runs` reads, each in one write.
TELL = (
    'tell() { read -r now _ < /proc/uptime; echo "$1 $AZ_BATCH_TASK_EXECUTION_ID $AZ_BATCH_TASK_ID $now$2"'
    " >> $AZ_BATCH_NODE_SHARED_DIR/runs; }; "
)


def boottime() -> float:
    """Now, by the clock that tasks read."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Run:
    """One run of a task: what its lines say, and until when its processes were seen on the machine."""

    execution: ExecutionId
    task: str
    pod_uid: str
    began: float
    ended: float | None = None
    code: int = 0
    seen_until: float = 0.0

    @property
    def lived_until(self) -> float:
        """The latest moment at which it is known to have been alive."""
        return max(self.began, self.ended or 0.0, self.seen_until)


@dataclass(frozen=True, slots=True)
class Seen:
    """A Task object as one event of the watch showed it."""

    uid: str
    name: str
    type: str  # ADDED, MODIFIED, DELETED
    status: Mapping[str, Any]

    @property
    def is_over(self) -> bool:
        """Whether the task has ended."""
        return self.status.get("state") == "Completed"


@dataclass(frozen=True, slots=True)
class Expected:
    """A task that was created. tries: runs that leave by themselves (1 + retries); result: how it has to end."""

    uid: str
    name: str
    result: str = "Success"
    tries: int = 1
    is_killed: bool = False  # its only run is ended by what it does: it writes no line of its end


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was injected. pods: uids of those whose runs it may cost; reasons: what their requeues may be called."""

    kind: str
    began: float
    ended: float
    pods: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()


@dataclass(slots=True)
class History:
    """Everything that is known of some tasks."""

    expected: list[Expected] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    still_alive: list[str] = field(default_factory=list)  # execution ids with processes after everything has ended


def read_runs(files: Mapping[str, str], sightings: Mapping[str, float]) -> tuple[list[Run], list[str]]:
    """(runs, what could not be read) of the files that tasks appended to, by pod uid, and of the last sightings by execution id.

    A line is `start <execution id> <task> <seconds>` or `end <execution id> <task> <seconds> <exit code>`.
    """
    runs: dict[str, Run] = {}
    unreadable: list[str] = []
    for pod_uid, text in files.items():
        for line in text.splitlines():
            try:
                _read(line.split(), pod_uid, runs, sightings)
            except (ValueError, KeyError) as error:
                unreadable.append(f"{line!r} of pod {pod_uid}: {error}")
    return list(runs.values()), unreadable


def _read(words: list[str], pod_uid: str, runs: dict[str, Run], sightings: Mapping[str, float]) -> None:
    kind, one, task, moment, *rest = words
    if kind == "start" and one not in runs and not rest:
        seen = sightings.get(one, 0.0)
        runs[one] = Run(ExecutionId.parse(one), task, pod_uid, float(moment), seen_until=seen)
    elif kind == "end" and len(rest) == 1 and runs[one].ended is None and runs[one].pod_uid == pod_uid:
        runs[one].ended, runs[one].code = float(moment), int(rest[0])
    else:
        raise ValueError("a second line of its kind, or none that we know")


def by_uid(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each task, in the order of their beginning."""
    found: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda one: one.began):
        found.setdefault(run.execution.task_uid, []).append(run)
    return found
