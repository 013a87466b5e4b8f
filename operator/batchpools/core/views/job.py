"""A Job as decisions read it. Shapes only."""

from datetime import datetime
from typing import Any

from batchpools.core.identity import auto_pool_name
from batchpools.core.views.base import ConditionView, EnvVar, Meta, OwnerReference, ResourceFile, View
from batchpools.core.views.task import TaskConstraints


class InlineTask(View, frozen=True):
    """A task written inside a job."""

    id: str
    command: tuple[str, ...] = ()
    command_line: str = ""
    env: tuple[EnvVar, ...] = ()
    resource_files: tuple[ResourceFile, ...] = ()
    constraints: TaskConstraints = TaskConstraints()
    required_slots: int = 1
    elevated: bool = False
    container: str = "task"


class JobManagerTask(InlineTask, frozen=True):
    """The task that runs the job."""

    kill_job_on_completion: bool = True
    run_exclusive: bool = True
    allow_low_priority_node: bool = True


class JobConstraints(View, frozen=True):
    """What a job's tasks get when they say nothing."""

    max_task_retry_count: int | None = None


class AutoPool(View, frozen=True):
    """A pool that lives with its job, or the job's schedule; template: the spec of a Pool, as the API server has it."""

    auto_pool_name_prefix: str = ""
    pool_lifetime: str = "Job"
    keep_alive: bool = False
    template: dict[str, Any] = {}


class SchedulingError(View, frozen=True, omit_defaults=False):
    """Why a job could not be scheduled."""

    category: str
    code: str
    message: str = ""


class Terminate(View, frozen=True):
    """The end of a job or a schedule, asked for by its user."""

    reason: str = ""


class JobSpec(View, frozen=True):
    """A job as the user wants it; exactly one of pool_name and auto_pool."""

    pool_name: str = ""
    auto_pool: AutoPool | None = None
    priority: int = 0
    env: tuple[EnvVar, ...] = ()
    constraints: JobConstraints = JobConstraints()
    on_all_tasks_complete: str | None = None
    job_manager_task: JobManagerTask | None = None
    terminate: Terminate | None = None
    tasks: tuple[InlineTask, ...] = ()


class TaskCounts(View, frozen=True, omit_defaults=False):
    """Tasks of a job by state; succeeded + failed = completed."""

    active: int = 0
    running: int = 0
    completed: int = 0
    succeeded: int = 0
    failed: int = 0


class JobStatus(View, frozen=True):
    """How a job stands."""

    observed_generation: int = 0
    epoch: int = 0
    state: str = "Active"
    result: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    pool_name: str = ""
    scheduling_error: SchedulingError | None = None
    terminate_reason: str = ""
    tasks_created: int = 0  # of its manager and spec.tasks: one that was deleted since is not made again
    task_counts: TaskCounts = TaskCounts()
    conditions: tuple[ConditionView, ...] = ()


class JobView(View, frozen=True):
    """One Job."""

    metadata: Meta
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()

    @property
    def schedule(self) -> OwnerReference | None:
        """The schedule that made it; None for a job that somebody else made."""
        for owner in self.metadata.owner_references:
            if owner.controller and owner.kind == "JobSchedule":
                return owner
        return None

    @property
    def pool(self) -> str:
        """The name of the pool that its tasks run in, whether it is there or not.

        A job that was cut loose from its schedule stays in the pool that it was in.
        """
        auto = self.spec.auto_pool
        if auto is None:
            return self.spec.pool_name
        owner = self.pool_owner
        if owner is None:
            return self.status.pool_name
        return auto_pool_name(auto.auto_pool_name_prefix, owner.name, owner.uid)

    @property
    def pool_owner(self) -> OwnerReference | None:
        """Whose the pool is that is made for it: its own, or its schedule's; None when it has to have a schedule and has none."""
        auto, meta = self.spec.auto_pool, self.metadata
        if auto is not None and auto.pool_lifetime == "JobSchedule":
            return self.schedule
        return OwnerReference(kind="Job", name=meta.name, uid=meta.uid)
