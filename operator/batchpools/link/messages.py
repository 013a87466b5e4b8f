"""Every message of the link, as array-like tagged msgspec structs in msgpack.

A frame of the WebSocket is one list of messages, in order. `PROTOCOL_VERSION` is raised whenever an older peer would
misread something; fields are only ever appended with defaults. Times are Unix seconds, durations seconds.
Execution ids travel as text (`core.identity.ExecutionId`). What a field may hold says `link.bounds`: what breaks it is no frame.
"""

from typing import Annotated

import msgspec

from batchpools.api.names import TASK_CONTAINER
from batchpools.core.node_config import EnvReference, FileSource
from batchpools.link.bounds import (
    MAX_LIVE,
    Amount,
    Containers,
    Count,
    Duration,
    Epoch,
    ExitCode,
    ObjectName,
    Offset,
    Part,
    Path,
    RunId,
    Size,
    Slots,
    Text,
    Time,
    Token,
    Word,
)

PROTOCOL_VERSION = 3
MAX_FRAME_BYTES = 1 << 20
MAX_SAMPLES = 120  # an hour of them


class Message(msgspec.Struct, frozen=True, array_like=True, tag_field="t"):
    """Base of all messages."""


# ------------------------------------------------------------------ agent -> hub


class Hello(Message, frozen=True, tag=1):
    """First message of a session. `token` is the bound service account token with our audience."""

    version: Count
    token: Token
    agent_version: Word
    max_epoch: Epoch  # highest epoch this agent has obeyed


class StartTaskReport(msgspec.Struct, frozen=True, array_like=True):
    """How the start task stands; `ended_at` 0 while it runs."""

    retry_count: Count
    started_at: Time
    ended_at: Time
    exit_code: ExitCode | None
    code: Word
    message: Text


class NodeReport(Message, frozen=True, tag=2):
    """How the node stands; sent after Welcome to every replica and at each change. phase: a `NodePhase` value.

    boot_id: another one when any of its containers has begun anew. containers: those that tasks may name.
    """

    phase: Word
    boot_id: Word
    slots: Slots
    start_task: StartTaskReport | None
    message: Text
    elevates: bool = False  # it was made for elevated tasks too
    containers: Containers = msgspec.field(default_factory=lambda: [TASK_CONTAINER])
    code: Word = ""  # what keeps it from starting, in one word; message says it
    fetches: bool = False  # its agent brings files for runs


class RunState(msgspec.Struct, frozen=True, array_like=True):
    """One live run in an inventory; `started_at` 0 while it is being launched. task_name: the Task object's name."""

    execution_id: RunId
    started_at: Time
    task_name: ObjectName


class Inventory(Message, frozen=True, tag=3):
    """All that this node knows about runs, in answer to Lead: live ones, and ids acknowledged in the last 10 minutes.

    Finished runs that were not acknowledged come before it, as Finished messages: what is in neither is not on the node.
    More ids than a frame should hold come before it, as InventoryPart messages; the hub puts them together.
    An empty boot_id says nothing about runs: the agent has not met every runner yet, and will tell again when it has.
    """

    epoch: Epoch
    boot_id: Word
    live: Annotated[list[RunState], msgspec.Meta(max_length=MAX_LIVE)]
    acknowledged: Part


class Started(Message, frozen=True, tag=4):
    """A run's process exists."""

    execution_id: RunId
    started_at: Time


class Finished(Message, frozen=True, tag=5):
    """A run has ended and nothing of it is left. Sent again until acknowledged.

    cause: a `Cause` value. exit_code None when nothing ran. code and message say why a launch failed.
    """

    execution_id: RunId
    task_name: ObjectName
    boot_id: Word
    cause: Word
    exit_code: ExitCode | None
    started_at: Time
    ended_at: Time
    user_cpu: Duration
    kernel_cpu: Duration
    max_memory_bytes: Size
    code: Word
    message: Text


class FileChunk(Message, frozen=True, tag=6):
    """Answer to ReadFile: bytes from `offset`; `size` is the file's size now. `error` is empty or a code."""

    request: Size
    offset: Size
    size: Size
    content: bytes
    error: Word
    message: Text


# ------------------------------------------------------------------ hub -> agent


class Welcome(Message, frozen=True, tag=20):
    """The session is authenticated. `replica` names the process; `epoch` is 0 while it does not lead."""

    version: Count
    replica: Text
    node: Text
    pool: Text
    namespace: Text
    epoch: Epoch


class Refused(Message, frozen=True, tag=21):
    """The session is refused and closed. code: a `Refusal` value; retry_after in seconds, 0 = 30."""

    code: Word
    message: Text
    retry_after: Duration


class Lead(Message, frozen=True, tag=22):
    """This replica leads with this epoch: send the inventory. Older epochs are refused from now on."""

    epoch: Epoch


