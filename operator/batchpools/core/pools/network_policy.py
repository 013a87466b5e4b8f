"""Decides who may reach the nodes of a pool: one NetworkPolicy a pool, owned by it, gone with it. Pure.

Nodes of a pool with `enableInterNodeCommunication` reach each other on ports above 1100; nobody else reaches them, and without it
nobody does (REST reference, Pool enableInterNodeCommunication; article on pool and node errors). What nodes themselves reach (the
hub, DNS, the world) is not restricted.
"""

from typing import Any

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.plan import Delete, Effect, ReplaceSpec
from batchpools.core.pools.companion import create_companion
from batchpools.core.pools.template import Json
from batchpools.core.views import NetworkPolicyView, PoolView

FIRST_PORT, LAST_PORT = 1101, 65535


def policy_name(pool: str) -> str:
    """`<pool>-nodes`."""
    return f"{pool}-nodes"


def wanted_spec(pool: PoolView) -> Json:
    """As the API server keeps it: what is empty is left out."""
    nodes: Json = {
        "podSelector": {"matchLabels": {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_POOL: pool.metadata.name}}
    }
    spec: Json = {**nodes, "policyTypes": ["Ingress"]}
    if pool.spec.enable_inter_node_communication:
        ports = [{"protocol": one, "port": FIRST_PORT, "endPort": LAST_PORT} for one in ("TCP", "UDP")]
        spec["ingress"] = [{"from": [nodes], "ports": ports}]
    return spec


def plan_policy(pool: PoolView, held: NetworkPolicyView | None, *, has_nodes: bool) -> tuple[Effect, ...]:
    """What makes the policy what it should be. held: the object of that name; of a pool that goes it goes after the last node."""
    meta, spec = pool.metadata, wanted_spec(pool)
    key = Key("NetworkPolicy", meta.namespace, policy_name(meta.name))
    if meta.deletion_timestamp is not None:
        if held is None or has_nodes or not _is_at_hand(held, pool):
            return ()
        return (Delete(key, held.metadata.uid, held.metadata.resource_version),)
    if held is None or not _is_of(held, pool):  # somebody else's is found by its name, and told
        return (create_companion(pool, key, "networking.k8s.io/v1", spec),)
    if held.spec == spec or not _is_at_hand(held, pool):
        return ()
    return (ReplaceSpec(key, held.metadata.uid, spec),)


def near_each_other(pool: PoolView, topology_key: str, affinity: Json) -> Json:
    """The template's affinity, with a wish of ours: nodes that talk to each other are placed in one zone, where there is room."""
    if not pool.spec.enable_inter_node_communication:
        return affinity
    labels = {names.LABEL_POOL: pool.metadata.name}
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": topology_key}
    pods: Json = affinity.get("podAffinity", {})
    wishes: list[Any] = pods.get("preferredDuringSchedulingIgnoredDuringExecution", [])
    ours = [*wishes, {"weight": 100, "podAffinityTerm": term}]
    return {**affinity, "podAffinity": {**pods, "preferredDuringSchedulingIgnoredDuringExecution": ours}}


def _is_of(held: NetworkPolicyView, pool: PoolView) -> bool:
    return any(owner.uid == pool.metadata.uid for owner in held.metadata.owner_references)


def _is_at_hand(held: NetworkPolicyView, pool: PoolView) -> bool:
    return _is_of(held, pool) and held.metadata.deletion_timestamp is None
