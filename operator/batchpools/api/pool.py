"""Pool: a set of warm nodes of one kind. Source of the concepts: Azure Batch REST reference, Pool."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from batchpools.api.common import EPOCH_RULE as EPOCH
from batchpools.api.common import (
    ONE_COMMAND,
    Command,
    CommandLine,
    Duration,
    Env,
    Model,
    RequestId,
    Status,
    Text,
    opaque,
    rule,
    rules,
)
from batchpools.api.pod_template import DISK_RULE, DiskSize, Image, LocalObjectReference, LowPriorityTemplate, Template
from batchpools.api.references import ApplicationPackages, Certificates, References
from batchpools.api.resource_file import ResourceFiles
from batchpools.api.states import AllocationState, NodeDeallocationOption, NodeFillType, PoolState
from batchpools.api.task_logs import TaskLogs
from batchpools.api.upgrade_policy import ImageCheck, UpgradePolicy


class TaskSchedulingPolicy(Model):
    """Where tasks go first."""

    node_fill_type: NodeFillType = Field(
        default=NodeFillType.SPREAD, description="Spread fills the emptiest node first, Pack the fullest."
    )


_FILE_SIZE = " + ".join(
    f"(has(one.{field}) ? one.{field}.size() : 0)"
    for field in ("httpUrl", "storageContainerUrl", "blobPrefix", "filePath", "sha256")
)
_START_TASK_SIZE = (
    "(has(self.command) ? self.command.map(one, one.size()).sum() : 0)"
    " + (has(self.commandLine) ? self.commandLine.size() : 0)"
    " + (has(self.env) ? self.env.map(one, one.name.size() + (has(one.value) ? one.value.size() : 0)).sum() : 0)"
    f" + (has(self.resourceFiles) ? self.resourceFiles.map(one, {_FILE_SIZE}).sum() : 0) <= 32768"
)


class StartTask(Model):
    """What runs on each node whenever it starts: in an init container, whose files below shared/ and startup/ stay, or in the
    task container, where what it installs and starts stays. Source: REST reference, StartTask.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            ONE_COMMAND,
            rule(
                "!has(self.image) || (!has(self.container) && self.waitForSuccess)",
                "image goes with a start task in an init container; in the task container (container: task, or waitForSuccess: "
                "false) it has the task container's",
            ),
            rule(
                _START_TASK_SIZE,
                "command, environment and resourceFiles of a start task have at most 32768 characters together",
            ),
        )
    )
    command: Command | None = Field(default=None, description="The command, one word an item; $(NAME) is expanded.")
    command_line: CommandLine | None = Field(
        default=None, description="The command as one line, split into words; no shell."
    )
    container: Literal["task"] | None = Field(
        default=None,
        description="task: it runs in the task container before that takes tasks; what it installs stays, background processes "
        "live on. By default it runs in an init container.",
    )
    image: Image | None = Field(
        default=None, description="Image of its init container; the task container's by default."
    )
    wait_for_success: bool = Field(
        default=True,
        description="Whether tasks wait for its success. If false they run at once, whatever becomes of it, and it always runs "
        "in the task container.",
    )
    elevated: bool = Field(
        default=False, description="Whether it runs as root of its container; the pool must say allowElevated."
    )
    env: Env | None = Field(default=None, description="Its environment.")
    resource_files: ResourceFiles | None = Field(
        default=None, description="Files that are there before its first run on a node, each time that the node starts."
    )
    max_task_retry_count: int = Field(
        default=0, ge=-1, le=1000, description="How often it is run again after a failure; -1 without end."
    )


class StopResize(Model):
    """Ends a resize once for each new requestId; the pool stays at the size that it has reached."""

    request_id: RequestId = Field(description="A new one asks once; answered in status.lastAction.")


