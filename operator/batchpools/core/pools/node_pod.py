"""Builds the pod of a node: install-runner, the agent, the start task, and the user's container under the runner. Pure."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.api.durations import parse_duration
from batchpools.core.identity import Key
from batchpools.core.node_config import NODE_CONFIG_ENV, NodeConfig, StartTaskConfig
from batchpools.core.plan import Create
from batchpools.core.pools.template import Json, Template, read_template
from batchpools.core.tasks.command import argv_of
from batchpools.core.views import PoolNodeView, PoolSpec, PoolView, StartTask

GRACE_RESERVE = 15  # seconds beside the drain timeout for reports to be acknowledged (safety rule S6.3)
_AGENT_RESOURCES = {"requests": {"cpu": "10m", "memory": "48Mi"}, "limits": {"memory": "128Mi"}}
_LOCKED: Json = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(frozen=True, slots=True)
class NodePodSettings:
    """What the operator adds: its image, where its hub is, and the CA that vouches for it."""

    image: str
    hub_host: str
    hub_port: int
    ca: str


def pod_name(node: str, generation: int) -> str:
    """`<node>-<generation>`."""
    return f"{node}-{generation}"


def create_pod(pool: PoolView, node: PoolNodeView, generation: int, settings: NodePodSettings) -> Create:
    """The effect that makes a node's pod of that generation."""
    meta = node.metadata
    name = pod_name(meta.name, generation)
    template = read_template(pool.spec)
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(pool, node, name, template, settings),
        "spec": _spec(pool, meta.name, template, settings),
    }
    return Create(Key("Pod", meta.namespace, name), manifest, owner_uid=meta.uid)


def _metadata(pool: PoolView, node: PoolNodeView, name: str, template: Template, settings: NodePodSettings) -> Json:
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": "PoolNode",
        "name": node.metadata.name,
        "uid": node.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    ours = {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_POOL: pool.metadata.name,
        names.LABEL_NODE: node.metadata.name,
    }
    return {
        "name": name,
        "namespace": node.metadata.namespace,
        "labels": {**template.labels, **ours},
        "annotations": {
            **template.annotations,
            names.ANNOTATION_CA: settings.ca,
            names.ANNOTATION_TEMPLATE_HASH: template.hash,
            names.ANNOTATION_UNREACHABLE_TIMEOUT: node.status.node_unreachable_timeout,
        },
        "ownerReferences": [owner],
        "finalizers": [names.FINALIZER_POD],
    }


