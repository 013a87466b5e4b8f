"""The port to the leader's book of runs: what other controllers may ask of it, and what they may want done.

`controllers.task` keeps the book; pool, node and job controllers, explain and metrics read it. Everything in it can be
rebuilt after a restart from the cache and the agents' inventories.
"""

from enum import StrEnum
from typing import NamedTuple, Protocol

from batchpools.api.reasons import Reason, RequeueReason
from batchpools.api.states import NodeDeallocationOption
from batchpools.core.views import RecentTask, TaskCounts


class Contact(StrEnum):
    """How it stands with a node's pod. RECORDED: silent, and the status of every task there says so."""

    IN_TOUCH = "InTouch"
    SILENT = "Silent"
    RECORDED = "Recorded"
    GIVEN_UP = "GivenUp"  # silent for its T and a margin: its runs are dead


class NodeRuns(NamedTuple):
    """What one node does now and did so far."""

    slots_used: int = 0
    running_tasks: int = 0
    total_run: int = 0
    total_succeeded: int = 0
    recent: tuple[RecentTask, ...] = ()
    busy: bool = False  # for long enough that nobody should take its machine away
    quarantine: str = ""  # why it takes no tasks for a while, in a sentence
    quarantined_for: Reason = Reason.TASK_LAUNCH_FAILED
    manages: bool = False  # a job manager is there


class PoolLoad(NamedTuple):
    """The tasks of a pool. active: those that wait and could run; running: those that hold slots, or may."""

    active: int = 0
    active_slots: int = 0
    running: int = 0
    running_slots: int = 0
    succeeded: int = 0
    failed: int = 0


class Explanation(NamedTuple):
    """Why a task stands where it stands. position: 1-based place in the pool's queue, 0 when it does not wait."""

    state: str
    node: str
    reason: str
    message: str
    position: int
    waiting: int
    refusals: tuple[tuple[str, str], ...]  # (node or "", sentence), every refusal of the chain of checks


class RunLedger(Protocol):
    """Questions (cheap, from memory) and commands (idempotent, given again until the question is answered well)."""

    def job_counts(self, namespace: str, job: str) -> TaskCounts:
        """Live counts; a task counts as completed only once that is persisted."""
        ...

    def node_runs(self, pod_uid: str) -> NodeRuns:
        """What the node of this pod does."""
        ...

    def pool_slots(self, namespace: str, pool: str) -> tuple[int, int]:
        """(total, used) slots of the pool's ready nodes."""
        ...

    def pool_load(self, namespace: str, pool: str) -> PoolLoad:
        """The tasks of a pool; the cost follows its jobs, not its tasks."""
        ...

    def pool_waits(self, namespace: str, pool: str) -> int:
        """How many tasks wait for a node of the pool."""
        ...

    def contact(self, pod_uid: str) -> Contact:
        """Whether the leader hears of this pod."""
        ...

    def set_aside(self, pod_uid: str) -> None:
        """The node's status is about to say that it is disconnected: nothing is sent there until it is taken back."""
        ...

    def take_back(self, pod_uid: str) -> None:
        """The node's status says, as persisted, that it is connected again."""
        ...

    def is_set_aside(self, pod_uid: str) -> bool:
        """Whether nothing is sent there for that reason."""
        ...

    def drain_node(
        self, pod_uid: str, reason: RequeueReason, option: NodeDeallocationOption = NodeDeallocationOption.REQUEUE
    ) -> None:
        """No more tasks for it; its runs end as the option says (`core.pools.emptying`). reason: of a requeue."""
        ...

    def resume_node(self, pod_uid: str) -> None:
        """It is to be emptied no more: it takes tasks again."""
        ...

    def restart_node(self, pod_uid: str, boot_id: str) -> None:
        """Have all containers of a drained node begin anew, if this is still its boot id; one that is not drained is left alone."""
        ...

    def is_draining(self, pod_uid: str) -> bool:
        """Whether it takes no tasks since it is to be emptied."""
        ...

    def cordon(self, namespace: str, pool: str, pod_uids: frozenset[str]) -> None:
        """No new task goes to exactly these pods of the pool."""
        ...

    def cordoned(self, namespace: str, pool: str) -> frozenset[str]:
        """What was last said so of the pool."""
        ...

    def is_drained(self, pod_uid: str) -> bool:
        """Whether the node takes no tasks, and every end on it is confirmed and persisted."""
        ...

    def release_node(self, pod_uid: str) -> None:
        """The kubelet wrote that all task containers of this pod are dead (safety rule S4.1): requeue its runs, they are lost."""
        ...

    def is_released(self, pod_uid: str) -> bool:
        """Whether nothing is believed to run in this pod, and what followed from that is persisted."""
        ...

    def end_job(self, namespace: str, job: str) -> None:
        """Kill the runs of a job that is going away, start none."""
        ...

    def is_job_quiet(self, namespace: str, job: str) -> bool:
        """Whether nothing of the job runs any more, confirmed."""
        ...

    def explain(self, namespace: str, task: str) -> Explanation | None:
        """None when no such task is known."""
        ...
