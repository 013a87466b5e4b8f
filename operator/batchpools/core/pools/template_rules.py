"""Decides which templates are refused, with a sentence each. Pure.

The schema refuses most of this when a pool is applied (`api.pod_template`); here stands what it cannot see, and what must never
reach a pod whoever wrote the object.
"""

import re
from collections.abc import Iterable
from posixpath import normpath

from batchpools.api import names
from batchpools.core.pools.template import Json, Template


def refused(template: Template) -> str:
    """Why a template cannot be used, as a sentence; empty when it can. What it takes over is a closed list: no more is read."""
    return next((sentence for sentence in (rule(template) for rule in _RULES) if sentence), "")


def _no_image(template: Template) -> str:
    if not template.image:
        return "The template needs a container named 'task' with an image."
    without = next((name for name, one in template.others if not one.get("image")), None)
    return "" if without is None else f"Container {without!r} of the template needs an image."


def _our_containers(template: Template) -> str:
    """Each has a name of its own, by which tasks and the kubelet's words are told apart."""
    found = [name for name, _ in template.containers]
    wrong = next((name for name in found if name in names.OUR_CONTAINERS or not name or found.count(name) > 1), None)
    if wrong is None:
        return ""
    if wrong in names.OUR_CONTAINERS:
        return f"No container may be named {wrong!r}: that is one of the system's."
    return f"Every container of the template needs a name of its own; {wrong!r} is none."


def _our_volumes(template: Template) -> str:
    found = [*_names_of(template.volumes), *_names_of(_of_all(template, "volumeMounts"))]
    taken = next((name for name in found if name.startswith(names.VOLUME_PREFIX)), "")
    if not taken:
        return ""
    return f"Volume {taken!r} may not begin with {names.VOLUME_PREFIX!r}: those names are the operator's."


def _our_audience(template: Template) -> str:
    """Nobody but the agent may hold the node's credential (safety rule S8.2)."""
    for volume in template.volumes:
        for source in volume.get("projected", {}).get("sources", []):
            if source.get("serviceAccountToken", {}).get("audience") == names.TOKEN_AUDIENCE:
                return f"Volume {volume.get('name')!r} asks for a token of audience {names.TOKEN_AUDIENCE!r}: it is the agent's."
    return ""


def _our_places(template: Template) -> str:
    for mount in _of_all(template, "volumeMounts"):
        path = str(mount.get("mountPath", ""))
        if re.fullmatch(names.MOUNT_PATTERN, path):
            continue
        for place in (names.NODE_ROOT_DIR, names.OUR_DIR):
            if f"{normpath(path)}/".replace("//", "/").startswith(f"{place}/"):
                return (
                    f"Nothing may be mounted at {path!r}: {place} is the operator's, but for {names.MOUNTS_DIR}/<name>."
                )
    return ""


def _our_namespaces(template: Template) -> str:
    """The runner is PID 1 of its container, so that its end is the end of its tasks; nobody else reaches it (S3.1)."""
    if not template.never:
        return ""
    return f"{template.never[0]} may not be set: the runner must be the first process of its container, and alone with its tasks."


def _our_environment(template: Template) -> str:
    for name in _names_of(_of_all(template, "env")):
        if name.startswith(names.RESERVED_ENV_PREFIXES):
            return f"Environment variable {name!r} is set by the system."
    return ""


def _our_user(template: Template) -> str:
    users = [one.get("securityContext", {}).get("runAsUser") for _, one in template.containers]
    if names.AGENT_UID in [template.security.get("runAsUser"), *users]:
        return f"runAsUser {names.AGENT_UID} is the agent's; tasks may not run as it."
    return ""


_RULES = (
    _no_image,
    _our_containers,
    _our_volumes,
    _our_audience,
    _our_places,
    _our_namespaces,
    _our_environment,
    _our_user,
)


def _of_all(template: Template, field: str) -> list[Json]:
    return [item for _, container in template.containers for item in container.get(field, [])]


def _names_of(items: Iterable[Json]) -> list[str]:
    return [str(item.get("name", "")) for item in items]
