"""Decides what keeps voluntary disruption from busy nodes: the marks on their pods, and one PodDisruptionBudget a pool. Pure.

The budget selects the pods that are marked busy, and lets none of them go: `minAvailable` is more than a pool can have, so nobody
has to keep a number up to date. It is an integer since a pool's nodes belong to no controller that the cluster could ask for their
number. Idle pods are not selected: `kubectl drain` and the cluster autoscaler take them at once (safety rule S9.4).
"""

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.plan import Delete, Effect, Mark, ReplaceSpec
from batchpools.core.pools.companion import create_companion
from batchpools.core.pools.template import Json
from batchpools.core.views import BudgetView, PodView, PoolView

BUSY_AFTER = 2.0  # seconds of work until a pod is marked: a short task costs no write
IDLE_AFTER = 30.0  # seconds without work until it is not any more
MORE_THAN_ANY = 100_000  # nodes


def budget_name(pool: str) -> str:
    """`<pool>-busy`."""
    return f"{pool}-busy"


def marks(busy: bool) -> tuple[dict[str, str], dict[str, str]]:
    """(labels, annotations) of a node's pod. Without the annotation the autoscaler would not move pods with local files."""
    return {names.LABEL_BUSY: str(busy).lower()}, {names.ANNOTATION_SAFE_TO_EVICT: str(not busy).lower()}


def is_marked_busy(pod: PodView) -> bool:
    """Whether its pod is kept from voluntary disruption."""
    return pod.metadata.labels.get(names.LABEL_BUSY) == "true"


def mark(pod: PodView, *, busy: bool) -> tuple[Effect, ...]:
    """What makes the marks of a living pod true."""
    if is_marked_busy(pod) == busy:
        return ()
    key = Key("Pod", pod.metadata.namespace, pod.metadata.name)
    return (Mark(key, pod.metadata.uid, *marks(busy)),)


def wanted_spec(pool: str) -> Json:
    """As the API server keeps it. A pod that is not ready holds nobody up."""
    return {
        "minAvailable": MORE_THAN_ANY,
        "selector": {"matchLabels": {names.LABEL_POOL: pool, names.LABEL_BUSY: "true"}},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def plan_budget(pool: PoolView, held: BudgetView | None) -> tuple[Effect, ...]:
    """What makes the budget what it should be. It goes with its pool: what leaves the pool by our hand asks no budget."""
    meta, spec = pool.metadata, wanted_spec(pool.metadata.name)
    key = Key("PodDisruptionBudget", meta.namespace, budget_name(meta.name))
    is_ours = held is not None and any(owner.uid == meta.uid for owner in held.metadata.owner_references)
    if held is None or not is_ours:
        return () if meta.deletion_timestamp is not None else (create_companion(pool, key, "policy/v1", spec),)
    if held.metadata.deletion_timestamp is not None:
        return ()
    if meta.deletion_timestamp is not None:
        return (Delete(key, held.metadata.uid, held.metadata.resource_version),)
    return () if held.spec == spec else (ReplaceSpec(key, held.metadata.uid, spec),)
