"""Decides which templates are refused, with a sentence each. Pure.

The schema refuses most of this when a pool is applied (`api.pod_template`); here stands what it cannot see, and what must never
reach a pod whoever wrote the object.
"""

from collections.abc import Iterable
from posixpath import normpath

from batchpools.api import names
from batchpools.core.pools.template import Json, Template


def refused(template: Template) -> str:
    """Why a template cannot be used, as a sentence; empty when it can. What it takes over is a closed list: no more is read."""
    return next((sentence for sentence in (rule(template) for rule in _RULES) if sentence), "")


def _no_image(template: Template) -> str:
    return "" if template.image else "The template needs a container named 'task' with an image."


def _our_volumes(template: Template) -> str:
    found = [*_names_of(template.volumes), *_names_of(template.container.get("volumeMounts", []))]
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
    for mount in template.container.get("volumeMounts", []):
        path = str(mount.get("mountPath", ""))
        for place in (names.NODE_ROOT_DIR, names.OUR_DIR):
            if f"{normpath(path)}/".replace("//", "/").startswith(f"{place}/"):
                return f"Nothing may be mounted at {path!r}: {place} is the operator's."
    return ""


def _our_namespaces(template: Template) -> str:
    """The runner is PID 1 of its container, so that its end is the end of its tasks; nobody else reaches it (S3.1)."""
    if not template.never:
        return ""
    return f"{template.never[0]} may not be set: the runner must be the first process of its container, and alone with its tasks."


def _our_environment(template: Template) -> str:
    for name in _names_of(template.container.get("env", [])):
        if name.startswith(names.RESERVED_ENV_PREFIXES):
            return f"Environment variable {name!r} is set by the system."
    return ""


def _our_user(template: Template) -> str:
    users = [template.security.get("runAsUser"), template.container.get("securityContext", {}).get("runAsUser")]
    if names.AGENT_UID in users:
        return f"runAsUser {names.AGENT_UID} is the agent's; tasks may not run as it."
    return ""


_RULES = (_no_image, _our_volumes, _our_audience, _our_places, _our_namespaces, _our_environment, _our_user)


def _names_of(items: Iterable[Json]) -> list[str]:
    return [str(item.get("name", "")) for item in items]
