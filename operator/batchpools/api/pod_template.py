"""The pod template of a pool: what a user may say of a node's pod, typed as far as we read it. The rest is refused by name."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from batchpools.api import names
from batchpools.api.common import PRESERVE, RESERVED_ENV, ContainerName, Model, Text, list_map, opaque, rule, rules
from batchpools.api.quantities import MAX_LENGTH, PATTERN

Opaque = Annotated[dict[str, Any], Field(json_schema_extra=PRESERVE)]
Image = Annotated[str, Field(min_length=1, max_length=512)]
Words = Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=64)]
Label = Annotated[str, Field(max_length=63)]
DiskSize = Annotated[str, Field(pattern=PATTERN, max_length=MAX_LENGTH, examples=["10Gi"])]
DISK_RULE = rule(
    "!has(self.nodeDiskSize) || (quantity(self.nodeDiskSize).compareTo(quantity('16Mi')) >= 0"
    " && quantity(self.nodeDiskSize).compareTo(quantity('1Pi')) <= 0)",
    "nodeDiskSize must lie between 16Mi and 1Pi",
)
ObjectName = Annotated[str, Field(min_length=1, max_length=253)]
_AGENT = f"!has(self.runAsUser) || self.runAsUser != {names.AGENT_UID}"
_ROOT = "!has(self.runAsUser) || self.runAsUser != 0"
_USERS = (
    rule(_AGENT, f"runAsUser {names.AGENT_UID} is the agent's; tasks may not run as it"),
    rule(_ROOT, "runAsUser 0 is root; tasks run as a plain user"),
)
MAX_CONTAINERS = 8  # that tasks run in, of one node
_OUR_PLACES = f"^({names.NODE_ROOT_DIR}|{names.OUR_DIR})(/.*)?$"


def _never(field: str, why: str) -> dict[str, str]:
    return rule(f"!has(self.{field})", f"{field} may not be set: {why}")


def _off(field: str, why: str) -> dict[str, str]:
    return rule(f"!has(self.{field}) || !self.{field}", f"{field} may not be set: {why}")


def _refused(**schema: Any) -> Any:
    """A field that the schema knows only so that its refusal has a sentence."""
    return Field(default=None, description="Refused: it is the system's.", json_schema_extra=schema or None)


class PodSecurityContext(Model):
    """Users of the pod. What the system needs (non-root, seccomp) is set by it."""

    model_config = ConfigDict(json_schema_extra=rules(*_USERS))
    run_as_user: int | None = Field(default=None, ge=0, description="User id of tasks; 1000 by default.")
    run_as_group: int | None = Field(default=None, ge=0, description="Group id of tasks; 1000 by default.")
    fs_group: int | None = Field(default=None, ge=0, description="Group that owns the volumes; 1000 by default.")
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] | None = Field(
        default=None, description="When volumes are given to fsGroup, as in a pod."
    )
    supplemental_groups: Annotated[list[int], Field(max_length=16)] | None = Field(
        default=None, description="Further groups of tasks."
    )


class ContainerSecurityContext(Model):
    """Users of one container."""

    model_config = ConfigDict(json_schema_extra=rules(*_USERS))
    run_as_user: int | None = Field(default=None, ge=0, description="User id of tasks.")
    run_as_group: int | None = Field(default=None, ge=0, description="Group id of tasks.")
    read_only_root_filesystem: bool | None = Field(default=None, description="Whether the image's files are read-only.")


class VolumeMount(Model):
    """A volume in a container."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"!self.mountPath.matches('{_OUR_PLACES}') || self.mountPath.matches('{names.MOUNT_PATTERN}')",
                f"nothing may be mounted below {names.NODE_ROOT_DIR} or {names.OUR_DIR}: they are the operator's; file systems "
                f"that tasks share are mounted at {names.MOUNTS_DIR}/<name>",
            )
        )
    )
    name: Annotated[str, Field(max_length=63)] = Field(description="The volume.")
    mount_path: Annotated[str, Field(max_length=512)] = Field(description="Where it appears.")
    read_only: bool | None = Field(default=None, description="Whether it can only be read.")
    sub_path: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="A path inside the volume."
    )
    sub_path_expr: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="The same with $(NAME) expanded from the container's environment."
    )
    mount_propagation: Literal["None", "HostToContainer"] | None = Field(
        default=None, description="Whether later mounts of the machine are seen, as in a pod."
    )


class ContainerEnvVar(Model):
    """An environment variable of the container, as in a pod."""

    model_config = ConfigDict(json_schema_extra=rules(RESERVED_ENV))
    name: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="Name of the variable.")
    value: Annotated[str, Field(max_length=8192)] | None = Field(default=None, description="Its value.")
    value_from: dict[str, Any] | None = opaque("Where its value comes from, as in a pod.")


