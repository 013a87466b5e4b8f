"""Decides when a node takes no tasks for a while: its disk is full, or the directories of tasks cannot be made.

Source: Azure marks such nodes unusable; how many failures and for how long is ours (docs/decisions.md). Pure.
"""

from dataclasses import dataclass

from batchpools.api.reasons import FailureCode, Reason
from batchpools.core.ended import Ended

LAUNCHES = 3  # runs that failed one after another
FIRST_PAUSE = 60.0  # seconds; twice as long each time that it has not helped
LONGEST_PAUSE = 960.0

_NODES_FAULT = {FailureCode.RESOURCE_DIRECTORY_CREATE_FAILED, FailureCode.DISK_FULL}


@dataclass(frozen=True, slots=True)
class Standing:
    """failures: runs that failed in a row through the node's fault; message, reason: of the last one; pauses: how often
    it was left alone for that.
    """

    failures: int = 0
    message: str = ""
    pauses: int = 0
    reason: Reason = Reason.TASK_LAUNCH_FAILED


def after(standing: Standing, ended: Ended) -> Standing:
    """How a node stands after the end of a run there.

    What came to an end of its own proves that it can; a bad command proves nothing. A run that was ended since the disk was
    nearly full counts: what filled it stays, so the next one may meet the same.
    """
    if ended.cause not in {"launchFailed", "diskFull"}:
        return Standing() if ended.cause == "exit" else standing
    if ended.code not in _NODES_FAULT:
        return standing
    is_full = ended.code == FailureCode.DISK_FULL
    reason = Reason.DISK_FULL if is_full else Reason.TASK_LAUNCH_FAILED
    return Standing(standing.failures + 1, ended.message, standing.pauses, reason)


def pause_of(standing: Standing) -> float:
    """Seconds for which it is to be left alone now; 0 = it may go on. After a pause one more failure is enough."""
    if standing.failures < (1 if standing.pauses else LAUNCHES):
        return 0.0
    pause: float = FIRST_PAUSE * 2 ** min(standing.pauses, 10)
    return min(pause, LONGEST_PAUSE)


def paused(standing: Standing) -> Standing:
    """It was left alone once more."""
    return Standing(0, standing.message, standing.pauses + 1, standing.reason)


def sentence(standing: Standing) -> str:
    """Why it takes no tasks, for people."""
    is_full = standing.reason is Reason.DISK_FULL
    what = "The node's disk is full" if is_full else "Tasks could not be launched here"
    told = f"{what}, at last: {standing.message}"
    return f"{told} No task is sent there for a while; then it is tried again."
