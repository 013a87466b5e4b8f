"""A Pool as decisions read it. Shapes only."""

from datetime import datetime
from typing import Any

import msgspec

from batchpools.core.views.base import ConditionView, EnvVar, Meta, ResourceFile, View


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
    elevated: bool = False
    env: tuple[EnvVar, ...] = ()
    resource_files: tuple[ResourceFile, ...] = ()
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


class ApplicationPackageReference(View, frozen=True):
    """A package that nodes have in place; version empty = its default."""

    name: str
    version: str = ""


class TaskLogs(View, frozen=True):
    """Whose output goes into the container's log."""

    to_container_log: str = "None"


class UpgradePolicy(View, frozen=True):
    """How a changed template reaches nodes."""

    mode: str = "Automatic"
    max_unavailable: int = 1
    image_check_interval: str = ""


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
    allow_elevated: bool = False
    drain_timeout: str = "30s"
    node_unreachable_timeout: str = "5m"
    start_task: StartTask | None = None
    certificate_references: tuple[CertificateReference, ...] = ()
    application_package_references: tuple[ApplicationPackageReference, ...] = ()
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


class ImageCheck(View, frozen=True):
    """The last look at what a pool's image is. time: of the last one that came to an end; digest: the last that was found."""

    time: datetime | None = None
    image: str = ""
    digest: str = ""
    message: str = ""


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
    image: str = ""
    image_check: ImageCheck | None = None
    conditions: tuple[ConditionView, ...] = ()


class PoolView(View, frozen=True):
    """One Pool."""

    metadata: Meta
    spec: PoolSpec = PoolSpec()
    status: PoolStatus = PoolStatus()
