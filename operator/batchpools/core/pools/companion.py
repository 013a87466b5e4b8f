"""Says how an object that each pool has one of is made: its labels, and the pool that owns it. Pure."""

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.owner import owner_reference
from batchpools.core.plan import Create
from batchpools.core.pools.template import Json
from batchpools.core.views import PoolView


def create_companion(pool: PoolView, key: Key, api_version: str, spec: Json) -> Create:
    """The effect that makes it."""
    meta = pool.metadata
    metadata = {
        "name": key.name,
        "namespace": key.namespace,
        "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_POOL: meta.name},
        "ownerReferences": [owner_reference("Pool", meta)],
    }
    manifest = {"apiVersion": api_version, "kind": key.kind, "metadata": metadata, "spec": spec}
    return Create(key, manifest, owner_uid=meta.uid)
