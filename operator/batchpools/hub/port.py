"""What the hub gives to controllers and what it tells them: the two ports between the link and the decisions.

All calls and callbacks happen on the event loop of the operator and return at once.
"""

from typing import Protocol

import msgspec

from batchpools.api.names import DEFAULT_UNREACHABLE_TIMEOUT, TASK_CONTAINER
from batchpools.link.messages import FileChunk, Finished, Inventory, NodeReport, Rejected, Run, Sample, Started


class NodeIdentity(msgspec.Struct, frozen=True):
    """Who is at the other end of a session: from the token's bound pod and the PoolNode that names it. The key is pod_uid.

    unreachable_timeout: T of the dead-man timer in seconds, fixed for the life of the pod (safety rule S3.3).
    """

    namespace: str
    pool: str
    node: str
    pod_name: str
    pod_uid: str
    unreachable_timeout: float = DEFAULT_UNREACHABLE_TIMEOUT


class SessionInfo(msgspec.Struct, frozen=True):
    """A live session: who, what it last reported, the epochs of its inventory and of our word for it."""

    node: NodeIdentity
    report: NodeReport | None
    inventory_epoch: int
    vouched_epoch: int = 0


class HubListener(Protocol):
    """Told of everything that agents say. Only the leader acts on it."""

    def node_reported(self, node: NodeIdentity, report: NodeReport) -> None:
        """A session began or the node's phase changed."""
        ...

    def inventory(self, node: NodeIdentity, inventory: Inventory) -> None:
        """What runs there; Finished messages that nobody acknowledged came before."""
        ...

    def started(self, node: NodeIdentity, message: Started) -> None:
        """A run's process exists."""
        ...

    def finished(self, node: NodeIdentity, message: Finished) -> None:
        """A run has ended; to be acknowledged once persisted."""
        ...

    def unknown(self, node: NodeIdentity, execution_id: str) -> None:
        """A run that we asked to kill is not there."""
        ...

    def rejected(self, node: NodeIdentity, message: Rejected) -> None:
        """A dispatch was not carried out."""
        ...

    def pinged(self, node: NodeIdentity) -> None:
        """It is there; heard each second."""
        ...

    def vouched(self, node: NodeIdentity) -> None:
        """The node has our first pong of this epoch and session: runs may be sent."""
        ...

    def measured(self, node: NodeIdentity, samples: list[Sample]) -> None:
        """What the node used of its resources."""
        ...

    def node_left(self, node: NodeIdentity) -> None:
        """The session is gone; the node's tasks may well go on."""
        ...


class HubPort(Protocol):
    """What controllers may ask of the hub. False = no session, or we do not lead (by the hub's own lease deadline)."""

    def dispatch(self, pod_uid: str, run: Run) -> bool:
        """Send a run; ValueError with a sentence when it is larger than the link carries."""
        ...

    def kill(self, pod_uid: str, execution_id: str, grace: float) -> bool:
        """Ask for the end of a run."""
        ...

    def acknowledge(self, pod_uid: str, execution_ids: list[str]) -> bool:
        """Say that results are persisted."""
        ...

    def remove_directory(self, pod_uid: str, path: str, container: str = TASK_CONTAINER) -> bool:
        """Have a task's directory removed, by the runner of the container that it ran in."""
        ...

    def restart(self, pod_uid: str, boot_id: str) -> bool:
        """Have all containers of a pod begin anew, if this is still its boot id and nothing runs there."""
        ...

    def session(self, pod_uid: str) -> SessionInfo | None:
        """The live session of a pod, if there is one."""
        ...

    def sessions(self) -> list[SessionInfo]:
        """All live sessions."""
        ...

    def drop(self, pod_uid: str) -> None:
        """Cut the session of a pod, if there is one: its agent begins anew with an inventory."""
        ...

    async def read_file(self, pod_uid: str, path: str, offset: int, limit: int) -> FileChunk:
        """A piece of a file on the node; ConnectionError without a session, TimeoutError after 10 s."""
        ...
