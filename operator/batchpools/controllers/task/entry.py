"""One line of the book: a task that has not ended, and what the leader knows of it. It decides nothing."""

from dataclasses import dataclass, field

from batchpools.core.identity import Key
from batchpools.core.scheduling.fit import Refusal
from batchpools.core.tasks.lifecycle import State, Waiting, name_of
from batchpools.core.views import TaskStatus, TaskView
from batchpools.link.messages import Finished

PoolKey = tuple[str, str]
JobKey = tuple[str, str]


@dataclass(slots=True)
class Entry:
    """A task that has not ended. `status` is what we last wrote or saw: the next write starts from it."""

    view: TaskView
    status: TaskStatus
    since: float  # monotonic: when it began to wait
    state: State = field(default_factory=Waiting)
    attempt: int = 0  # of the latest run that we sent or saw
    deleted: bool = False
    asking: bool = False  # the API server is being asked how it stands
    losers: dict[str, str] = field(default_factory=dict)  # execution id -> pod uid: to be confirmed dead first
    parked: Finished | None = None  # the result that waits for the losers' end
    refusal: Refusal | None = None  # why it is in no queue
    refusal_told: str = ""
    queued_in: PoolKey | None = None
    pod: str = ""  # where there is something to confirm or acknowledge
    slots_on: str = ""  # where it holds slots
    counted: bool = False  # as running
    story: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """The story begins."""
        self.story = (name_of(self.state),)

    @property
    def uid(self) -> str:
        """The task's uid."""
        return self.view.metadata.uid

    @property
    def key(self) -> Key:
        """The task's name."""
        return Key("Task", self.view.metadata.namespace, self.view.metadata.name)

    @property
    def job_key(self) -> JobKey:
        """The job it names."""
        return (self.view.metadata.namespace, self.view.spec.job_name)


def task_id(view: TaskView) -> str:
    """The task's id in its job."""
    return view.spec.id or view.metadata.name


def directory_of(view: TaskView) -> str:
    """A task's directory on a node, relative to its root."""
    return f"workitems/{view.spec.job_name}/{task_id(view)}"


def created_at(view: TaskView) -> float:
    """When the object was made, in Unix seconds."""
    made = view.metadata.creation_timestamp
    return made.timestamp() if made is not None else 0.0
