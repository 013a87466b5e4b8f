"""Job: a set of tasks that run in one pool. Source of the concepts: Azure Batch REST reference, Job."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from batchpools.api.auto_pool import AutoPool, SchedulingError
from batchpools.api.common import (
    EPOCH_RULE,
    FRESH_CONDITIONS,
    ONE_COMMAND,
    Conditions,
    DnsLabel,
    Env,
    Model,
    Status,
    TaskId,
    rule,
    rules,
)
from batchpools.api.states import JobState, OnAllTasksComplete, Result
from batchpools.api.task import TaskBody


class JobConstraints(Model):
    """What the job's tasks get when they say nothing."""

    max_task_retry_count: int | None = Field(
        default=None, ge=-1, le=10000, description="Retries of a task that names none; -1 without end."
    )


class Terminate(Model):
    """The end of a job or a schedule, asked for by its user."""

    reason: Annotated[str, Field(max_length=256)] = Field(default="", description="Why, in the user's words.")


_MANAGER_STAYS = "jobManagerTask cannot change"


class InlineTask(TaskBody):
    """A task written inside its job."""

    model_config = ConfigDict(
        json_schema_extra=rules(ONE_COMMAND, rule("self == oldSelf", "a task of a job cannot change once it is there"))
    )
    id: TaskId = Field(description="Its id, unique in the job.")


class JobManagerTask(TaskBody):
    """The task that runs the job: it goes first, and the job ends with it."""

    model_config = ConfigDict(json_schema_extra=rules(ONE_COMMAND, rule("self == oldSelf", _MANAGER_STAYS)))
    id: TaskId = Field(description="Its id, unique in the job.")
    kill_job_on_completion: bool = Field(
        default=True, description="Whether the job ends when it has ended, whatever else runs or waits."
    )
    run_exclusive: bool = Field(default=True, description="Whether nothing else runs on its node while it does.")
    allow_low_priority_node: bool = Field(default=True, description="Whether it may run on a low-priority node.")


class JobSpec(Model):
    """A job as the user wants it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("has(self.poolName) != has(self.autoPool)", "exactly one of poolName and autoPool must be given"),
            rule(
                "has(self.poolName) == has(oldSelf.poolName) && (!has(self.poolName) || self.poolName == oldSelf.poolName)",
                "poolName cannot change",
            ),
            rule(
                "!has(oldSelf.tasks) || (has(self.tasks) && oldSelf.tasks.map(t, t.id)"
                " == self.tasks.map(t, t.id).slice(0, oldSelf.tasks.size()))",
                "tasks may only be added at the end",
            ),
            rule(
                "!(has(oldSelf.onAllTasksComplete) && oldSelf.onAllTasksComplete == 'TerminateJob')"
                " || (has(self.onAllTasksComplete) && self.onAllTasksComplete == 'TerminateJob')",
                "there is no way back from onAllTasksComplete: TerminateJob",
            ),
            rule("has(self.jobManagerTask) == has(oldSelf.jobManagerTask)", _MANAGER_STAYS),
            rule(
                "!has(self.jobManagerTask) || !has(self.tasks) || !self.tasks.exists(t, t.id == self.jobManagerTask.id)",
                "the id of jobManagerTask must not be that of one of the tasks",
            ),
            rule("!has(oldSelf.terminate) || has(self.terminate)", "there is no way back from terminate"),
        )
    )
    pool_name: DnsLabel | None = Field(
        default=None, description="The pool that its tasks run in; they wait until it is there."
    )
    auto_pool: AutoPool | None = Field(default=None, description="A pool of its own, made with the job.")
    priority: int = Field(default=0, ge=-1000, le=1000, description="Higher goes first; may change at any time.")
    env: Env | None = Field(default=None, description="Environment of all of its tasks.")
    constraints: JobConstraints | None = Field(default=None, description="What its tasks get when they say nothing.")
    on_all_tasks_complete: OnAllTasksComplete | None = Field(
        default=None,
        description="TerminateJob ends the job once all its tasks have ended; the default with inline tasks, else NoAction.",
    )
    job_manager_task: JobManagerTask | None = Field(
        default=None, description="A task that runs before all others, and whose end is that of the job."
    )
    terminate: Terminate | None = Field(
        default=None, description="Ends the job for good: what runs is killed, what waits ends with it."
    )
    tasks: (
        Annotated[
            list[InlineTask],
            Field(
                min_length=1,
                max_length=1000,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
            ),
        ]
        | None
    ) = Field(default=None, description="Tasks that are made with the job; more may be added at the end.")


class TaskCounts(Model):
    """Tasks by state."""

    active: int = Field(default=0, description="Waiting.")
    running: int = Field(default=0, description="Running on a node.")
    completed: int = Field(default=0, description="Ended.")
    succeeded: int = Field(default=0, description="Ended well.")
    failed: int = Field(default=0, description="Ended badly.")


class JobStatus(Status):
    """How a job stands."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            EPOCH_RULE,
            rule("oldSelf.state != 'Completed' || self.state == 'Completed'", "a job that has ended stays ended"),
        )
    )
    state: JobState = Field(default=JobState.ACTIVE, description="Where it is in its life.")
    result: Result | None = Field(default=None, description="Success if every task succeeded.")
    start_time: datetime | None = Field(default=None, description="When it was created.")
    end_time: datetime | None = Field(default=None, description="When it ended.")
    pool_name: Annotated[str, Field(max_length=63)] = Field(default="", description="The pool that its tasks run in.")
    scheduling_error: SchedulingError | None = Field(
        default=None, description="Why it could not be scheduled, and has ended for it."
    )
    terminate_reason: Annotated[str, Field(max_length=256)] = Field(default="", description="Why it ended.")
    tasks_created: int = Field(
        default=0, description="How many tasks have been made: its manager, then spec.tasks in order."
    )
    task_counts: TaskCounts = Field(default=TaskCounts(), description="Its tasks by state; seconds old.")
    conditions: Conditions = Field(default=[], description="Complete, Failed, Finished, Schedulable, Stalled, by type.")


class Job(Model):
    """A job: tasks that run in one pool."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
                "the name of a job has at most 63 characters and no dots",
            ),
            rule(
                "!has(oldSelf.status) || oldSelf.status.state != 'Completed' || !has(self.spec.tasks)"
                " || (has(oldSelf.spec.tasks) && self.spec.tasks.size() == oldSelf.spec.tasks.size())",
                "tasks cannot be added to a job that has ended",
            ),
        )
    )
    spec: JobSpec = Field(description="What the job is.")
    status: JobStatus = Field(
        default=JobStatus(),
        json_schema_extra={"default": {"state": "Active", "conditions": FRESH_CONDITIONS}},
        description="How the job stands; written by the operator.",
    )
