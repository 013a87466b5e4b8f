"""Decides what of a pool's template goes into its node pods: a closed list, from whichever form it is written in. Pure."""

from dataclasses import dataclass, replace
from typing import Any

from batchpools.api import names
from batchpools.core.views import PoolSpec

Json = dict[str, Any]

_PLACEMENT = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "imagePullSecrets",
    "priorityClassName",
    "runtimeClassName",
    "serviceAccountName",
    "hostUsers",
)
_USERS = ("runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy", "supplementalGroups")
_CONTAINER = ("image", "imagePullPolicy", "env", "envFrom", "resources", "volumeMounts")
_CONTAINER_USERS = ("runAsUser", "runAsGroup", "readOnlyRootFilesystem")
_NEVER = ("shareProcessNamespace", "hostPID", "hostIPC", "hostNetwork")


@dataclass(frozen=True, slots=True)
class Template:
    """The user's part of a node pod, short form and long form alike."""

    labels: dict[str, str]
    annotations: dict[str, str]
    container: Json  # the task container, as far as it is taken over
    volumes: list[Json]
    placement: Json  # where the pod runs and how: fields of a pod's spec
    security: Json  # users, pod level
    never: tuple[str, ...] = ()  # what was asked for and is never taken over
    others: tuple[tuple[str, Json], ...] = ()  # the further containers that tasks may name, by name

    @property
    def image(self) -> str:
        """The task container's image."""
        return str(self.container.get("image", ""))

    @property
    def containers(self) -> tuple[tuple[str, Json], ...]:
        """All containers that tasks run in, the task container first."""
        return ((names.TASK_CONTAINER, self.container), *self.others)


def containers_of(spec: PoolSpec) -> frozenset[str]:
    """The containers that tasks of a pool may name."""
    given = spec.template.get("spec", {}).get("containers", []) if spec.template else []
    return frozenset({names.TASK_CONTAINER, *(str(one.get("name", "")) for one in given)})


def read_template(spec: PoolSpec) -> Template:
    """The template of a pool, from whichever form it is written in."""
    if not spec.template:
        container: Json = {"image": spec.image}
        if spec.resources:
            container["resources"] = spec.resources
        placement: Json = {"imagePullSecrets": list(spec.image_pull_secrets)} if spec.image_pull_secrets else {}
        return Template({}, {}, container, [], placement, {})
    metadata, pod = spec.template.get("metadata", {}), spec.template.get("spec", {})
    given: list[Json] = pod.get("containers", [])
    task = next((one for one in given if one.get("name") == names.TASK_CONTAINER), {})
    return Template(
        labels=dict(metadata.get("labels", {})),
        annotations=dict(metadata.get("annotations", {})),
        container=_container(task),
        volumes=list(pod.get("volumes", [])),
        placement=_only(pod, _PLACEMENT),
        security=_only(pod.get("securityContext", {}), _USERS),
        never=tuple(key for key in _NEVER if pod.get(key)),
        others=tuple((str(one.get("name", "")), _container(one)) for one in given if one is not task),
    )


def template_for(spec: PoolSpec, *, is_dedicated: bool) -> Template:
    """The template of a node of one sort: for low-priority nodes what `lowPriorityTemplate` says stands over it."""
    template, other = read_template(spec), spec.low_priority_template
    if is_dedicated or other is None:
        return template
    placement = dict(template.placement)
    if other.node_selector:
        placement["nodeSelector"] = {**placement.get("nodeSelector", {}), **other.node_selector}
    if other.tolerations:
        placement["tolerations"] = [*placement.get("tolerations", []), *other.tolerations]
    if other.priority_class_name:
        placement["priorityClassName"] = other.priority_class_name
    return replace(template, placement=placement)


def _container(given: Json) -> Json:
    container = _only(given, _CONTAINER)
    users = _only(given.get("securityContext", {}), _CONTAINER_USERS)
    if users:
        container["securityContext"] = users
    return container


def _only(given: Json, keys: tuple[str, ...]) -> Json:
    return {key: given[key] for key in keys if key in given}
