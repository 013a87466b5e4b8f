"""PoolNode: one node of a pool, made by the operator; it keeps its name when its pod is replaced."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from batchpools.api.common import EPOCH_RULE, DnsLabel, FailureInfo, Model, RequestId, Status, Text, rule, rules
from batchpools.api.states import (
    ActionResult,
    DisableSchedulingOption,
    NodeActionType,
    NodeDeallocationOption,
    NodeState,
    Result,
    SchedulingState,
    StartTaskState,
)

_Name = Annotated[str, Field(max_length=253)]


class NodeAction(Model):
    """Something that the node is to do once for each new requestId. Source: REST reference, Compute Node - Reboot, Reimage."""

    type: NodeActionType = Field(
        description="Reboot: all containers begin anew in the same pod (where the cluster cannot do that: in a new one). Reimage: "
        "a new pod. Remove: the node leaves, and its pool replaces it unless its target is lowered too."
    )
    request_id: RequestId = Field(description="A new one asks once; answered in status.lastAction.")
    option: NodeDeallocationOption = Field(
        default=NodeDeallocationOption.REQUEUE, description="What becomes of the tasks that run there."
    )


class PoolNodeSpec(Model):
    """Which pool a node belongs to, whether it takes tasks, and what it is to do once."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("self.poolName == oldSelf.poolName", "a node stays in its pool: poolName cannot change"),
            rule("self.isDedicated == oldSelf.isDedicated", "isDedicated cannot change: it says how the node was made"),
            rule(
                "!has(self.action) || !has(oldSelf.action) || self.action == oldSelf.action"
                " || self.action.requestId != oldSelf.action.requestId",
                "another action needs another requestId",
            ),
        )
    )
    pool_name: DnsLabel = Field(description="The pool it belongs to.")
    is_dedicated: bool = Field(
        default=True,
        description="Whether it counts as dedicated; else it is a low-priority node, which may be preempted.",
    )
    scheduling_state: SchedulingState = Field(
        default=SchedulingState.ENABLED,
        description="Disabled: it takes no more tasks, and is Offline once it has none.",
    )
    scheduling_disable_option: DisableSchedulingOption = Field(
        default=DisableSchedulingOption.REQUEUE, description="What becomes of its tasks when it is disabled."
    )
    action: NodeAction | None = Field(default=None, description="Something that it is to do once.")


class LastNodeAction(Model):
    """The answer to the last action, and what is needed to carry it on after a restart of the operator."""

    request_id: RequestId = Field(description="Which request.")
    type: NodeActionType = Field(description="What was asked for.")
    result: ActionResult = Field(description="How far it has come.")
    start_time: datetime | None = Field(default=None, description="When it was begun.")
    end_time: datetime | None = Field(default=None, description="When it was done.")
    restart_time: datetime | None = Field(
        default=None, description="When the containers were first told to begin anew."
    )
    boot_id: _Name = Field(default="", alias="bootID", description="The bootID that is to end.")
    restart_count: int = Field(default=0, description="How often the pod's containers had begun anew before.")


class StartTaskInfo(Model):
    """How the start task went."""

    state: StartTaskState = Field(default=StartTaskState.RUNNING, description="Whether it has ended.")
    exit_code: int | None = Field(default=None, description="Exit code of the last run.")
    retry_count: int = Field(default=0, description="How often it was run again.")
    start_time: datetime | None = Field(default=None, description="When the last run began.")
    end_time: datetime | None = Field(default=None, description="When the last run ended.")
    result: Result | None = Field(default=None, description="How it ended.")
    failure_info: FailureInfo | None = Field(default=None, description="Why it failed.")


class RecentTask(Model):
    """A run that ended on the node."""

    job_name: Annotated[str, Field(max_length=63)] = Field(description="Its job.")
    task_id: Annotated[str, Field(max_length=253)] = Field(description="Its id in the job.")
    start_time: datetime | None = Field(default=None, description="When it began.")
    end_time: datetime | None = Field(default=None, description="When it ended.")
    exit_code: int | None = Field(default=None, description="How its command left.")
    result: Result | None = Field(default=None, description="Whether it succeeded.")


class NodeError(Model):
    """Something that is wrong with the node."""

    code: Annotated[str, Field(max_length=64)] = Field(description="What, in one word.")
    message: Annotated[str, Field(max_length=4096)] = Field(default="", description="What, in Kubernetes' own words.")


class PoolNodeStatus(Status):
    """How a node stands."""

    model_config = ConfigDict(json_schema_extra=rules(EPOCH_RULE))
    state: NodeState = Field(default=NodeState.CREATING, description="Azure's word for how it stands.")
    pod_generation: int = Field(default=0, description="How many pods this node has had.")
    pod_name: _Name = Field(default="", description="Its present pod.")
    pod_uid: _Name = Field(default="", alias="podUID", description="The uid of its present pod.")
    pod_ip: _Name = Field(default="", alias="podIP", description="The address of its present pod.")
    boot_id: _Name = Field(default="", alias="bootID", description="Changes when its task container restarts.")
    node_name: _Name = Field(default="", description="The Kubernetes node that carries it.")
    node_unreachable_timeout: Annotated[str, Field(max_length=32)] = Field(
        default="", description="The pool's nodeUnreachableTimeout when its present pod was made."
    )
    image: Text = Field(default="", description="The image that tasks run in.")
    template_hash: Annotated[str, Field(max_length=64)] = Field(
        default="",
        description="What its present pod was made from; another one than the pool's means that it is outdated.",
    )
    image_digest: Annotated[str, Field(max_length=256)] = Field(
        default="", description="What the image was known to be when its present pod was made."
    )
    image_id: Text = Field(default="", alias="imageID", description="What that image was when its container began.")
    start_time: datetime | None = Field(default=None, description="When its present pod began.")
    task_slots: int = Field(default=0, description="Its slots.")
    running_tasks: int = Field(default=0, description="Tasks that run there; seconds old.")
    total_tasks_run: int = Field(default=0, description="Runs that ended there.")
    total_tasks_succeeded: int = Field(default=0, description="Runs that succeeded there.")
    recent_tasks: Annotated[list[RecentTask], Field(max_length=16)] = Field(
        default=[], description="The runs that ended there last, the newest at the end; seconds old."
    )
    start_task_info: StartTaskInfo | None = Field(default=None, description="How its start task went.")
    last_action: LastNodeAction | None = Field(default=None, description="How far the last action has come.")
    errors: Annotated[list[NodeError], Field(max_length=16)] = Field(default=[], description="What is wrong with it.")


class PoolNode(Model):
    """A node of a pool: a warm pod that runs tasks."""

    spec: PoolNodeSpec = Field(description="Which pool it belongs to.")
    status: PoolNodeStatus = Field(
        default=PoolNodeStatus(),
        json_schema_extra={"default": {"state": "Creating"}},
        description="How the node stands; written by the operator.",
    )