class AutoScale(Model):
    """The pool follows its work: by a preset (maxNodes and its kin) or by a formula in Azure Batch's language."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("has(self.formula) != has(self.maxNodes)", "exactly one of formula and maxNodes must be given"),
            rule(
                "!has(self.formula) || !(has(self.minNodes) || has(self.idleTimeout))",
                "minNodes and idleTimeout go with maxNodes; a formula says it all itself",
            ),
            rule(
                "!has(self.minNodes) || !has(self.maxNodes) || self.minNodes <= self.maxNodes",
                "minNodes must not be greater than maxNodes",
            ),
            rule(
                "!has(self.evaluationInterval) || duration(self.evaluationInterval) >= duration('1s')"
                " && duration(self.evaluationInterval) <= duration('168h')",
                "evaluationInterval must lie between 1s and 168h",
            ),
            rule(
                "!has(self.idleTimeout) || duration(self.idleTimeout) <= duration('168h')",
                "idleTimeout must be at most 168h",
            ),
        )
    )
    min_nodes: int | None = Field(
        default=None, ge=0, le=10000, description="Preset: the fewest nodes; 0 by default, so an idle pool has none."
    )
    max_nodes: int | None = Field(default=None, ge=0, le=10000, description="Preset: the most nodes.")
    idle_timeout: Duration | None = Field(
        default=None,
        description="Preset: nodes that were not needed for so long leave when they are idle; 5m by default.",
    )
    formula: Annotated[str, Field(min_length=1, max_length=8192)] | None = Field(
        default=None, description="Azure Batch's autoscale formula; see docs/autoscale.md."
    )
    evaluation_interval: Duration | None = Field(
        default=None, description="How often it is evaluated; 15m by default for a formula, 15s for the preset."
    )


class PoolSpec(Model):
    """A pool as the user wants it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("has(self.image) != has(self.template)", "exactly one of image and template must be given"),
            rule(
                "!has(self.resources) || has(self.image)",
                "resources goes with image; in a template it stands in the container",
            ),
            rule(
                "!has(self.imagePullSecrets) || has(self.image)",
                "imagePullSecrets goes with image; in a template it stands in the pod's spec",
            ),
            DISK_RULE,
            rule(
                "!has(self.certificateReferences) || !has(self.startTask)"
                " || !(has(self.startTask.container) || !self.startTask.waitForSuccess)"
                " || self.certificateReferences.all(one, 'Task' in one.visibility)",
                "a start task that runs in the task container sees what tasks see: add Task to the visibility of every "
                "certificate",
            ),
            rule(
                "!has(self.upgradePolicy) || !has(self.upgradePolicy.imageCheckInterval) || !has(self.template)"
                " || self.template.spec.containers.all(one, !has(one.imagePullPolicy) || one.imagePullPolicy == 'Always')",
                "with imageCheckInterval images are always pulled: leave imagePullPolicy out, or make it Always",
            ),
            rule(
                "!has(self.startTask) || !self.startTask.elevated || self.allowElevated",
                "a start task is elevated only in a pool with allowElevated: true",
            ),
            rule(
                "duration(self.drainTimeout) >= duration('1s') && duration(self.drainTimeout) <= duration('24h')",
                "drainTimeout must lie between 1s and 24h",
            ),
            rule(
                "duration(self.nodeUnreachableTimeout) >= duration('10s')"
                " && duration(self.nodeUnreachableTimeout) <= duration('24h')",
                "nodeUnreachableTimeout must lie between 10s and 24h",
            ),
            rule(
                "duration(self.resizeTimeout) >= duration('1s') && duration(self.resizeTimeout) <= duration('168h')",
                "resizeTimeout must lie between 1s and 168h",
            ),
            rule(
                "!has(self.autoScale) || (self.targetDedicatedNodes == 0 && self.targetLowPriorityNodes == 0)",
                "the size of a pool with autoScale is decided by its formula; it takes no targets other than 0",
            ),
        )
    )
    image: Image | None = Field(default=None, description="Short form: the image that tasks run in.")
    resources: dict[str, Any] | None = opaque("Short form: requests and limits of a node.")
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=16)] | None = Field(
        default=None, description="Short form: Secrets for pulling the image."
    )
    template: Template | None = Field(default=None, description="Long form: the pod of a node.")
    node_disk_size: DiskSize | None = Field(
        default=None,
        description="Size of a node's local file system: its directory holds no more, and so much of a machine's disk is "
        "kept for it. The task with the most ends as DiskFull before it comes to that.",
    )
    low_priority_template: LowPriorityTemplate | None = Field(
        default=None, description="What is different in the pods of low-priority nodes."
    )
    target_dedicated_nodes: int = Field(default=0, ge=0, le=10000, description="How many nodes there shall be.")
    target_low_priority_nodes: int = Field(
        default=0, ge=0, le=10000, description="How many nodes there shall be that may be preempted."
    )
    resize_timeout: Duration = Field(
        default="15m", description="How long a resize may take until it counts as failed; no effect with autoScale."
    )
    node_deallocation_option: NodeDeallocationOption = Field(
        default=NodeDeallocationOption.REQUEUE,
        description="What becomes of the tasks of a node that leaves: Requeue runs them elsewhere, Terminate ends them for "
        "good, TaskCompletion waits for their end, RetainedData also for their retentionTime. The present value counts, "
        "also for nodes that are leaving already.",
    )
    stop_resize: StopResize | None = Field(
        default=None, description="Ends the present resize; the pool stays at the size that it has reached."
    )
    auto_scale: AutoScale | None = Field(
        default=None, description="The pool follows its work; without it the targets are the spec's."
    )
    task_slots_per_node: int = Field(default=1, ge=1, le=256, description="How many slots a node has for tasks.")
    task_scheduling_policy: TaskSchedulingPolicy = Field(
        default=TaskSchedulingPolicy(), description="Where tasks go first."
    )
    enable_inter_node_communication: bool = Field(
        default=False,
        description="Whether nodes of this pool reach each other, on ports above 1100; they are then placed near each other where "
        "there is room. Nobody else reaches a node, where the cluster enforces NetworkPolicies.",
    )
    allow_elevated: bool = Field(
        default=False,
        description="Whether tasks may ask to run as root of their container, in a user namespace where the cluster has them. Its "
        "namespace must allow such pods (pod security baseline).",
    )
    drain_timeout: Duration = Field(
        default="30s", description="What a node gets to end its tasks when its pod is told to stop."
    )
    node_unreachable_timeout: Duration = Field(
        default="5m",
        description="How long a node that the operator cannot reach goes on with its tasks; then it ends them, and they run "
        "elsewhere. It counts for pods that are made from now on.",
    )
    start_task: StartTask | None = Field(default=None, description="What runs on each node before its first task.")
    certificate_references: Certificates | None = Field(
        default=None, description="Secrets whose files start task and tasks see."
    )
    application_package_references: ApplicationPackages | None = Field(
        default=None,
        description="Application packages that nodes have in place before start task and tasks. A changed list, or package, "
        "reaches nodes as they restart.",
    )
    secret_references: References | None = Field(
        default=None, description="Secrets that an environment of this pool's tasks may name."
    )
    config_map_references: References | None = Field(
        default=None, description="ConfigMaps that an environment of this pool's tasks may name."
    )
    task_logs: TaskLogs = Field(default=TaskLogs(), description="Where the output of tasks goes beside their files.")
    upgrade_policy: UpgradePolicy = Field(
        default=UpgradePolicy(), description="How a changed template reaches nodes that are there."
    )


