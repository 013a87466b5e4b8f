"""Kinds of Kubernetes' own as decisions read them: Pod, PodDisruptionBudget, NetworkPolicy. Shapes only."""

from datetime import datetime
from typing import Any

import msgspec

from batchpools.core.views.base import Meta, View


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
    last_state: ContainerState = ContainerState()
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
    command: tuple[str, ...] = ()
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


class BudgetView(View, frozen=True):
    """A PodDisruptionBudget of ours; its spec stays as the API server has it."""

    metadata: Meta
    spec: dict[str, Any] = {}


class NetworkPolicyView(View, frozen=True):
    """A NetworkPolicy of ours; its spec stays as the API server has it."""

    metadata: Meta
    spec: dict[str, Any] = {}
