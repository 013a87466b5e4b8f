"""Decides the containers of a node's pod: install-runner, agent, start task, and the user's under the runner. Pure."""

import json

import msgspec

from batchpools.api import names
from batchpools.api.durations import parse_duration
from batchpools.api.quantities import parse_bytes
from batchpools.api.references import Visibility
from batchpools.core.node_config import NODE_CONFIG_ENV, NodeConfig
from batchpools.core.pools.image_digest import is_checked
from batchpools.core.pools.pod_references import agent_reference_mounts, certificate_mounts, package_mounts
from batchpools.core.pools.pod_security import agent_security, installer_security, task_security, task_user
from batchpools.core.pools.pod_volumes import agent_mounts, installer_mounts, runner_mounts
from batchpools.core.pools.template import Json, Template
from batchpools.core.views import PoolSpec, StartTask

_OURS = {"requests": {"cpu": "10m", "memory": "48Mi"}, "limits": {"memory": "128Mi"}}
_STOP_OF_START_TASK = 5.0
_STOP_RESERVE = 5.0  # seconds that the runner has beside the drain timeout; 10 more are the agent's (safety rule S6.3)
_RESTART_RULE: Json = {
    "restartPolicy": "Always",
    "restartPolicyRules": [
        {"action": names.RESTART_ALL, "exitCodes": {"operator": "In", "values": [names.RESTART_EXIT_CODE]}}
    ],
}


def installer(image: str) -> Json:
    """Copies the runner to where the other containers find it, and ends."""
    return {
        "name": names.INSTALL_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [names.RUNNER_IN_IMAGE, "install", names.RUNNER_DIR],
        "resources": _OURS,
        "securityContext": installer_security(),
        "volumeMounts": installer_mounts(),
    }


def agent(image: str, config: NodeConfig, spec: PoolSpec) -> Json:
    """The sidecar, always on."""
    return {
        "name": names.AGENT_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "args": ["agent"],
        "env": [{"name": NODE_CONFIG_ENV, "value": json.dumps(msgspec.to_builtins(config))}],
        "resources": _OURS,
        "securityContext": agent_security(),
        "volumeMounts": [*agent_mounts(), *agent_reference_mounts(spec), *package_mounts(config.packages)],
    }


def start_task(spec: PoolSpec, start: StartTask, template: Template) -> Json:
    """The start task sees what tasks see: the same volumes, environment and rights, in an image of its own if it asks for one."""
    return {
        **_user_container(spec, template.container, Visibility.START_TASK),
        "name": names.START_TASK_CONTAINER,
        "image": start.image or template.image,
        "command": _serve(
            spec, task_user(template, template.container), names.START_TASK_SOCKET, "start-task", _STOP_OF_START_TASK
        ),
    }


def task(spec: PoolSpec, template: Template, *, restarts: bool) -> Json:
    """The container that tasks run in. restarts: with the rule for a reboot in place, which not every cluster takes."""
    return {
        **_runs_tasks(spec, template, names.TASK_CONTAINER, template.container),
        **_resources(spec, template),
        **(_RESTART_RULE if restarts else {}),
    }


def others(spec: PoolSpec, template: Template) -> list[Json]:
    """The further containers, in which tasks run that name them."""
    return [_runs_tasks(spec, template, name, container) for name, container in template.others]


def _runs_tasks(spec: PoolSpec, template: Template, name: str, container: Json) -> Json:
    stop = parse_duration(spec.drain_timeout) + _STOP_RESERVE
    return {
        **_user_container(spec, container, Visibility.TASK),
        "name": name,
        "command": _serve(spec, task_user(template, container), names.runner_socket(name), "serve", stop),
    }


def _user_container(spec: PoolSpec, container: Json, visibility: Visibility) -> Json:
    """What the user wrote, with our rights and volumes."""
    return {
        "imagePullPolicy": "Always" if is_checked(spec) else "IfNotPresent",
        **container,
        "securityContext": task_security(container, elevated=spec.allow_elevated),
        "volumeMounts": [
            *container.get("volumeMounts", []),
            *runner_mounts(),
            *certificate_mounts(spec, visibility),
        ],
    }


def _resources(spec: PoolSpec, template: Template) -> Json:
    """The node's disk is kept for it on its machine, unless the template says otherwise."""
    if not spec.node_disk_size:
        return {}
    given = template.container.get("resources", {})
    requests = {"ephemeral-storage": spec.node_disk_size, **given.get("requests", {})}
    return {"resources": {**given, "requests": requests}}


def _serve(spec: PoolSpec, user: str, socket: str, mode: str, stop_timeout: float) -> list[str]:
    options = {
        "--mode": mode,
        "--socket": socket,
        "--root": names.NODE_ROOT_DIR,
        "--agent-uid": str(names.AGENT_UID),
        "--stop-timeout": f"{stop_timeout:g}s",
    }
    if spec.node_disk_size:
        options["--disk-limit"] = str(parse_bytes(spec.node_disk_size))
    if spec.allow_elevated:
        options["--task-user"] = user
    return [names.RUNNER_PATH, "serve", *(word for pair in options.items() for word in pair)]
