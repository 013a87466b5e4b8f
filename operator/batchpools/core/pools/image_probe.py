"""Decides the pod that finds out what a tag is now: the kubelet pulls the image as for a node, and tells its digest. Pure.

It is no node: it has neither a node's labels nor its finalizer, runs nothing of ours, and is nobody's child but its pool's.
"""

import hashlib
import json
from typing import Any

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.owner import owner_reference
from batchpools.core.plan import Create
from batchpools.core.pools.pod_security import pod_security, task_security
from batchpools.core.pools.template import Json, Template, read_template
from batchpools.core.views import PodView, PoolView

DEADLINE = 600  # seconds that the kubelet gives it; it tries to pull the image all that time
_SIZE = {"cpu": "10m", "memory": "32Mi"}
_NOT_TAKEN = {"affinity", "topologySpreadConstraints"}  # how nodes stand to one another is not said of this pod


def probe_key(pool: PoolView) -> Key:
    """`<pool>-image-check`."""
    meta = pool.metadata
    return Key("Pod", meta.namespace, f"{meta.name}-{names.IMAGE_CHECK}")


def make_probe(pool: PoolView) -> Create:
    """The effect that makes the pod of the check that is due."""
    meta, template, key = pool.metadata, read_template(pool.spec), probe_key(pool)
    ours = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_IMAGE_CHECK: meta.name}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {**template.labels, **ours},
            "annotations": {**template.annotations, names.ANNOTATION_IMAGE_CHECK: _occasion(pool, template)},
            "ownerReferences": [owner_reference("Pool", meta)],
        },
        "spec": _spec(template),
    }
    return Create(key, manifest, owner_uid=meta.uid)


def is_of(probe: PodView, pool: PoolView) -> bool:
    """Whether a pod of that name is this pool's."""
    return any(owner.uid == pool.metadata.uid for owner in probe.metadata.owner_references)


def is_for_this_check(probe: PodView, pool: PoolView) -> bool:
    """Whether it was made for the check that is due: not for a former one, nor from another template."""
    said = probe.metadata.annotations.get(names.ANNOTATION_IMAGE_CHECK)
    return probe.metadata.deletion_timestamp is None and said == _occasion(pool, read_template(pool.spec))


def _occasion(pool: PoolView, template: Template) -> str:
    """Another one for each check, as long as its result is not persisted: no clocks are compared."""
    last = pool.status.image_check
    time = last.time.isoformat() if last is not None and last.time is not None else "first"
    words = json.dumps([time, _spec(template)], sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()[:10]


def _spec(template: Template) -> Json:
    """A pod where a node could be: its machines, pull Secrets and rights. An image without `true` does as well: it was pulled."""
    placement: Json = {key: value for key, value in template.placement.items() if key not in _NOT_TAKEN}
    machines = template.placement.get("affinity", {}).get("nodeAffinity")
    container: dict[str, Any] = {
        "name": names.IMAGE_CHECK,
        "image": template.image,
        "imagePullPolicy": "Always",
        "command": ["true"],
        "resources": {"requests": _SIZE, "limits": _SIZE},
        "securityContext": task_security(template.container),
    }
    return {
        **placement,
        **({"affinity": {"nodeAffinity": machines}} if machines else {}),
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINE,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(template),
        "containers": [container],
    }