class Container(Model):
    """A container that tasks run in; its command is the runner's."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            _never("command", "the runner is the first process of the container; a task has a command"),
            _never("args", "the runner is the first process of the container; a task has a command"),
            _never("livenessProbe", "the agent tells how the container is"),
            _never("readinessProbe", "the agent tells how the container is"),
            _never("startupProbe", "the agent tells how the container is"),
            _never("lifecycle", "the runner starts and ends what runs here; use startTask"),
            rule(
                f"!(self.name in [{', '.join(repr(one) for one in names.OUR_CONTAINERS)}])",
                f"the names {', '.join(names.OUR_CONTAINERS)} are those of the system's containers",
            ),
        )
    )
    name: ContainerName = Field(description="`task` is the one in which tasks run that name none.")
    image: Image = Field(description="The image that tasks run in.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="As in a pod; IfNotPresent by default."
    )
    env: Annotated[list[ContainerEnvVar], Field(max_length=100, json_schema_extra=list_map("name"))] | None = Field(
        default=None, description="Environment of everything in the container, as in a pod."
    )
    env_from: Annotated[list[Opaque], Field(max_length=20)] | None = Field(
        default=None, description="Environment from ConfigMaps and Secrets, as in a pod."
    )
    resources: dict[str, Any] | None = opaque("Requests and limits of the container, as in a pod.")
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=50)] | None = Field(
        default=None, description="Volumes in the container."
    )
    security_context: ContainerSecurityContext | None = Field(default=None, description="Users of the container.")
    command: Words | None = _refused()
    args: Words | None = _refused()
    liveness_probe: dict[str, Any] | None = _refused(**PRESERVE)
    readiness_probe: dict[str, Any] | None = _refused(**PRESERVE)
    startup_probe: dict[str, Any] | None = _refused(**PRESERVE)
    lifecycle: dict[str, Any] | None = _refused(**PRESERVE)


class Volume(Model):
    """A volume of any kind, as in a pod."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            **PRESERVE,
            **rules(
                rule(
                    f"!self.name.startsWith('{names.VOLUME_PREFIX}')",
                    f"volume names that begin with {names.VOLUME_PREFIX} are the operator's",
                )
            ),
        },
    )
    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name of the volume.")


class LocalObjectReference(Model):
    """An object of the same namespace."""

    name: ObjectName = Field(description="Its name.")


class PodTemplateSpec(Model):
    """The user's part of a node's pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            _off("hostNetwork", "tasks would reach what listens on the machine alone, and each other's runner"),
            _off("hostPID", "the runner must be the first process of its container, and alone with its tasks"),
            _off("hostIPC", "tasks would share memory with the machine"),
            _off(
                "shareProcessNamespace",
                "the runner must be the first process of its container, so that its end ends tasks",
            ),
            _never("restartPolicy", "a node is always restarted"),
            _never("initContainers", "use startTask, or a startTask with an image of its own"),
            rule(
                f"self.containers.exists(one, one.name == '{names.TASK_CONTAINER}')",
                f"a container named '{names.TASK_CONTAINER}' is required: tasks that name no container run there",
            ),
        )
    )
    containers: Annotated[
        list[Container], Field(min_length=1, max_length=MAX_CONTAINERS, json_schema_extra=list_map("name"))
    ] = Field(description="The container `task`, and further images that tasks may name in their `container`.")
    volumes: Annotated[list[Volume], Field(max_length=50, json_schema_extra=list_map("name"))] | None = Field(
        default=None, description="Volumes of the node."
    )
    node_selector: Annotated[dict[str, Label], Field(max_length=32)] | None = Field(
        default=None, description="Which Kubernetes nodes may carry it, as in a pod."
    )
    affinity: dict[str, Any] | None = opaque("Which Kubernetes nodes it likes, and beside which pods, as in a pod.")
    tolerations: Annotated[list[Opaque], Field(max_length=50)] | None = Field(
        default=None, description="Which taints it bears, as in a pod."
    )
    topology_spread_constraints: Annotated[list[Opaque], Field(max_length=16)] | None = Field(
        default=None, description="How a pool's pods are spread, as in a pod."
    )
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=16)] | None = Field(
        default=None, description="Secrets for pulling images."
    )
    priority_class_name: ObjectName | None = Field(default=None, description="Priority of node pods.")
    runtime_class_name: ObjectName | None = Field(default=None, description="Container runtime of node pods.")
    service_account_name: ObjectName | None = Field(
        default=None, description="Service account of node pods, `default` by default. Tasks get no token of it."
    )
    host_users: bool | None = Field(
        default=None, description="false gives each node a user namespace of its own, as in a pod."
    )
    security_context: PodSecurityContext | None = Field(default=None, description="Users of the pod.")
    host_network: bool | None = _refused()
    host_pid: bool | None = Field(alias="hostPID", default=None, description="Refused: it is the system's.")
    host_ipc: bool | None = Field(alias="hostIPC", default=None, description="Refused: it is the system's.")
    share_process_namespace: bool | None = _refused()
    restart_policy: Label | None = _refused()
    init_containers: Annotated[list[Opaque], Field(max_length=16)] | None = _refused()


class TemplateMetadata(Model):
    """Labels and annotations of node pods."""

    labels: Annotated[dict[str, Label], Field(max_length=64)] | None = Field(
        default=None, description="Labels of node pods."
    )
    annotations: Annotated[dict[str, Text], Field(max_length=64)] | None = Field(
        default=None, description="Annotations of node pods."
    )


class Template(Model):
    """What a node's pod looks like."""

    metadata: TemplateMetadata | None = Field(default=None, description="Labels and annotations of node pods.")
    spec: PodTemplateSpec = Field(description="The user's part of a node's pod.")


class LowPriorityTemplate(Model):
    """What is different in the pods of low-priority nodes; their size is the same."""

    node_selector: Annotated[dict[str, Label], Field(max_length=32)] | None = Field(
        default=None, description="Over the template's: which Kubernetes nodes may carry it."
    )
    tolerations: Annotated[list[Opaque], Field(max_length=50)] | None = Field(
        default=None, description="Beside the template's: which taints it bears."
    )
    priority_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="The PriorityClass of its pod, in place of the template's."
    )
