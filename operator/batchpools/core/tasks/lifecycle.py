"""The life of a task in the leader's book: which states there are, and what may follow what. Wrong ones cannot be written."""

from dataclasses import dataclass
from enum import StrEnum

from batchpools.api.reasons import RequeueReason
from batchpools.core.identity import ExecutionId
from batchpools.core.transitions import Table


class Why(StrEnum):
    """Why we end a run."""

    DELETED = "Deleted"
    DRAINED = "Drained"
    JOB_ENDED = "JobEnded"


@dataclass(frozen=True, slots=True)
class Waiting:
    """In the queue of its pool, or out of it with a reason."""


@dataclass(frozen=True, slots=True)
class Held:
    """It may run on a node that has not been heard from since we lead; nothing is done until it has."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Sent to a node; not known to have started."""

    pod_uid: str
    node: str
    execution: ExecutionId
    fresh: bool


@dataclass(frozen=True, slots=True)
class Running:
    """Known to have started; started_at in Unix seconds."""

    pod_uid: str
    node: str
    execution: ExecutionId
    started_at: float


@dataclass(frozen=True, slots=True)
class Ending:
    """We asked for the end of its run and wait for the confirmation."""

    pod_uid: str
    node: str
    execution: ExecutionId
    started_at: float
    why: Why
    reason: RequeueReason = RequeueReason.POOL_RESIZED


@dataclass(frozen=True, slots=True)
class Settling:
    """Its run has ended; what follows from it is being written. Where it ran, for the acknowledgement and a retry."""

    pod_uid: str
    node: str
    execution: ExecutionId | None


@dataclass(frozen=True, slots=True)
class Done:
    """Its end is persisted; the cache has not shown it yet."""


State = Waiting | Held | Bound | Running | Ending | Settling | Done
OnNode = Bound | Running | Ending


def name_of(state: State) -> str:
    """The state's word in tables and stories."""
    return type(state).__name__


TABLE: Table = {
    "Waiting": frozenset({"Bound", "Running", "Settling", "Held"}),
    "Held": frozenset({"Waiting", "Running", "Bound", "Settling"}),
    "Bound": frozenset({"Running", "Ending", "Settling", "Waiting"}),
    "Running": frozenset({"Ending", "Settling", "Running"}),
    "Ending": frozenset({"Settling", "Waiting", "Ending", "Done"}),
    "Settling": frozenset({"Waiting", "Bound", "Done"}),
    "Done": frozenset(),
}