class ResizeError(Model):
    """Why a resize did not reach its target."""

    code: Annotated[str, Field(max_length=64)] = Field(description="Azure's code.")
    message: Annotated[str, Field(max_length=4096)] = Field(default="", description="Kubernetes' own sentence.")


class PoolAction(Model):
    """The answer to what was asked of the pool once."""

    request_id: RequestId = Field(description="Which request.")
    result: Annotated[str, Field(max_length=64)] = Field(description="What came of it, in one word.")


class StoppedResize(Model):
    """The targets that stopResize gave up: as long as the spec says the same, the pool stays as it is."""

    target_dedicated_nodes: int = Field(default=0, description="The spec's targetDedicatedNodes then.")
    target_low_priority_nodes: int = Field(default=0, description="The spec's targetLowPriorityNodes then.")


class NameValue(Model):
    """A detail of an error."""

    name: Annotated[str, Field(max_length=64)] = Field(description="What it is.")
    value: Annotated[str, Field(max_length=2048)] = Field(default="", description="What it says.")


class AutoScaleError(Model):
    """Why an evaluation has no result; nothing changes then."""

    code: Annotated[str, Field(max_length=64)] = Field(description="Azure's code.")
    message: Annotated[str, Field(max_length=2048)] = Field(
        default="", description="A sentence, with a caret at the place."
    )
    values: Annotated[list[NameValue], Field(max_length=8)] = Field(default=[], description="Details: line and column.")


