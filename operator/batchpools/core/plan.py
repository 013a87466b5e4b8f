"""What a decision looks like: a Plan, made of effects from one closed union.

Planners return plans, the one applier (`kube.applier`) carries them out, in order: effects, then the status once, then events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from batchpools.api.reasons import RequeueReason
from batchpools.api.states import NodeDeallocationOption
from batchpools.core.identity import Key

StatusT = TypeVar("StatusT")

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object; AlreadyExists is success only when its controller's uid is `owner_uid` (safety rule S7.2)."""

    key: Key
    manifest: Manifest
    owner_uid: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one life of an object as it was seen (safety rule S5.1): uid and resourceVersion are preconditions.

    Gone already is success; one that has changed since is left to the next decision. Without a version any will do.
    """

    key: Key
    uid: str
    resource_version: str = ""
    grace_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Put a finalizer on one life of an object."""

    key: Key
    uid: str
    finalizer: str


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Take a finalizer off one life of an object; gone already is success."""

    key: Key
    uid: str
    finalizer: str


@dataclass(frozen=True, slots=True)
class Annotate:
    """Set an annotation on one life of an object; gone already is success. first: the object has none yet."""

    key: Key
    uid: str
    name: str
    value: str
    first: bool = False


@dataclass(frozen=True, slots=True)
class ReplaceSpec:
    """Put another spec into one life of an object of ours; gone already is success."""

    key: Key
    uid: str
    spec: Manifest


@dataclass(frozen=True, slots=True)
class Mark:
    """Set labels and annotations on one life of an object that has some of both; gone already is success."""

    key: Key
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Write the whole status of one life of an object, with a test of its uid and the leader's epoch (safety rule S5.1)."""

    key: Key
    uid: str
    status: Any  # a status struct of core.views
    urgent: bool = True  # False: through the bucket of 20 counter writes a second, behind results (safety rule S5.4)


@dataclass(frozen=True, slots=True)
class DrainNode:
    """Send a node nothing more, and do with its runs what the option says (`core.pools.emptying`). reason: of a requeue."""

    pod_uid: str
    reason: RequeueReason
    option: NodeDeallocationOption = NodeDeallocationOption.REQUEUE


@dataclass(frozen=True, slots=True)
class ResumeNode:
    """A node that was being emptied stays after all: it takes tasks again. What was killed meanwhile stays killed."""

    pod_uid: str


@dataclass(frozen=True, slots=True)
class CordonNodes:
    """No new task goes to exactly these pods of a pool, from this moment on: what is chosen to leave cannot become busy.

    It is carried out before anything else can happen if it is the first effect of its plan.
    """

    namespace: str
    pool: str
    pod_uids: frozenset[str]


@dataclass(frozen=True, slots=True)
class RestartNode:
    """Have all containers of an empty node begin anew, if this is still its boot id (safety rule S6.4)."""

    pod_uid: str
    boot_id: str


@dataclass(frozen=True, slots=True)
class ReleaseNode:
    """The kubelet says that the node's containers are dead: requeue what ran there (safety rule S4.1)."""

    pod_uid: str


@dataclass(frozen=True, slots=True)
class EndJob:
    """Have the runs of a job killed, start none."""

    namespace: str
    job: str


ToLedger = DrainNode | ResumeNode | CordonNodes | RestartNode | ReleaseNode | EndJob
Effect = Create | Delete | AddFinalizer | RemoveFinalizer | Annotate | Mark | ReplaceSpec | WriteStatus | ToLedger


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event to publish after the status was written."""

    key: Key
    uid: str
    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Plan(Generic[StatusT]):
    """Everything one decision wants done. `status` None leaves the status alone; `requeue_after` in seconds."""

    effects: tuple[Effect, ...] = ()
    status: StatusT | None = None
    urgent: bool = True
    events: tuple[Event, ...] = field(default=())
    requeue_after: float | None = None