def _spec(pool: PoolView, node: str, template: Template, settings: NodePodSettings) -> Json:
    drain = parse_duration(pool.spec.drain_timeout)
    start = pool.spec.start_task
    inits = [_installer(settings), _agent(pool, node, settings)]
    if start is not None:
        inits.append(_start_task(start, template))
    return {
        **template.scheduling,
        "restartPolicy": "Always",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": round(drain) + GRACE_RESERVE,
        "securityContext": {
            "runAsUser": names.DEFAULT_TASK_UID,
            "runAsGroup": names.DEFAULT_TASK_UID,
            "fsGroup": names.DEFAULT_TASK_UID,
            **template.security,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": inits,
        "containers": [_task(template, drain)],
        "volumes": [*template.volumes, *_volumes()],
    }


def _installer(settings: NodePodSettings) -> Json:
    return {
        "name": names.INSTALL_CONTAINER,
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [names.RUNNER_IN_IMAGE, "install", names.RUNNER_DIR],
        "resources": _AGENT_RESOURCES,
        "securityContext": {**_LOCKED, "readOnlyRootFilesystem": True, "runAsUser": names.AGENT_UID},
        "volumeMounts": [{"name": names.VOLUME_BIN, "mountPath": names.RUNNER_DIR}],
    }


def _agent(pool: PoolView, node: str, settings: NodePodSettings) -> Json:
    config = NodeConfig(
        namespace=pool.metadata.namespace,
        pool=pool.metadata.name,
        node=node,
        slots=pool.spec.task_slots_per_node,
        hub_host=settings.hub_host,
        hub_port=settings.hub_port,
        drain_timeout=parse_duration(pool.spec.drain_timeout),
        start_task=_start_task_config(pool.spec),
    )
    return {
        "name": names.AGENT_CONTAINER,
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "args": ["agent"],
        "env": [{"name": NODE_CONFIG_ENV, "value": json.dumps(msgspec.to_builtins(config))}],
        "resources": _AGENT_RESOURCES,
        "securityContext": {
            **_LOCKED,
            "readOnlyRootFilesystem": True,
            "runAsUser": names.AGENT_UID,
            "runAsGroup": names.AGENT_UID,
        },
        "volumeMounts": [
            {"name": names.VOLUME_AGENT, "mountPath": names.AGENT_STATE_DIR},
            {"name": names.VOLUME_TOKEN, "mountPath": names.TOKEN_DIR, "readOnly": True},
            {"name": names.VOLUME_CA, "mountPath": names.CA_DIR, "readOnly": True},
        ],
    }


def _start_task_config(spec: PoolSpec) -> StartTaskConfig | None:
    start = spec.start_task
    if start is None:
        return None
    env = [f"{one.name}={one.value}" for one in start.env]
    return StartTaskConfig(argv_of(start.command, start.command_line), env, start.max_task_retry_count)


def _start_task(start: StartTask, template: Template) -> Json:
    """The start task sees what tasks see: the same volumes, environment and rights, in an image of its own if it asks for one."""
    container = {key: value for key, value in template.container.items() if key != "imagePullPolicy"}
    return {
        **container,
        "name": names.START_TASK_CONTAINER,
        "image": start.image or template.image,
        "imagePullPolicy": template.container.get("imagePullPolicy", "IfNotPresent"),
        "command": _serve(names.START_TASK_SOCKET, "start-task", 5),
        "securityContext": {**template.container.get("securityContext", {}), **_LOCKED},
        "volumeMounts": [*template.container.get("volumeMounts", []), *_runner_mounts()],
    }


def _task(template: Template, drain: float) -> Json:
    return {
        "imagePullPolicy": "IfNotPresent",
        **template.container,
        "name": names.TASK_CONTAINER,
        "command": _serve(names.RUNNER_SOCKET, "serve", drain + 5),
        "securityContext": {**template.container.get("securityContext", {}), **_LOCKED},
        "volumeMounts": [*template.container.get("volumeMounts", []), *_runner_mounts()],
    }


def _serve(socket: str, mode: str, stop_timeout: float) -> list[str]:
    options = {
        "--mode": mode,
        "--socket": socket,
        "--root": names.NODE_ROOT_DIR,
        "--agent-uid": str(names.AGENT_UID),
        "--stop-timeout": f"{stop_timeout:g}s",
    }
    return [names.RUNNER_PATH, "serve", *(word for pair in options.items() for word in pair)]


def _runner_mounts() -> list[Json]:
    return [
        {"name": names.VOLUME_ROOT, "mountPath": names.NODE_ROOT_DIR},
        {"name": names.VOLUME_BIN, "mountPath": names.RUNNER_DIR, "readOnly": True},
    ]


def _volumes() -> list[Json]:
    token: dict[str, Any] = {"audience": names.TOKEN_AUDIENCE, "expirationSeconds": 3600, "path": "token"}
    field = {"fieldPath": f"metadata.annotations['{names.ANNOTATION_CA}']"}
    return [
        {"name": names.VOLUME_ROOT, "emptyDir": {}},
        {"name": names.VOLUME_BIN, "emptyDir": {}},
        {"name": names.VOLUME_AGENT, "emptyDir": {}},
        {"name": names.VOLUME_TOKEN, "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": names.VOLUME_CA, "downwardAPI": {"items": [{"path": "ca.crt", "fieldRef": field}]}},
    ]
