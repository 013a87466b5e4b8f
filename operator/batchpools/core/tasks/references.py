"""Decides which variables of an environment come from Secrets and ConfigMaps, and whether the pool lists them. Pure."""

from collections.abc import Sequence

from batchpools.core.node_config import EnvReference
from batchpools.core.views import EnvVar, PoolSpec


def references_of(env: Sequence[EnvVar]) -> list[EnvReference]:
    """Those variables that say valueFrom."""
    found = []
    for one in env:
        source = one.value_from
        if source is None:
            continue
        kind, key = (
            ("Secret", source.secret_key_ref) if source.secret_key_ref else ("ConfigMap", source.config_map_key_ref)
        )
        if key is not None:
            found.append(EnvReference(one.name, kind, key.name, key.key, key.optional))
    return found


def unlisted(references: Sequence[EnvReference], spec: PoolSpec, pool: str) -> str:
    """Why an environment cannot be had on the nodes of a pool, as a sentence; empty when it can."""
    listed = {"Secret": spec.secret_references, "ConfigMap": spec.config_map_references}
    fields = {"Secret": "secretReferences", "ConfigMap": "configMapReferences"}
    for one in references:
        if one.name not in listed[one.kind]:
            return f"{one.variable} names {one.kind} {one.name}, which pool {pool} does not list in {fields[one.kind]}"
    return ""