class Run(Message, frozen=True, tag=23):
    """Run a task now. `fresh` empties its working directory first (requeue); a retry keeps it.

    task_name: the Task object's name, given back in inventories (a live GET settles what an unknown uid means).
    directory: `workitems/<job>/<task>`, relative to the node's root. env: the task's over the job's, NAME=value; the
    agent adds AZ_BATCH_*, and expands $(NAME) in argv. wall_clock 0 = no limit. references: variables of env whose values are
    read on the node; what env says of them does not count. container: which one of the pod's it runs in. A run with files is told
    as started before they are there: bringing them is part of it.
    """

    execution_id: RunId
    epoch: Epoch
    task_name: ObjectName
    job: Text
    task: Text
    directory: Path
    argv: list[str]
    env: list[str]
    slots: Slots
    wall_clock: Duration
    fresh: bool
    references: list[EnvReference] = []
    elevated: bool = False  # sent only to a node that elevates
    container: Word = TASK_CONTAINER
    files: list[FileSource] = []  # brought before it begins; sent only to a node that fetches


class Kill(Message, frozen=True, tag=24):
    """End a run: SIGTERM, `grace` seconds, SIGKILL. Confirmed by Finished (or by Unknown)."""

    execution_id: RunId
    epoch: Epoch
    grace: Duration


class Ack(Message, frozen=True, tag=25):
    """These results are persisted (or of no interest): forget them."""

    execution_ids: Part


class ReadFile(Message, frozen=True, tag=26):
    """Read a regular file below the node's root; a negative offset counts from the end. Any replica may ask."""

    request: Size
    path: Path
    offset: Offset
    limit: Size


class RemoveDirectory(Message, frozen=True, tag=27):
    """Remove a task's directory, which its runs in that container have left."""

    epoch: Epoch
    path: Path
    container: Word = TASK_CONTAINER


class Restart(Message, frozen=True, tag=29):
    """Have all containers of the pod begin anew (a reboot in place), if this is still the boot id and no task runs.

    Answered by the node's next session, with another boot id. An agent that does not know it ends the session.
    """

    epoch: Epoch
    boot_id: Word


# ------------------------------------------------------------------ agent -> hub, answers


class Unknown(Message, frozen=True, tag=8):
    """The node knows nothing of a run that Kill named: it is not there and will not start under this epoch."""

    execution_id: RunId


class Rejected(Message, frozen=True, tag=9):
    """A Run that the agent did not carry out: older epoch, stopping, no runner. The task was not started."""

    execution_id: RunId
    reason: Text


class InventoryPart(Message, frozen=True, tag=10):
    """Acknowledged ids that belong to the Inventory which follows."""

    acknowledged: Part


class Ping(Message, frozen=True, tag=11):
    """I am here. Sent to every replica each second; `sent_at` is the node's CLOCK_BOOTTIME in seconds, opaque to the hub."""

    sent_at: Duration


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """What a node used within 30 s; -1 = it cannot be told. age: seconds since then.

    cpu: share of the cores that it may use, 0 to 1; memory in MiB, disk in GiB at the end of that time; bytes and operations.
    """

    age: Duration
    cpu: Amount
    memory: Amount
    disk: Amount
    disk_read_bytes: Amount
    disk_write_bytes: Amount
    disk_read_ops: Amount
    disk_write_ops: Amount
    network_in: Amount
    network_out: Amount

    def measured(self) -> tuple[float, ...]:
        """All but the age, in the order of `core.autoscale.vocabulary.RESOURCE_VARIABLES`."""
        return (
            self.cpu,
            self.memory,
            self.disk,
            self.disk_read_bytes,
            self.disk_write_bytes,
            self.disk_read_ops,
            self.disk_write_ops,
            self.network_in,
            self.network_out,
        )


class Samples(Message, frozen=True, tag=12):
    """What the node measured, oldest first. To the leader: one each 30 s; to one that begins to lead, all of the last hour."""

    samples: Annotated[list[Sample], msgspec.Meta(max_length=MAX_SAMPLES)]


class Pong(Message, frozen=True, tag=28):
    """The leader vouches for the node until `timeout` seconds after the ping that was sent at `sent_at` (safety rule S3.2).

    Sent only after a renewal of the Lease that was begun after that ping had arrived.
    """

    epoch: Epoch
    sent_at: Duration
    timeout: Duration


FromAgent = (
    Hello
    | NodeReport
    | Inventory
    | Started
    | Finished
    | FileChunk
    | Unknown
    | Rejected
    | InventoryPart
    | Ping
    | Samples
)
FromHub = Welcome | Refused | Lead | Run | Kill | Ack | ReadFile | RemoveDirectory | Pong | Restart
