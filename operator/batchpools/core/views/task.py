"""A Task as decisions read it. Shapes only."""

from datetime import datetime

import msgspec

from batchpools.core.views.base import ConditionView, EnvVar, FailureInfo, Meta, ResourceFile, View


class TaskConstraints(View, frozen=True):
    """Limits of a task; durations as text; None = the job's, else none."""

    max_wall_clock_time: str | None = None
    max_task_retry_count: int | None = None
    retention_time: str | None = None


class TaskSpec(View, frozen=True):
    """A task as the user wants it."""

    job_name: str = ""
    id: str = ""
    command: tuple[str, ...] = ()
    command_line: str = ""
    env: tuple[EnvVar, ...] = ()
    resource_files: tuple[ResourceFile, ...] = ()
    constraints: TaskConstraints = TaskConstraints()
    required_slots: int = 1
    elevated: bool = False
    container: str = "task"


class TaskStats(View, frozen=True):
    """What a task used."""

    wall_clock_time: str = ""
    user_cpu_time: str = msgspec.field(default="", name="userCPUTime")
    kernel_cpu_time: str = msgspec.field(default="", name="kernelCPUTime")
    max_memory_bytes: int = 0


class TaskStatus(View, frozen=True):
    """How a task stands. `execution_id` is the run that the status speaks of."""

    observed_generation: int = 0
    epoch: int = 0
    state: str = "Active"
    result: str = ""
    exit_code: int | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    pool_node_name: str = ""
    execution_id: str = msgspec.field(default="", name="executionID")
    attempt: int = 0
    retry_count: int = 0
    requeue_count: int = 0
    requeue_reasons: dict[str, int] = {}
    failure_info: FailureInfo | None = None
    stats: TaskStats | None = None
    conditions: tuple[ConditionView, ...] = ()


class TaskView(View, frozen=True):
    """One Task."""

    metadata: Meta
    spec: TaskSpec = TaskSpec()
    status: TaskStatus = TaskStatus()
