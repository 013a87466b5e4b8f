"""Decides how it is found out whether a pool's namespace takes pods whose tasks may be root, and what its answer means. Pure.

The API server is asked with a pod of the same rights, in a dry run: so it is known before there is any node (safety rule S8.6).
"""

from batchpools.api import names
from batchpools.core.pools.pod_security import pod_security, task_security
from batchpools.core.pools.template import Json, read_template
from batchpools.core.views import PoolView

_ADMISSION_WORDS = ("PodSecurity", "denied the request", "violates", "is invalid")


def rehearsal(pool: PoolView) -> Json:
    """A pod with the rights of a node of this pool, and no more of it than that."""
    template = read_template(pool.spec)
    container = {
        "name": names.TASK_CONTAINER,
        "image": template.image,
        "securityContext": task_security(template.container, elevated=True),
        "resources": template.container.get("resources", {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{pool.metadata.name}-elevation",
            "namespace": pool.metadata.namespace,
            "labels": {**template.labels, names.LABEL_MANAGED_BY: names.MANAGED_BY},
            "annotations": template.annotations,
        },
        "spec": {
            **{key: value for key, value in template.placement.items() if key != "hostUsers"},
            "automountServiceAccountToken": False,
            "securityContext": pod_security(template),
            "containers": [container],
        },
    }


def is_forbidden(sentence: str) -> bool:
    """Whether such pods will never be taken, as against: not now (a quota that is used up)."""
    return any(words in sentence for words in _ADMISSION_WORDS)
