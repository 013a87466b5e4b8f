"""Decides what happens to a pool next: its finalizer, the nodes to make, the nodes to leave, its status. Pure."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.core.autoscale.run import Step
from batchpools.core.identity import Key
from batchpools.core.owner import owner_reference
from batchpools.core.plan import AddFinalizer, Annotate, CordonNodes, Create, Delete, Effect, Plan, RemoveFinalizer
from batchpools.core.pools.allocation import allocation_of
from batchpools.core.pools.image_check import away, look_at_image
from batchpools.core.pools.pool_events import pool_events
from batchpools.core.pools.pool_status import status_of, without_counters
from batchpools.core.pools.resize import Moves, next_step
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.target import Target
from batchpools.core.pools.upgrade import nodes_to_renew, wanted_pod
from batchpools.core.views import ImageCheck, PoolNodeView, PoolStatus

COUNTER_INTERVAL = 5.0  # seconds between two writes of a pool's counters (safety rule S5.4)
LOOK_AGAIN = 1.0
REFUSED_AGAIN = 15.0


def plan_pool(situation: PoolSituation, *, now: datetime) -> Plan[PoolStatus]:
    """What to do about one pool now. Applied twice it is empty the second time."""
    meta = situation.pool.metadata
    key = Key("Pool", meta.namespace, meta.name)
    if meta.deletion_timestamp is not None:
        return _deletion(situation, key, now)
    if names.FINALIZER_POOL not in meta.finalizers:
        return Plan(effects=(AddFinalizer(key, meta.uid, names.FINALIZER_POOL),), requeue_after=LOOK_AGAIN)
    scaled = situation.scaled
    if scaled is not None and scaled.status != situation.pool.status:
        return _rescaled(situation, scaled, now)
    allocation = allocation_of(situation, now)
    moves = (*_resize(situation, allocation.target), *_renew(situation))
    look = look_at_image(situation, now)
    told = situation.pool.status
    status = status_of(_having_seen(situation, look.said), allocation, now)
    effects = (*moves, *look.effects)
    again = _again(situation, moves, allocation.again, look.again)
    if status == told:
        return Plan(effects=effects, requeue_after=again)
    if without_counters(status) != without_counters(told):
        events = pool_events(situation.pool, status)
        return Plan(effects=effects, status=status, events=events, requeue_after=again)
    if not situation.counts_due:
        return Plan(effects=effects, requeue_after=min(again or COUNTER_INTERVAL, COUNTER_INTERVAL))
    return Plan(effects=effects, status=status, urgent=False, requeue_after=again)


def _rescaled(situation: PoolSituation, scaled: Step, now: datetime) -> Plan[PoolStatus]:
    """What an evaluation decided is persisted first: nodes are made and leave, and are emptied, by what status says."""
    told = replace(situation, pool=msgspec.structs.replace(situation.pool, status=scaled.status))
    status = status_of(told, allocation_of(told, now), now)
    return Plan(status=status, events=pool_events(situation.pool, status), requeue_after=LOOK_AGAIN)


def _having_seen(situation: PoolSituation, image: ImageCheck | None) -> PoolSituation:
    """As if its status said already what the image is."""
    pool = situation.pool
    if image == pool.status.image_check:
        return situation
    told = msgspec.structs.replace(pool.status, image_check=image)
    return replace(situation, pool=msgspec.structs.replace(pool, status=told))


def _again(situation: PoolSituation, effects: tuple[Effect, ...], *others: float | None) -> float | None:
    """What was asked for wakes the pool once it is there; what is refused, or has its time, comes with no edge."""
    due = situation.scaled.again if situation.scaled is not None else None
    again = (REFUSED_AGAIN if situation.refusal else LOOK_AGAIN) if effects else None
    forbidden = REFUSED_AGAIN if situation.elevation else None
    return min((one for one in (due, again, forbidden, *others) if one is not None), default=None)


def _deletion(situation: PoolSituation, key: Key, now: datetime) -> Plan[PoolStatus]:
    """All nodes leave, then the pool does. With its namespace it goes at once (safety rule S7.1)."""
    meta = situation.pool.metadata
    if names.FINALIZER_POOL not in meta.finalizers:
        return Plan()
    if situation.closing:
        return Plan(effects=(RemoveFinalizer(key, meta.uid, names.FINALIZER_POOL),))
    if situation.nodes:
        status = status_of(situation, allocation_of(situation, now), now)
        events = pool_events(situation.pool, status)
        effects = (*_leave(situation.nodes), *away(situation.pool, situation.probe))
        return Plan(effects=effects, status=status, events=events, requeue_after=LOOK_AGAIN)
    last = RemoveFinalizer(key, meta.uid, names.FINALIZER_POOL)
    return Plan(effects=(*away(situation.pool, situation.probe), last))


def _resize(situation: PoolSituation, target: Target) -> tuple[Effect, ...]:
    """Grow or shrink to the target. What was chosen to leave gets no more tasks before anything else is done."""
    step = next_step(situation, target, may_make=not situation.is_held_up)
    return (
        *_cordon(situation, step),
        *(_mark(node, "false") for node in step.keep),
        *_leave(step.delete),
        *(_mark(node, "true") for node in step.mark),
        *(_create(situation, name, is_dedicated) for name, is_dedicated in step.make),
    )


def _cordon(situation: PoolSituation, step: Moves) -> tuple[Effect, ...]:
    meta = situation.pool.metadata
    stay = {node.metadata.uid for node in (*situation.staying, *step.keep)}
    stay -= {node.metadata.uid for node in (*step.delete, *step.mark)}
    gone = (node.status.pod_uid for node in situation.nodes if node.metadata.uid not in stay)
    pods = frozenset(pod for pod in gone if pod)
    return (CordonNodes(meta.namespace, meta.name, pods),) if pods != situation.cordoned else ()


def _mark(node: PoolNodeView, value: str) -> Annotate:
    meta = node.metadata
    key = Key("PoolNode", meta.namespace, meta.name)
    return Annotate(key, meta.uid, names.ANNOTATION_LEAVING, value, first=not meta.annotations)


def _renew(situation: PoolSituation) -> tuple[Effect, ...]:
    """Mark the nodes that get a new pod now."""
    pool = situation.pool
    if situation.is_held_up:
        return ()
    chosen = nodes_to_renew(pool, situation.staying, situation.used_slots, situation.renewing, situation.managing)
    return tuple(
        Annotate(
            Key("PoolNode", node.metadata.namespace, node.metadata.name),
            node.metadata.uid,
            names.ANNOTATION_RENEW,
            wanted_pod(pool, is_dedicated=node.spec.is_dedicated),
            first=not node.metadata.annotations,
        )
        for node in chosen
    )


def _leave(nodes: tuple[PoolNodeView, ...]) -> tuple[Effect, ...]:
    return tuple(
        Delete(
            Key("PoolNode", node.metadata.namespace, node.metadata.name),
            node.metadata.uid,
            node.metadata.resource_version,
        )
        for node in nodes
        if node.metadata.deletion_timestamp is None
    )


def _create(situation: PoolSituation, name: str, is_dedicated: bool) -> Create:
    meta = situation.pool.metadata
    owner = owner_reference("Pool", meta)
    manifest: dict[str, Any] = {
        "apiVersion": names.API_VERSION,
        "kind": "PoolNode",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_POOL: meta.name},
            "ownerReferences": [owner],
            "finalizers": [names.FINALIZER_NODE],
        },
        "spec": {"poolName": meta.name, "isDedicated": is_dedicated},
    }
    return Create(Key("PoolNode", meta.namespace, name), manifest, owner_uid=meta.uid)
