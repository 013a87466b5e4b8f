"""Decides what follows from the end of a run: success, retry, failure, requeue. Counts of user and operator are kept apart.

Source: REST reference, task execution information (retryCount counts non-zero exits only); error handling article (a task
that outlives its wall clock: 0xC000013A, TaskEnded, ServerError).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from batchpools.api.names import WALL_CLOCK_EXIT_CODE
from batchpools.api.reasons import FailureCode, RequeueReason
from batchpools.api.states import FailureCategory
from batchpools.core.ended import Ended
from batchpools.core.tasks.failure_category import category_of
from batchpools.core.views import FailureInfo


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Exit 0."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It has failed for good; exit_code None when nothing ran."""

    failure: FailureInfo
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class Retry:
    """A non-zero exit with retries left: again, in the same directory."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """Ended through no fault of its own: again, anywhere, afresh; costs no retry."""

    reason: RequeueReason


Verdict = Succeeded | Failed | Retry | Requeue

MOST_OUT_OF_MEMORY = 3  # runs that may take their container along, each with the most memory in it (safety rule S8.5)

_OURS = {
    "killed": RequeueReason.LEADER_CHANGED,
    "stopping": RequeueReason.NODE_STOPPED,
    "bootLost": RequeueReason.CONTAINER_LOST,
    "nodeLost": RequeueReason.NODE_LOST,
    "expired": RequeueReason.NODE_UNREACHABLE,
}


def judge(
    ended: Ended,
    *,
    retry_count: int,
    max_retries: int,
    killed_for: RequeueReason | None = None,
    requeues: Mapping[str, int] | None = None,
) -> Verdict:
    """What follows. max_retries -1 = without end (n = 1 + n runs); killed_for: why we had asked for the end, if we had.

    Only an exit code is retried: neither a launch that failed nor a passed wall clock, nor a full disk, since a retry finds
    its directory as it was. 137 of the kernel's OOM kill is one, and that of the runner's memory watch. requeues: those of
    before, by reason.
    """
    if _took_its_container_along(ended) and killed_for is None:
        if (requeues or {}).get(RequeueReason.OUT_OF_MEMORY, 0) + 1 < MOST_OUT_OF_MEMORY:
            return Requeue(RequeueReason.OUT_OF_MEMORY)
        message = f"It happened {MOST_OUT_OF_MEMORY} times that {ended.message}."
        return Failed(_failure(FailureCode.OUT_OF_MEMORY, message, FailureCategory.USER_ERROR), None)
    if ended.cause in _OURS:
        return Requeue(killed_for or _OURS[ended.cause])
    if ended.cause == "wallClock":
        return Failed(
            _failure(FailureCode.TASK_ENDED, ended.message, FailureCategory.SERVER_ERROR), WALL_CLOCK_EXIT_CODE
        )
    if ended.cause in {"launchFailed", "outputLimit", "diskFull"}:
        code = FailureCode(ended.code) if ended.code in set(FailureCode) else FailureCode.UNKNOWN
        return Failed(_failure(code, ended.message, category_of(code)), ended.exit_code)
    if ended.exit_code is None:  # a word that we do not know, and nothing that a retry would be counted for
        message = ended.message or f"The run ended with {ended.cause!r} and no exit code."
        return Failed(_failure(FailureCode.UNKNOWN, message, FailureCategory.SERVER_ERROR), None)
    if ended.exit_code == 0:
        return Succeeded()
    if max_retries < 0 or retry_count < max_retries:
        return Retry()
    if ended.cause == "outOfMemory":
        return Failed(_failure(FailureCode.OUT_OF_MEMORY, ended.message, FailureCategory.USER_ERROR), ended.exit_code)
    message = f"The command left with exit code {ended.exit_code}."
    return Failed(_failure(FailureCode.FAILURE_EXIT_CODE, message, FailureCategory.USER_ERROR), ended.exit_code)


def for_good(verdict: Verdict, *, with_job: bool = False) -> Verdict:
    """The verdict on a run whose node leaves by Terminate, or whose job is terminated: what would run again has ended instead."""
    if not isinstance(verdict, Requeue):
        return verdict
    message = "The task was ended with its node, by nodeDeallocationOption Terminate."
    if with_job:
        message = "The task was ended with its job."
    return Failed(_failure(FailureCode.TASK_ENDED, message, FailureCategory.USER_ERROR), None)


def _took_its_container_along(ended: Ended) -> bool:
    return ended.cause == "bootLost" and ended.code == FailureCode.OUT_OF_MEMORY


def _failure(code: FailureCode, message: str, category: FailureCategory) -> FailureInfo:
    return FailureInfo(category=category, code=code, message=message[:1024])
