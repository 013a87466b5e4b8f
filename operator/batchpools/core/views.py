"""The parts of each object that decisions read: frozen msgspec structs, into which `kube` decodes the API server's bytes.

Only the fields needed, no managedFields. A test holds them to the pydantic models in `api`. A status struct is also what is
written back: the whole of it, by its one writer.
"""

from datetime import datetime
from typing import Any

import msgspec

from batchpools.core.identity import auto_pool_name


class View(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Base of all views: frozen, camelCase on the wire, absent fields have defaults."""


class OwnerReference(View, frozen=True):
    """Who owns an object."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Meta(View, frozen=True):
    """ObjectMeta as far as we read it."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class ConditionView(View, frozen=True, omit_defaults=False):
    """One condition; message may be empty."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    observed_generation: int = 0


class KeyReference(View, frozen=True):
    """A key of a Secret or ConfigMap."""

    name: str
    key: str
    optional: bool = False


class EnvVarSource(View, frozen=True):
    """Where a value comes from: one of the two."""

    secret_key_ref: KeyReference | None = None
    config_map_key_ref: KeyReference | None = None


class EnvVar(View, frozen=True):
    """An environment variable."""

    name: str
    value: str = ""
    value_from: EnvVarSource | None = None


class FailureInfo(View, frozen=True):
    """Why a task or start task failed."""

    category: str
    code: str
    message: str = ""


# ---------------------------------------------------------------- Pool


class TaskSchedulingPolicy(View, frozen=True):
    """Where tasks go first."""

    node_fill_type: str = "Spread"


class StartTask(View, frozen=True):
    """What runs on a node whenever it starts, in an init container of the user's image or in the task container."""

    command: tuple[str, ...] = ()
    command_line: str = ""
    container: str = ""
    image: str = ""
    wait_for_success: bool = True
    env: tuple[EnvVar, ...] = ()
    max_task_retry_count: int = 0

    @property
    def is_inside(self) -> bool:
        """Whether it runs in the task container."""
        return self.container == "task" or not self.wait_for_success


class LowPriorityTemplate(View, frozen=True):
    """What is different in the pods of low-priority nodes; copied into them."""

    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, Any], ...] = ()
    priority_class_name: str = ""


class StopResize(View, frozen=True):
    """A request to end the present resize."""

    request_id: str


class AutoScale(View, frozen=True):
    """How a pool follows its work: a formula, or the bounds of the preset. Durations as text; empty = the default."""

    min_nodes: int | None = None
    max_nodes: int | None = None
    idle_timeout: str = ""
    formula: str = ""
    evaluation_interval: str = ""


class CertificateReference(View, frozen=True):
    """A Secret whose files commands see."""

    secret_name: str
    visibility: tuple[str, ...] = ("StartTask", "Task")


class TaskLogs(View, frozen=True):
    """Whose output goes into the container's log."""

    to_container_log: str = "None"


class UpgradePolicy(View, frozen=True):
    """How a changed template reaches nodes."""

    mode: str = "Automatic"
    max_unavailable: int = 1


class PoolSpec(View, frozen=True):
    """A pool as the user wants it; `template` and `resources` stay opaque: they are copied into pods."""

    image: str = ""
    resources: dict[str, Any] = {}
    image_pull_secrets: tuple[dict[str, Any], ...] = ()
    template: dict[str, Any] = {}
    node_disk_size: str = ""
    low_priority_template: LowPriorityTemplate | None = None
    target_dedicated_nodes: int = 0
    target_low_priority_nodes: int = 0
    resize_timeout: str = "15m"
    node_deallocation_option: str = "Requeue"
    stop_resize: StopResize | None = None
    auto_scale: AutoScale | None = None
    task_slots_per_node: int = 1
    enable_inter_node_communication: bool = False
    task_scheduling_policy: TaskSchedulingPolicy = TaskSchedulingPolicy()
    drain_timeout: str = "30s"
    node_unreachable_timeout: str = "5m"
    start_task: StartTask | None = None
    certificate_references: tuple[CertificateReference, ...] = ()
    secret_references: tuple[str, ...] = ()
    config_map_references: tuple[str, ...] = ()
    task_logs: TaskLogs = TaskLogs()
    upgrade_policy: UpgradePolicy = UpgradePolicy()


class ResizeError(View, frozen=True):
    """Why a resize did not reach its target."""

    code: str
    message: str = ""


class SlotCounts(View, frozen=True, omit_defaults=False):
    """Slots of a pool."""

    total: int = 0
    used: int = 0


class PoolAction(View, frozen=True):
    """The answer to what was asked of a pool once."""

    request_id: str
    result: str


class StoppedResize(View, frozen=True, omit_defaults=False):
    """The targets of the spec that stopResize gave up."""

    target_dedicated_nodes: int = 0
    target_low_priority_nodes: int = 0


class NameValue(View, frozen=True, omit_defaults=False):
    """A detail of an error."""

    name: str
    value: str = ""


class AutoScaleError(View, frozen=True, omit_defaults=False):
    """Why an evaluation has no result."""

    code: str
    message: str = ""
    values: tuple[NameValue, ...] = ()


class AutoScaleRun(View, frozen=True):
    """The last evaluation; an empty formula = autoscaling was switched off since."""

    timestamp: datetime | None = None
    formula: str = ""
    results: str = ""
    error: AutoScaleError | None = None


