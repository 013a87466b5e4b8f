"""Decides what a pool's status says: counts, errors, conditions. Pure."""

from collections import Counter
from datetime import datetime

from msgspec.structs import replace

from batchpools.api import names
from batchpools.api.reasons import Condition, Reason
from batchpools.api.states import AllocationState, NodeState, PoolState, UpgradeMode
from batchpools.core.autoscale.run import stalled_by
from batchpools.core.conditions import set_condition, without_condition
from batchpools.core.pools.allocation import Allocation
from batchpools.core.pools.elevation import is_forbidden
from batchpools.core.pools.node_state import live_state
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.target import Target
from batchpools.core.pools.template import read_template
from batchpools.core.pools.upgrade import is_outdated
from batchpools.core.views import ConditionView, PoolNodeView, PoolStatus, PoolView, ResizeError, SlotCounts

_FAULTY = (NodeState.UNUSABLE, NodeState.START_TASK_FAILED, NodeState.DISCONNECTED, NodeState.UNKNOWN)
_USABLE = (NodeState.IDLE, NodeState.RUNNING)


def status_of(situation: PoolSituation, allocation: Allocation, now: datetime) -> PoolStatus:
    """The whole status as it should be now."""
    pool = situation.pool
    staying = situation.staying
    counts = Counter(_live_state(node, situation) for node in situation.nodes)
    deleting = pool.metadata.deletion_timestamp is not None
    target = allocation.target
    total, used = situation.slots
    errors = (*_resize_errors(situation, target), *allocation.errors)
    low_priority = len(situation.staying_of(False))
    return replace(
        pool.status,
        observed_generation=pool.metadata.generation,
        state=PoolState.DELETING if deleting else PoolState.ACTIVE,
        allocation_state=allocation.state,
        allocation_state_transition_time=allocation.since,
        selector=f"{names.LABEL_POOL}={pool.metadata.name}",
        target_dedicated_nodes=target.dedicated,
        target_low_priority_nodes=target.low_priority,
        target_nodes=target.nodes,
        current_dedicated_nodes=len(staying) - low_priority,
        current_low_priority_nodes=low_priority,
        current_nodes=len(staying),
        faulty_nodes=sum(counts[state] for state in _FAULTY),
        stopped_resize=allocation.stopped,
        last_action=allocation.last_action,
        node_counts={_camel(state): number for state, number in sorted(counts.items())},
        task_slots=SlotCounts(total=total, used=used),
        resize_errors=errors,
        image=read_template(pool.spec).image,
        conditions=_conditions(situation, counts, allocation, errors, now),
    )


def without_counters(status: PoolStatus) -> PoolStatus:
    """What is written at once: all but slots and the split of Idle and Running."""
    counts = dict(status.node_counts)
    usable = counts.pop("idle", 0) + counts.pop("running", 0)
    return replace(status, task_slots=SlotCounts(), node_counts={**counts, "usable": usable})


def _conditions(
    situation: PoolSituation,
    counts: Counter[str],
    allocation: Allocation,
    errors: tuple[ResizeError, ...],
    now: datetime,
) -> tuple[ConditionView, ...]:
    pool, staying = situation.pool, situation.staying
    conditions = pool.status.conditions

    def put(type_: Condition, holds: bool, reason: Reason, message: str = "") -> None:
        nonlocal conditions
        said = ConditionView(
            type=type_,
            status=str(holds),
            reason=reason,
            message=message[:1024],
            observed_generation=pool.metadata.generation,
        )
        conditions = set_condition(conditions, said, now=now)

    stalled, why = _stalled(situation)
    put(Condition.STALLED, bool(stalled), why, stalled)
    steady = allocation.state is AllocationState.STEADY
    put(Condition.RECONCILING, *_reconciling(situation, steady))
    faulty = {state: counts[state] for state in _FAULTY if counts[state]}
    words = ", ".join(f"{number} {state}" for state, number in faulty.items())
    first = next((node.status.errors[0].message for node in staying if node.status.errors), "")
    reason = Reason.NODES_FAULTY if faulty else Reason.NODES_HEALTHY
    put(Condition.DEGRADED, bool(faulty), reason, f"{words}. {first}".strip() if faulty else "")
    image = _image(pool)
    if image is not None:
        put(Condition.IMAGE_CHECKED, *image)
    elif not pool.spec.upgrade_policy.image_check_interval:
        conditions = without_condition(conditions, Condition.IMAGE_CHECKED)
    usable = sum(counts[state] for state in _USABLE)
    if stalled:
        put(Condition.READY, False, why, stalled)
    elif errors:
        put(Condition.READY, False, Reason(errors[0].code), errors[0].message)
    elif usable or allocation.target.nodes == 0:
        put(Condition.READY, True, Reason.TARGET_REACHED)
    else:
        put(Condition.READY, False, Reason.NO_USABLE_NODES)
    return conditions


