"""Decides what of a pool's template goes into its node pods, and which templates are refused, with a sentence each. Pure."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from batchpools.api import names
from batchpools.core.views import PoolSpec

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """The user's part of a node pod, short form and long form alike."""

    labels: dict[str, str]
    annotations: dict[str, str]
    container: Json  # the task container as the user wrote it
    volumes: list[Json]
    scheduling: Json  # nodeSelector, tolerations
    security: Json  # pod level

    @property
    def image(self) -> str:
        """The task container's image."""
        return str(self.container.get("image", ""))

    @property
    def hash(self) -> str:
        """Changes with anything in it."""
        parts = [self.labels, self.annotations, self.container, self.volumes, self.scheduling, self.security]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]


def read_template(spec: PoolSpec) -> Template:
    """The template of a pool, from whichever form it is written in."""
    if not spec.template:
        container: Json = {"name": names.TASK_CONTAINER, "image": spec.image}
        if spec.resources:
            container["resources"] = spec.resources
        return Template({}, {}, container, [], {}, {})
    metadata, pod = spec.template.get("metadata", {}), spec.template.get("spec", {})
    task: Json = next((one for one in pod.get("containers", []) if one.get("name") == names.TASK_CONTAINER), {})
    return Template(
        labels=dict(metadata.get("labels", {})),
        annotations=dict(metadata.get("annotations", {})),
        container=dict(task),
        volumes=list(pod.get("volumes", [])),
        scheduling={key: pod[key] for key in ("nodeSelector", "tolerations") if key in pod},
        security=dict(pod.get("securityContext", {})),
    )


def refused(template: Template) -> str:
    """Why a template cannot be used, as a sentence; empty when it can."""
    if not template.image:
        return "The template needs a container named 'task' with an image."
    reserved = [name for name in _names_of(template.volumes) if name.startswith(names.VOLUME_PREFIX)]
    reserved += [
        name for name in _names_of(template.container.get("volumeMounts", [])) if name.startswith(names.VOLUME_PREFIX)
    ]
    if reserved:
        return f"Volume {reserved[0]!r} may not begin with {names.VOLUME_PREFIX!r}: those names are the operator's."
    users = [template.security.get("runAsUser"), template.container.get("securityContext", {}).get("runAsUser")]
    if names.AGENT_UID in users:
        return f"runAsUser {names.AGENT_UID} is the agent's; tasks may not run as it."
    return ""


def _names_of(items: Iterable[Json]) -> list[str]:
    return [str(item.get("name", "")) for item in items]
