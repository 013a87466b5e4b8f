"""The life of a task in the leader's book: which states there are, and what may follow what. Wrong ones cannot be written.

| event | from | to |
|---|---|---|
| dispatched | Waiting, Settling (a retry on its node) | Bound |
| started | Bound | Running |
| finished | Bound, Running, Ending | Settling |
| unknown, node released | Bound, Running, Ending | Settling |
| rejected, never arrived | Bound | Waiting |
| an inventory shows its run | Waiting, Held, and Bound or Running with an older one | Bound |
| it may have ended already | Waiting | Held |
| every node was heard | Held | Waiting, Settling (its run is lost) |
| kill asked | Bound, Running | Ending |
| end of a run that nobody wants | Ending | Waiting |
| persisted | Settling | Done, Waiting, Bound |
| it ends without a run | Waiting, Held | Settling |
"""

from dataclasses import dataclass
from enum import StrEnum

from batchpools.api.reasons import RequeueReason
from batchpools.core.identity import ExecutionId
from batchpools.core.transitions import Table


class Why(StrEnum):
    """Why we end a run."""

    DELETED = "Deleted"
    DRAINED = "Drained"
    TERMINATED = "Terminated"  # with its node, and it is not to run again
    JOB_ENDED = "JobEnded"
    DISPLACED = "Displaced"  # the manager of its job, or of one of higher priority, needs the room


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


@dataclass(frozen=True, slots=True)
class Running:
    """Known to have started; started_at in Unix seconds."""

    pod_uid: str
    node: str
    execution: ExecutionId
    started_at: float


@dataclass(frozen=True, slots=True)
class Ending:
    """We asked for the end of its run and wait for the confirmation. `reason` counts when it is requeued."""

    pod_uid: str
    node: str
    execution: ExecutionId
    started_at: float
    why: Why
    reason: RequeueReason = RequeueReason.POOL_RESIZED


@dataclass(frozen=True, slots=True)
class Settling:
    """Its run has ended; what follows from it is being written. keeps_slots: it is to go on at once on the same node.

    Without an execution it ends without having run, or its run is lost and nobody knows more of it.
    """

    pod_uid: str = ""
    node: str = ""
    execution: ExecutionId | None = None
    keeps_slots: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """Its end is persisted; the cache has not shown it yet."""


State = Waiting | Held | Bound | Running | Ending | Settling | Done
OnNode = Bound | Running | Ending


def name_of(state: State) -> str:
    """The state's word in tables and stories."""
    return type(state).__name__


def pod_of(state: State) -> str:
    """Uid of the pod on which there is something to confirm or to acknowledge; empty when there is none."""
    return state.pod_uid if isinstance(state, Bound | Running | Ending | Settling) else ""


def holds_slots(state: State) -> bool:
    """Whether slots of its node are taken."""
    return isinstance(state, Bound | Running | Ending) or (isinstance(state, Settling) and state.keeps_slots)


def ending(state: Bound | Running, why: Why, reason: RequeueReason = RequeueReason.POOL_RESIZED) -> Ending:
    """The same run, once its end was asked for."""
    started = state.started_at if isinstance(state, Running) else 0.0
    return Ending(state.pod_uid, state.node, state.execution, started, why, reason)


TABLE: Table = {
    "Waiting": frozenset({"Bound", "Settling", "Held"}),
    "Held": frozenset({"Waiting", "Bound", "Settling"}),
    "Bound": frozenset({"Running", "Bound", "Ending", "Settling", "Waiting"}),
    "Running": frozenset({"Bound", "Ending", "Settling"}),
    "Ending": frozenset({"Settling", "Waiting"}),
    "Settling": frozenset({"Waiting", "Bound", "Done"}),
    "Done": frozenset(),
}