def _stalled(situation: PoolSituation) -> tuple[str, Reason]:
    """What keeps the pool from going on until somebody changes it; an empty sentence when nothing does."""
    if situation.elevation:
        return situation.elevation, Reason.ELEVATION_FORBIDDEN
    sentence = situation.template_refusal or _admission_sentence(situation.staying)
    if sentence:
        return sentence, Reason.TEMPLATE_INVALID
    if situation.packages.missing:
        return situation.packages.missing, Reason.INVALID_PACKAGE_REFERENCES
    sentence = stalled_by(situation.pool.status)
    return sentence, Reason.FORMULA_INVALID if sentence else Reason.ACCEPTED


def _image(pool: PoolView) -> tuple[bool, Reason, str] | None:
    """Whether it is known what the image's tag is; None while nobody has looked yet, or nobody wants to."""
    last = pool.status.image_check
    if last is None or last.image != read_template(pool.spec).image:
        return None
    if last.message:
        return False, Reason.IMAGE_CHECK_FAILED, last.message
    return True, Reason.IMAGE_FOUND, f"{last.image} is {last.digest}."


def _reconciling(situation: PoolSituation, steady: bool) -> tuple[bool, Reason, str]:
    """Whether nodes come, go, or get another pod."""
    if not steady:
        return True, Reason.RESIZING, ""
    pool = situation.pool
    outdated = sum(is_outdated(node, pool) for node in situation.staying)
    if outdated and pool.spec.upgrade_policy.mode == UpgradeMode.AUTOMATIC:
        return (
            True,
            Reason.UPGRADING,
            f"{outdated} nodes are to get a new pod: the pool, or what its image is, has changed.",
        )
    words = f"{outdated} nodes have an outdated pod until they restart: upgradePolicy is Manual."
    return False, Reason.STEADY, words if outdated else ""


def _live_state(node: PoolNodeView, situation: PoolSituation) -> str:
    """The node's state as told, with Idle and Running as they are now."""
    state = node.status.state
    if situation.is_leaving(node) or situation.is_marked(node):
        return NodeState.LEAVING_POOL
    return live_state(state, situation.used_slots.get(node.metadata.name, 0))


def _admission_sentence(nodes: tuple[PoolNodeView, ...]) -> str:
    """The API server's sentence, when it will never take such a pod (as against: not now)."""
    for node in nodes:
        for error in node.status.errors:
            if error.code == Reason.ALLOCATION_FAILED and is_forbidden(error.message):
                return error.message
    return ""


def _resize_errors(situation: PoolSituation, target: Target) -> tuple[ResizeError, ...]:
    """One of each kind, with the first sentence. A node that was preempted is no error of the resize: it has its state."""
    staying = [node for node in situation.staying if node.metadata.uid in situation.unallocated]
    sentences = [(error.message, node.spec.is_dedicated) for node in staying for error in node.status.errors]
    if situation.refusal and len(situation.staying) < target.nodes:
        sentences.append((situation.refusal, True))
    found: dict[str, str] = {}
    for sentence, is_dedicated in sentences:
        quota = Reason.QUOTA_REACHED if is_dedicated else Reason.LOW_PRIORITY_QUOTA_REACHED
        found.setdefault(quota if "exceeded quota" in sentence else Reason.ALLOCATION_FAILED, sentence)
    return tuple(ResizeError(code=code, message=message) for code, message in sorted(found.items()))


def _camel(state: str) -> str:
    return state[0].lower() + state[1:]
