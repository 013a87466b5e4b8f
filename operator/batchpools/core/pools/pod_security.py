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


def task_security(template: Template) -> Json:
    """Of the containers that run commands of users."""
    return {**template.container.get("securityContext", {}), **_LOCKED}
