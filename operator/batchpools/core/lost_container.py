"""Decides what is said of a run whose container was lost under it, and who is named for it (safety rule S8.5). Pure.

On cgroup version 2 the kernel ends the whole container when its memory is full. The runner in it says beforehand which run has
the most; the agent outlives it and remembers its last word.
"""

from dataclasses import dataclass

from batchpools.api.names import TASK_CONTAINER
from batchpools.api.reasons import FailureCode
from batchpools.core.ended import Ended

FRESH = 3.0  # seconds; the runner speaks each second while memory is scarce


@dataclass(frozen=True, slots=True)
class MemoryScarce:
    """The runner's word: more than half of the container's memory is in use, and this run has the most. Sizes in bytes.

    An empty execution id: there is enough again.
    """

    execution_id: str
    size: int
    used: int
    limit: int
    container: str = TASK_CONTAINER


@dataclass(frozen=True, slots=True)
class LastWord:
    """What the runner said last, and when (monotonic seconds)."""

    told: MemoryScarce | None = None
    at: float = 0.0

    def when_lost(self, now: float) -> "LastWord":
        """What still counts when the connection ends: an old word says nothing of the end."""
        return self if self.told is not None and now - self.at <= FRESH else LastWord()

    def ended(self, execution_id: str, started_at: float, container: str = TASK_CONTAINER) -> Ended:
        """How a run ended with its container; code OutOfMemory when it had the most memory."""
        named = "the task container" if container == TASK_CONTAINER else f"the container {container!r}"
        lost = f"{named} was lost"
        if self.told is None:
            return Ended("bootLost", started_at=started_at, message=lost)
        scarce = f"{lost} when {_size(self.told.used)} of its {_size(self.told.limit)} of memory were in use"
        if self.told.execution_id != execution_id:
            return Ended("bootLost", started_at=started_at, message=f"{scarce}, the most of it by another task")
        text = f"{scarce}, the most of it by this task: {_size(self.told.size)}"
        return Ended("bootLost", started_at=started_at, code=FailureCode.OUT_OF_MEMORY, message=text)


def _size(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
