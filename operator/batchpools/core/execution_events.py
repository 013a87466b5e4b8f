"""What the agent's machine (`core.execution`) is told and what it answers: events and instructions. Only the shapes."""

from dataclasses import dataclass

from batchpools.api.names import TASK_CONTAINER
from batchpools.core.ended import Ended
from batchpools.core.lost_container import MemoryScarce

# ------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class Led:
    """A replica announced that it leads with this epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class RunAsked:
    """The leader wants a run in one of the pod's containers; `request` is carried to the runner as it is.

    refused: why it cannot be started now, if it is not known yet.
    """

    execution_id: str
    epoch: int
    task_name: str
    request: object
    container: str = TASK_CONTAINER
    refused: str = ""


@dataclass(frozen=True, slots=True)
class KillAsked:
    """The leader wants the end of a run."""

    execution_id: str
    epoch: int
    grace: float


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Results are persisted."""

    execution_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """The agent has just come up: what its own journal kept of its former life, before anything else is handled.

    finished: (id, task name, boot id, outcome) that nobody acknowledged.
    """

    max_epoch: int
    finished: tuple[tuple[str, str, str, Ended], ...]
    acknowledged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """The runner of a container answered hello: what it runs as (id, task name, started at), what it was not told to forget.

    started at is 0 while a run is being launched. serves False: a start task has to succeed there first (`Prepared`).
    """

    boot_id: str
    running: tuple[tuple[str, str, float], ...]
    finished: tuple[tuple[str, str, Ended], ...]
    acknowledged: tuple[str, ...] = ()
    serves: bool = True
    container: str = TASK_CONTAINER


@dataclass(frozen=True, slots=True)
class Prepared:
    """The start task has succeeded in the task container: tasks may run there."""


@dataclass(frozen=True, slots=True)
class RestartAsked:
    """The leader wants all containers of the pod to begin anew, if this is still the boot id."""

    epoch: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class RunnerDown:
    """The connection to the runner of a container is gone; its runs may well go on."""

    container: str = TASK_CONTAINER


@dataclass(frozen=True, slots=True)
class Stays:
    """The pod does not begin anew: one of its runners has refused."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The runner forked."""

    execution_id: str
    started_at: float


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The runner reports an end."""

    execution_id: str
    task_name: str
    outcome: Ended
    container: str = TASK_CONTAINER


@dataclass(frozen=True, slots=True)
class RunUnknown:
    """The runner of a container does not know a run that it was to kill."""

    execution_id: str
    container: str = TASK_CONTAINER


@dataclass(frozen=True, slots=True)
class Stopping:
    """The pod was told to stop: nothing starts any more."""


Event = (
    Restored
    | Led
    | RunAsked
    | KillAsked
    | Acknowledged
    | RunnerUp
    | Prepared
    | RestartAsked
    | Stays
    | RunnerDown
    | RunStarted
    | RunFinished
    | RunUnknown
    | MemoryScarce
    | Stopping
)

# ------------------------------------------------------------------ instructions


@dataclass(frozen=True, slots=True)
class Launch:
    """Have the runner of its container start it."""

    execution_id: str
    task_name: str
    request: object
    container: str = TASK_CONTAINER


@dataclass(frozen=True, slots=True)
class End:
    """Have the runner of its container kill it."""

    execution_id: str
    grace: float
    container: str = TASK_CONTAINER


@dataclass(frozen=True, slots=True)
class Forget:
    """Let the runners forget results."""

    execution_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restart:
    """Have the task container's runner leave so that all containers of the pod begin anew.

    others: (container, boot id) of the runners that must have nothing either.
    """

    boot_id: str
    others: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TellInventory:
    """Send the leader all that is known; unacknowledged results went before, as TellFinished."""

    epoch: int
    boot_id: str
    live: tuple[tuple[str, str, float], ...]  # (id, task name, started at)
    acknowledged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TellStarted:
    """Tell the leader of a start."""

    execution_id: str
    started_at: float


@dataclass(frozen=True, slots=True)
class TellFinished:
    """Tell the leader of an end."""

    execution_id: str
    task_name: str
    boot_id: str
    outcome: Ended


@dataclass(frozen=True, slots=True)
class TellUnknown:
    """Tell the leader that a run is not here and will not start."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class TellRejected:
    """Tell the leader that a run was not started."""

    execution_id: str
    reason: str


Instruction = Launch | End | Forget | Restart | TellInventory | TellStarted | TellFinished | TellUnknown | TellRejected
