"""Puts the pod of a node together: the user's template and ours. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from batchpools.api import names
from batchpools.api.durations import parse_duration
from batchpools.core.identity import Key
from batchpools.core.node_config import NodeConfig, PackageConfig, StartTaskConfig
from batchpools.core.owner import owner_reference
from batchpools.core.packages.marks import marks as package_marks
from batchpools.core.plan import Create
from batchpools.core.pools.disruption import marks
from batchpools.core.pools.image_digest import checked_digest
from batchpools.core.pools.network_policy import near_each_other
from batchpools.core.pools.pod_containers import agent, installer, others, start_task, task
from batchpools.core.pools.pod_hash import pod_hash
from batchpools.core.pools.pod_references import package_volumes, reference_volumes
from batchpools.core.pools.pod_security import pod_security
from batchpools.core.pools.pod_volumes import volumes
from batchpools.core.pools.template import Json, Template, template_for
from batchpools.core.tasks.command import argv_of
from batchpools.core.tasks.references import references_of
from batchpools.core.tasks.resource_files import sources_of
from batchpools.core.views import PoolNodeView, PoolSpec, PoolView

GRACE_RESERVE = 15  # seconds beside the drain timeout for reports to be acknowledged (safety rule S6.3)


@dataclass(frozen=True, slots=True)
class NodePodSettings:
    """What the operator adds: its image, where its hub is, and the CA that vouches for it.

    restarts: whether the cluster takes the rule by which a pod is rebooted in place. user_namespaces: whether its machines have
    them, so that root of a container is nobody outside of it. auto_storage: URL of the storage account whose containers resource
    files may name.
    """

    image: str
    hub_host: str
    hub_port: int
    ca: str
    topology_key: str = names.ZONE_KEY  # nodes that talk to each other are placed alike in this
    restarts: bool = True
    user_namespaces: bool = True
    auto_storage: str = ""


def pod_name(node: str, generation: int) -> str:
    """`<node>-<generation>`."""
    return f"{node}-{generation}"


def create_pod(
    pool: PoolView,
    node: PoolNodeView,
    generation: int,
    settings: NodePodSettings,
    packages: Sequence[PackageConfig] = (),
) -> Create:
    """The effect that makes a node's pod of that generation. packages: what the pool's references mean now."""
    meta = node.metadata
    name = pod_name(meta.name, generation)
    template = template_for(pool.spec, is_dedicated=node.spec.is_dedicated)
    config = _config(pool, meta.name, template, settings, packages)
    manifest: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(pool, node, name, template, settings),
        "spec": _spec(pool, template, settings, config),
    }
    if packages:
        manifest["metadata"]["annotations"][names.ANNOTATION_PACKAGES] = package_marks(packages)
    return Create(Key("Pod", meta.namespace, name), manifest, owner_uid=meta.uid)


def _metadata(pool: PoolView, node: PoolNodeView, name: str, template: Template, settings: NodePodSettings) -> Json:
    owner = owner_reference("PoolNode", node.metadata)
    busy, evictable = marks(False)
    ours = {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_POOL: pool.metadata.name,
        names.LABEL_NODE: node.metadata.name,
    }
    digest = checked_digest(pool)
    return {
        "name": name,
        "namespace": node.metadata.namespace,
        "labels": {**template.labels, **ours, **busy},
        "annotations": {
            **template.annotations,
            **evictable,
            names.ANNOTATION_CA: settings.ca,
            names.ANNOTATION_TEMPLATE_HASH: pod_hash(pool.spec, is_dedicated=node.spec.is_dedicated),
            **({names.ANNOTATION_IMAGE_DIGEST: digest} if digest else {}),
            names.ANNOTATION_START_TASK: start_task_hash(pool.spec),
            names.ANNOTATION_UNREACHABLE_TIMEOUT: node.status.node_unreachable_timeout,
        },
        "ownerReferences": [owner],
        "finalizers": [names.FINALIZER_POD],
    }


def _spec(pool: PoolView, template: Template, settings: NodePodSettings, config: NodeConfig) -> Json:
    spec = pool.spec
    inits = [installer(settings.image), agent(settings.image, config, spec)]
    if spec.start_task is not None and not spec.start_task.is_inside:
        inits.append(start_task(spec, spec.start_task, template))
    affinity = near_each_other(pool, settings.topology_key, template.placement.get("affinity", {}))
    return {
        **({"hostUsers": False} if spec.allow_elevated and settings.user_namespaces else {}),
        **template.placement,
        **({"affinity": affinity} if affinity else {}),
        "restartPolicy": "Always",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": round(parse_duration(spec.drain_timeout)) + GRACE_RESERVE,
        "securityContext": pod_security(template),
        "initContainers": inits,
        "containers": [task(spec, template, restarts=settings.restarts), *others(spec, template)],
        "volumes": [*template.volumes, *volumes(spec), *reference_volumes(spec), *package_volumes(config.packages)],
    }


def _config(
    pool: PoolView, node: str, template: Template, settings: NodePodSettings, packages: Sequence[PackageConfig]
) -> NodeConfig:
    """What the agent is told."""
    return NodeConfig(
        namespace=pool.metadata.namespace,
        pool=pool.metadata.name,
        node=node,
        slots=pool.spec.task_slots_per_node,
        hub_host=settings.hub_host,
        hub_port=settings.hub_port,
        drain_timeout=parse_duration(pool.spec.drain_timeout),
        start_task=_start_task_config(pool.spec),
        log={"Failed": "failed", "All": "all"}.get(pool.spec.task_logs.to_container_log, ""),
        elevates=pool.spec.allow_elevated,
        certificates=[one.secret_name for one in pool.spec.certificate_references],
        containers=[name for name, _ in template.others],
        packages=list(packages),
        auto_storage=settings.auto_storage,
    )


def _start_task_config(spec: PoolSpec) -> StartTaskConfig | None:
    start = spec.start_task
    if start is None:
        return None
    return StartTaskConfig(
        argv=argv_of(start.command, start.command_line),
        env=[f"{one.name}={one.value}" for one in start.env],
        max_task_retry_count=start.max_task_retry_count,
        inside=start.is_inside,
        waits=start.wait_for_success,
        elevated=start.elevated,
        references=references_of(start.env),
        files=sources_of(start.resource_files),
    )


def start_task_hash(spec: PoolSpec) -> str:
    """Changes with anything of the start task; `none` without one. A pod is made for one start task."""
    if spec.start_task is None:
        return "none"
    return hashlib.sha256(msgspec.json.encode(spec.start_task)).hexdigest()[:10]
