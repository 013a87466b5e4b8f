"""Decides whose rights the containers of a node's pod have. Users are always explicit (safety rule S8.6). Pure."""

from batchpools.api import names
from batchpools.core.pools.template import Json, Template

_LOCKED: Json = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod_security(template: Template) -> Json:
    """Of the pod: the template's users, 1000 by default."""
    return {
        "runAsUser": names.DEFAULT_TASK_UID,
        "runAsGroup": names.DEFAULT_TASK_UID,
        "fsGroup": names.DEFAULT_TASK_UID,
        **template.security,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def installer_security() -> Json:
    """Of install-runner."""
    return {**_LOCKED, "readOnlyRootFilesystem": True, "runAsUser": names.AGENT_UID}


def agent_security() -> Json:
    """Of the agent: a user that nobody else has, by which the runner knows it."""
    return {**installer_security(), "runAsGroup": names.AGENT_UID}


def task_security(container: Json, *, elevated: bool = False) -> Json:
    """Of a container that runs commands of users.

    elevated: the runner is root there, with the runtime's default capabilities, for it gives each run its user. Nobody can
    gain what he was not given: no program of the image makes a plain task root.
    """
    given = container.get("securityContext", {})
    if not elevated:
        return {**given, **_LOCKED}
    return {**given, "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False, "allowPrivilegeEscalation": False}


def task_user(template: Template, container: Json) -> str:
    """Whom a container's runner makes a run that is not elevated, in the words of its option: `uid:gid:groups`."""
    security: Json = {**pod_security(template), **container.get("securityContext", {})}
    groups = dict.fromkeys([security["fsGroup"], *security.get("supplementalGroups", [])])
    return f"{security['runAsUser']}:{security['runAsGroup']}:{','.join(map(str, groups))}"