class AutoScaleRun(Model):
    """The last evaluation that decided something new, or one not much older than a minute or the interval."""

    timestamp: datetime | None = Field(default=None, description="When it was.")
    formula: Annotated[str, Field(max_length=8192)] = Field(
        default="", description="What was evaluated; a preset's formula stands here too."
    )
    results: Annotated[str, Field(max_length=8192)] = Field(
        default="", description="`$name=value;...` of all variables."
    )
    error: AutoScaleError | None = Field(default=None, description="Why it has no result.")


class SlotCounts(Model):
    """Slots of a pool's ready nodes."""

    total: int = Field(default=0, description="All of them.")
    used: int = Field(default=0, description="Those that tasks hold.")


class PoolStatus(Status):
    """How a pool stands."""

    model_config = ConfigDict(json_schema_extra=rules(EPOCH))
    state: PoolState = Field(default=PoolState.ACTIVE, description="Whether it is in use or going away.")
    allocation_state: AllocationState = Field(
        default=AllocationState.STEADY, description="Whether its nodes are at their target."
    )
    selector: Annotated[str, Field(max_length=512)] = Field(default="", description="Label selector of its pods.")
    allocation_state_transition_time: datetime | None = Field(
        default=None, description="When allocationState was entered, or a resizing pool was given another target."
    )
    target_dedicated_nodes: int = Field(default=0, description="The target in force.")
    target_low_priority_nodes: int = Field(default=0, description="The target in force of nodes that may be preempted.")
    current_dedicated_nodes: int = Field(default=0, description="Nodes that are there and stay.")
    current_low_priority_nodes: int = Field(
        default=0, description="Nodes that may be preempted, are there and stay; also those that are preempted now."
    )
    target_nodes: int = Field(default=0, description="The target in force, of both sorts together.")
    current_nodes: int = Field(default=0, description="Nodes of both sorts that are there and stay.")
    faulty_nodes: int = Field(default=0, description="Nodes of both sorts that are broken.")
    node_deallocation_option: NodeDeallocationOption | None = Field(
        default=None, description="The option that an autoscale formula has set."
    )
    stopped_resize: StoppedResize | None = Field(
        default=None, description="The targets that stopResize gave up, until the spec's targets change."
    )
    last_action: PoolAction | None = Field(default=None, description="The answer to the last stopResize.")
    node_counts: dict[str, int] = Field(default={}, description="Nodes by state.")
    task_slots: SlotCounts = Field(default=SlotCounts(), description="Slots of ready nodes.")
    resize_errors: Annotated[list[ResizeError], Field(max_length=16)] = Field(
        default=[], description="Why the target is not reached."
    )
    auto_scale_run: AutoScaleRun | None = Field(
        default=None,
        description="The last evaluation of autoScale; kept when it is switched off, as long as its size is.",
    )
    image: Text = Field(default="", description="The image that tasks run in, whichever form the pool is written in.")
    image_check: ImageCheck | None = Field(default=None, description="The last look at what the image's tag is.")


class Pool(Model):
    """A pool of warm nodes that run tasks."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.metadata.name.size() <= 50 && !self.metadata.name.contains('.')",
                "the name of a pool has at most 50 characters and no dots",
            )
        )
    )
    spec: PoolSpec = Field(description="What the pool shall be.")
    status: PoolStatus = Field(
        default=PoolStatus(),
        json_schema_extra={"default": {"state": "Active"}},
        description="How the pool stands; written by the operator.",
    )