class PoolStatus(View, frozen=True):
    """How a pool stands."""

    observed_generation: int = 0
    epoch: int = 0
    state: str = "Active"
    allocation_state: str = "Steady"
    allocation_state_transition_time: datetime | None = None
    selector: str = ""
    target_dedicated_nodes: int = msgspec.field(default=0)
    target_low_priority_nodes: int = 0
    current_dedicated_nodes: int = msgspec.field(default=0)
    current_low_priority_nodes: int = 0
    target_nodes: int = 0
    current_nodes: int = 0
    faulty_nodes: int = 0
    node_deallocation_option: str = ""
    stopped_resize: StoppedResize | None = None
    last_action: PoolAction | None = None
    node_counts: dict[str, int] = {}
    task_slots: SlotCounts = SlotCounts()
    resize_errors: tuple[ResizeError, ...] = ()
    auto_scale_run: AutoScaleRun | None = None
    conditions: tuple[ConditionView, ...] = ()


class PoolView(View, frozen=True):
    """One Pool."""

    metadata: Meta
    spec: PoolSpec = PoolSpec()
    status: PoolStatus = PoolStatus()


# ---------------------------------------------------------------- PoolNode


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


# ---------------------------------------------------------------- Job


class TaskConstraints(View, frozen=True):
    """Limits of a task; durations as text; None = the job's, else none."""

    max_wall_clock_time: str | None = None
    max_task_retry_count: int | None = None
    retention_time: str | None = None


class InlineTask(View, frozen=True):
    """A task written inside a job."""

    id: str
    command: tuple[str, ...] = ()
    command_line: str = ""
    env: tuple[EnvVar, ...] = ()
    constraints: TaskConstraints = TaskConstraints()
    required_slots: int = 1


class JobConstraints(View, frozen=True):
    """What a job's tasks get when they say nothing."""

    max_task_retry_count: int | None = None


class AutoPool(View, frozen=True):
    """A pool that lives with its job; template: the spec of a Pool, as the API server has it."""

    auto_pool_name_prefix: str = ""
    pool_lifetime: str = "Job"
    keep_alive: bool = False
    template: dict[str, Any] = {}


class SchedulingError(View, frozen=True, omit_defaults=False):
    """Why a job could not be scheduled."""

    category: str
    code: str
    message: str = ""


class JobSpec(View, frozen=True):
    """A job as the user wants it; exactly one of pool_name and auto_pool."""

    pool_name: str = ""
    auto_pool: AutoPool | None = None
    priority: int = 0
    env: tuple[EnvVar, ...] = ()
    constraints: JobConstraints = JobConstraints()
    on_all_tasks_complete: str | None = None
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
    tasks_created: int = 0  # how many of spec.tasks have been made: one that was deleted since is not made again
    task_counts: TaskCounts = TaskCounts()
    conditions: tuple[ConditionView, ...] = ()


class JobView(View, frozen=True):
    """One Job."""

    metadata: Meta
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()

    @property
    def pool(self) -> str:
        """The name of the pool that its tasks run in, whether it is there or not."""
        auto, meta = self.spec.auto_pool, self.metadata
        return self.spec.pool_name if auto is None else auto_pool_name(auto.auto_pool_name_prefix, meta.name, meta.uid)


# ---------------------------------------------------------------- Task


class TaskSpec(View, frozen=True):
    """A task as the user wants it."""

    job_name: str = ""
    id: str = ""
    command: tuple[str, ...] = ()
    command_line: str = ""
    env: tuple[EnvVar, ...] = ()
    constraints: TaskConstraints = TaskConstraints()
    required_slots: int = 1


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


# ---------------------------------------------------------------- Pod


class ContainerStateDetail(View, frozen=True):
    """A waiting or terminated state of a container, as the kubelet wrote it."""

    reason: str = ""
    message: str = ""
    exit_code: int = 0


class ContainerState(View, frozen=True):
    """One of three states; running is an empty detail."""

    waiting: ContainerStateDetail | None = None
    running: dict[str, Any] | None = None
    terminated: ContainerStateDetail | None = None


class ContainerStatus(View, frozen=True):
    """A container of a node pod."""

    name: str
    state: ContainerState = ContainerState()
    restart_count: int = 0
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")


class PodCondition(View, frozen=True):
    """A pod's condition."""

    type: str
    status: str = ""
    reason: str = ""
    message: str = ""


class PodStatus(View, frozen=True):
    """A node pod as the kubelet reports it."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    start_time: datetime | None = None
    conditions: tuple[PodCondition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class RestartRule(View, frozen=True):
    """What the kubelet does when a container leaves with some exit code."""

    action: str = ""


class PodContainer(View, frozen=True):
    """A container as the API server took it; it drops what it does not know."""

    name: str = ""
    restart_policy_rules: tuple[RestartRule, ...] = ()


class PodSpec(View, frozen=True):
    """Where a pod runs, and what the kubelet can do with it."""

    node_name: str = ""
    containers: tuple[PodContainer, ...] = ()


class PodView(View, frozen=True):
    """One node pod."""

    metadata: Meta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


# ---------------------------------------------------------------- PodDisruptionBudget


class BudgetView(View, frozen=True):
    """A PodDisruptionBudget of ours; its spec stays as the API server has it."""

    metadata: Meta
    spec: dict[str, Any] = {}


# ---------------------------------------------------------------- NetworkPolicy


class NetworkPolicyView(View, frozen=True):
    """A NetworkPolicy of ours; its spec stays as the API server has it."""

    metadata: Meta
    spec: dict[str, Any] = {}
