"""Decides which volumes of ours a node's pod has, and which container sees which. Pure.

The agent does not see the node's directory, and nobody else sees its state and its token (safety rules S8.1, S8.2). Application
packages lie in a volume that the agent alone writes: no link that a task plants is ever in its way.
"""

from batchpools.api import names
from batchpools.core.pools.template import Json
from batchpools.core.views import PoolSpec

_TOKEN_LIFE = 3600  # seconds; the kubelet renews it


def volumes(spec: PoolSpec) -> list[Json]:
    """Those of the system."""
    root: Json = {"sizeLimit": spec.node_disk_size} if spec.node_disk_size else {}
    token = {"audience": names.TOKEN_AUDIENCE, "expirationSeconds": _TOKEN_LIFE, "path": "token"}
    field = {"fieldPath": f"metadata.annotations['{names.ANNOTATION_CA}']"}
    return [
        {"name": names.VOLUME_ROOT, "emptyDir": root},
        {"name": names.VOLUME_BIN, "emptyDir": {}},
        {"name": names.VOLUME_AGENT, "emptyDir": {}},
        {"name": names.VOLUME_PACKAGES, "emptyDir": {}},
        {"name": names.VOLUME_TOKEN, "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": names.VOLUME_CA, "downwardAPI": {"items": [{"path": "ca.crt", "fieldRef": field}]}},
    ]


def installer_mounts() -> list[Json]:
    """Where install-runner leaves the runner."""
    return [{"name": names.VOLUME_BIN, "mountPath": names.RUNNER_DIR}]


def agent_mounts() -> list[Json]:
    """What the agent alone sees."""
    return [
        {"name": names.VOLUME_AGENT, "mountPath": names.AGENT_STATE_DIR},
        {"name": names.VOLUME_PACKAGES, "mountPath": names.AGENT_PACKAGES_DIR},
        {"name": names.VOLUME_TOKEN, "mountPath": names.TOKEN_DIR, "readOnly": True},
        {"name": names.VOLUME_CA, "mountPath": names.CA_DIR, "readOnly": True},
    ]


def runner_mounts() -> list[Json]:
    """What every container with a runner sees beside the user's volumes."""
    return [
        {"name": names.VOLUME_ROOT, "mountPath": names.NODE_ROOT_DIR},
        {"name": names.VOLUME_PACKAGES, "mountPath": names.PACKAGES_DIR, "readOnly": True},
        {"name": names.VOLUME_BIN, "mountPath": names.RUNNER_DIR, "readOnly": True},
    ]
