"""A PoolNode as decisions read it. Shapes only."""

from datetime import datetime

import msgspec

from batchpools.core.views.base import ConditionView, FailureInfo, Meta, View


class NodeAction(View, frozen=True):
    """Something that a node is to do once."""

    type: str
    request_id: str
    option: str = "Requeue"


class PoolNodeSpec(View, frozen=True):
    """Which pool a node belongs to, whether it takes tasks, and what it is to do once."""

    pool_name: str = ""
    is_dedicated: bool = True
    scheduling_state: str = "Enabled"
    scheduling_disable_option: str = "Requeue"
    action: NodeAction | None = None


class LastNodeAction(View, frozen=True):
    """How far the last action has come; `boot_id` and `restart_count` as they were when a restart was first asked for."""

    request_id: str
    type: str
    result: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    restart_time: datetime | None = None
    boot_id: str = msgspec.field(default="", name="bootID")
    restart_count: int = 0


class StartTaskInfo(View, frozen=True):
    """How a node's start task went."""

    state: str = "Running"
    exit_code: int | None = None
    retry_count: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    result: str = ""
    failure_info: FailureInfo | None = None


class NodeError(View, frozen=True):
    """Something that is wrong with a node."""

    code: str
    message: str = ""


class RecentTask(View, frozen=True):
    """A run that ended on a node."""

    job_name: str
    task_id: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    exit_code: int | None = None
    result: str = ""


class PoolNodeStatus(View, frozen=True):
    """How a node stands. `pod_generation` is persisted before the pod is created (safety rule S1.2)."""

    observed_generation: int = 0
    epoch: int = 0
    state: str = "Creating"
    pod_generation: int = 0
    node_unreachable_timeout: str = ""
    pod_name: str = ""
    pod_uid: str = msgspec.field(default="", name="podUID")
    pod_ip: str = msgspec.field(default="", name="podIP")
    boot_id: str = msgspec.field(default="", name="bootID")
    node_name: str = ""
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")
    template_hash: str = ""
    image_digest: str = ""
    start_time: datetime | None = None
    task_slots: int = 0
    running_tasks: int = 0
    total_tasks_run: int = 0
    total_tasks_succeeded: int = 0
    recent_tasks: tuple[RecentTask, ...] = ()
    start_task_info: StartTaskInfo | None = None
    last_action: LastNodeAction | None = None
    errors: tuple[NodeError, ...] = ()
    conditions: tuple[ConditionView, ...] = ()


class PoolNodeView(View, frozen=True):
    """One PoolNode."""

    metadata: Meta
    spec: PoolNodeSpec = PoolNodeSpec()
    status: PoolNodeStatus = PoolNodeStatus()
