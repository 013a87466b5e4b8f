"""Task: one command of a job, run once on a node with free slots. Source of the concepts: Azure Batch REST reference, Task."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from batchpools.api import names
from batchpools.api.common import (
    EPOCH_RULE,
    FRESH_CONDITIONS,
    ONE_COMMAND,
    Command,
    CommandLine,
    Conditions,
    ContainerName,
    DnsLabel,
    Duration,
    Env,
    FailureInfo,
    Model,
    Status,
    TaskId,
    rule,
    rules,
)
from batchpools.api.resource_file import ResourceFiles
from batchpools.api.states import Result, TaskState

_Name = Annotated[str, Field(max_length=253)]


class TaskConstraints(Model):
    """Limits of a task."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.maxWallClockTime) || (duration(self.maxWallClockTime) >= duration('1s')"
                " && duration(self.maxWallClockTime) <= duration('4320h'))",
                "maxWallClockTime must lie between 1s and 4320h",
            ),
            rule(
                "!has(self.retentionTime) || duration(self.retentionTime) <= duration('4320h')",
                "retentionTime must not be longer than 4320h",
            ),
        )
    )
    max_wall_clock_time: Duration | None = Field(default=None, description="The longest that one run may take.")
    retention_time: Duration | None = Field(
        default=None,
        description="How long what it left on its node is kept after its end, if the node stays; 168h by default.",
    )
    max_task_retry_count: int | None = Field(
        default=None,
        ge=-1,
        le=10000,
        description="How often it is run again after an exit code other than 0; -1 without end; the job's by default.",
    )


class TaskBody(Model):
    """What a task runs, inline or on its own."""

    command: Command | None = Field(default=None, description="The command, one word an item; $(NAME) is expanded.")
    command_line: CommandLine | None = Field(
        default=None, description="The command as one line, split into words; no shell."
    )
    env: Env | None = Field(default=None, description="Its environment, over the job's.")
    resource_files: ResourceFiles | None = Field(
        default=None, description="Files that are there before the command runs; a retry finds them as it left them."
    )
    constraints: TaskConstraints | None = Field(default=None, description="Its limits.")
    required_slots: int = Field(default=1, ge=1, le=256, description="How many slots of one node it takes.")
    elevated: bool = Field(
        default=False, description="Whether it runs as root of its container; its pool must say allowElevated."
    )
    container: ContainerName = Field(
        default=names.TASK_CONTAINER, description="In which container of its pool's template it runs."
    )


_FIXED = "command, commandLine, env, resourceFiles, requiredSlots, elevated, container, jobName and id of a task cannot change"


class TaskSpec(TaskBody):
    """A task as the user wants it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ONE_COMMAND,
            rule(
                "self.jobName == oldSelf.jobName && has(self.id) == has(oldSelf.id)"
                " && (!has(self.id) || self.id == oldSelf.id)",
                _FIXED,
            ),
            rule(
                "has(self.command) == has(oldSelf.command) && (!has(self.command) || self.command == oldSelf.command)"
                " && has(self.commandLine) == has(oldSelf.commandLine)"
                " && (!has(self.commandLine) || self.commandLine == oldSelf.commandLine)",
                _FIXED,
            ),
            rule(
                "has(self.env) == has(oldSelf.env) && (!has(self.env) || self.env == oldSelf.env)"
                " && has(self.resourceFiles) == has(oldSelf.resourceFiles)"
                " && (!has(self.resourceFiles) || self.resourceFiles == oldSelf.resourceFiles)"
                " && self.requiredSlots == oldSelf.requiredSlots && self.elevated == oldSelf.elevated"
                " && self.container == oldSelf.container",
                _FIXED,
            ),
        )
    )
    job_name: DnsLabel = Field(description="The job that it belongs to.")
    id: TaskId | None = Field(default=None, description="Its id in the job; the object's name by default.")


class TaskStats(Model):
    """What the last run used."""

    wall_clock_time: str = Field(default="", max_length=32, description="Time from start to end.")
    user_cpu_time: str = Field(default="", max_length=32, alias="userCPUTime", description="CPU time in user mode.")
    kernel_cpu_time: str = Field(
        default="", max_length=32, alias="kernelCPUTime", description="CPU time in the kernel."
    )
    max_memory_bytes: int = Field(default=0, description="The largest resident set of a process.")


class TaskStatus(Status):
    """How a task stands."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            EPOCH_RULE,
            rule("oldSelf.state != 'Completed' || self.state == 'Completed'", "a task that has ended stays ended"),
        )
    )
    state: TaskState = Field(default=TaskState.ACTIVE, description="Where it is in its life.")
    result: Result | None = Field(default=None, description="How it ended.")
    exit_code: int | None = Field(
        default=None, json_schema_extra={"format": "int64"}, description="Exit code of the last run."
    )
    start_time: datetime | None = Field(default=None, description="When the last run began.")
    end_time: datetime | None = Field(default=None, description="When it ended.")
    pool_node_name: _Name = Field(default="", description="The node of the last run.")
    execution_id: _Name = Field(default="", alias="executionID", description="The run that this speaks of.")
    attempt: int = Field(default=0, description="The number of that run.")
    retry_count: int = Field(default=0, description="Runs again after an exit code other than 0.")
    requeue_count: int = Field(default=0, description="Runs again through no fault of its own.")
    requeue_reasons: dict[str, int] = Field(default={}, description="Those by reason.")
    failure_info: FailureInfo | None = Field(default=None, description="Why it failed.")
    stats: TaskStats | None = Field(default=None, description="What the last run used.")
    conditions: Conditions = Field(default=[], description="Schedulable, Complete, Failed, Finished, by type.")


_FRESH: dict[str, Any] = {"default": {"state": "Active", "conditions": FRESH_CONDITIONS}}


class Task(Model):
    """A task of a job."""

    spec: TaskSpec = Field(description="What it runs.")
    status: TaskStatus = Field(
        default=TaskStatus(), json_schema_extra=_FRESH, description="How the task stands; written by the operator."
    )
