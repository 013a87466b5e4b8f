"""Decides what happens to a node next: its pod, its replacement, its leaving, its status. `plan_node` is the only entry. Pure.

A node's name outlives its pods. The number of the next pod is persisted before that pod is created (safety rule S1.2), and
a dead pod's object goes only when its runs are accounted for, which the number of the next one records (rule S4.1).
"""

from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from batchpools.api import names
from batchpools.api.reasons import Reason, RequeueReason
from batchpools.api.states import NodeActionType, NodeDeallocationOption, NodeState
from batchpools.core.identity import Key
from batchpools.core.ledger import Contact, NodeRuns
from batchpools.core.packages.marks import marks
from batchpools.core.packages.resolution import NO_PACKAGES, Packages
from batchpools.core.plan import (
    AddFinalizer,
    Annotate,
    Delete,
    DrainNode,
    Effect,
    Plan,
    ReleaseNode,
    RemoveFinalizer,
    RestartNode,
    ResumeNode,
)
from batchpools.core.pools import node_action, pod_facts
from batchpools.core.pools.disruption import mark
from batchpools.core.pools.emptying import emptied_by, is_marked, requeue_reason, why_ended
from batchpools.core.pools.former_pods import clear, is_accounted, is_in_the_way
from batchpools.core.pools.node_action import Restarts
from batchpools.core.pools.node_events import pod_lost
from batchpools.core.pools.node_pod import NodePodSettings, create_pod, pod_name, start_task_hash
from batchpools.core.pools.node_state import (
    NodeFacts,
    Report,
    conditions_of,
    errors_of,
    start_task_info,
    state_of,
)
from batchpools.core.pools.template import read_template
from batchpools.core.pools.template_rules import refused
from batchpools.core.pools.upgrade import is_renewing
from batchpools.core.views import NodeAction, PodView, PoolNodeStatus, PoolNodeView, PoolSpec, PoolView

LOOK_AGAIN = 1.0
AWAITED_AGAIN = 5.0  # seconds between two looks at a node whose tasks are not killed
RETAINED_AGAIN = 60.0
REFUSED_AGAIN = 15.0
REGISTER_AGAIN = 20.0
COUNTER_INTERVAL = 30.0  # seconds between two writes of a node's counters (safety rule S5.4)


@dataclass(frozen=True, slots=True)
class NodeSituation:
    """A node and what is known of the things around it.

    pod: the pod of the present generation, by name (None only after live GETs of node and pod); other_pods: pods of this
    node with another name. draining, drained, released, contact: what the ledger of runs answers for the present pod.
    retained_until: what tasks left there is to be kept until then (asked for by RetainedData alone). refusal,
    refused_for: why the last try to create came to nothing, in the API server's words and in one of ours. closing: the
    namespace is being deleted. packages: what the pool's references mean now.
    """

    node: PoolNodeView
    pool: PoolView | None
    pod: PodView | None
    settings: NodePodSettings
    other_pods: tuple[PodView, ...] = ()
    report: Report | None = None
    runs: NodeRuns = field(default_factory=NodeRuns)
    draining: bool = False
    drained: bool = False
    retained_until: datetime | None = None
    released: bool = False
    contact: Contact = Contact.IN_TOUCH
    refusal: str = ""
    refused_for: Reason = Reason.ALLOCATION_FAILED
    counts_due: bool = True
    closing: bool = False
    packages: Packages = NO_PACKAGES


def plan_node(situation: NodeSituation, *, now: datetime) -> Plan[PoolNodeStatus]:
    """What to do about one node now. Applied twice it is empty the second time."""
    plan, beside = _plan(situation, now), (*_trust(situation), *_mark(situation), *_former(situation))
    return Plan((*beside, *plan.effects), plan.status, plan.urgent, plan.events, plan.requeue_after) if beside else plan


def _mark(situation: NodeSituation) -> tuple[Effect, ...]:
    """The present pod says whether it is busy, to whoever would take its machine away (safety rule S9.4)."""
    pod = situation.pod
    if pod is None or not _is_ours(pod, situation.node) or pod_facts.is_over(pod):
        return ()
    return mark(pod, busy=situation.runs.busy)


def _trust(situation: NodeSituation) -> tuple[Effect, ...]:
    """Living pods, also those that are ending, are told of the CAs as they are now (safety rule S9.1)."""
    pods = (situation.pod, *situation.other_pods)
    ours = [pod for pod in pods if pod is not None and _is_ours(pod, situation.node) and not pod_facts.has_ended(pod)]
    ca = situation.settings.ca
    return tuple(
        Annotate(_pod_key(pod), pod.metadata.uid, names.ANNOTATION_CA, ca, first=not pod.metadata.annotations)
        for pod in ours
        if pod.metadata.annotations.get(names.ANNOTATION_CA) != ca
    )


def _former(situation: NodeSituation) -> tuple[Effect, ...]:
    """A former pod that a late watch shows beside its successor is let go: it was accounted for before that was made."""
    node, pod = situation.node, situation.pod
    if pod is None or not _is_ours(pod, node):
        return ()  # whatever is there is in the way
    return clear(node, tuple(one for one in situation.other_pods if is_accounted(node, one)))


def _plan(situation: NodeSituation, now: datetime) -> Plan[PoolNodeStatus]:
    node = situation.node
    meta = node.metadata
    key = Key("PoolNode", meta.namespace, meta.name)
    if meta.deletion_timestamp is not None:
        return _leaving(situation, key, now)
    if situation.pool is None or situation.pool.metadata.deletion_timestamp is not None:
        return Plan()  # the pool's own plan removes its nodes
    if names.FINALIZER_NODE not in meta.finalizers:
        return Plan(effects=(AddFinalizer(key, meta.uid, names.FINALIZER_NODE),), requeue_after=LOOK_AGAIN)
    action = node_action.pending(node)
    if action is not None and not node_action.is_begun(node, action):
        return _begin(situation, action, now)
    if action is not None and action.type == NodeActionType.REMOVE:
        return _remove(situation, key, now)
    pod = situation.pod
    if is_marked(node):
        return _emptying(situation, now) or Plan(effects=(Delete(key, meta.uid, meta.resource_version),))
    if pod is not None and _is_ours(pod, node):
        if pod_facts.is_over(pod):
            return _bury(situation, pod, now)
        if is_renewing(node, situation.pool):
            return _emptying(situation, now) or _bury(situation, pod, now)
        return _observe(situation, now) if action is None else _act(situation, action, pod, now)
    return _new_pod(situation, now)


def _remove(situation: NodeSituation, key: Key, now: datetime) -> Plan[PoolNodeStatus]:
    """The node goes as if it had been deleted by hand, but by the action's own option."""
    node = situation.node
    last = node.status.last_action
    assert last is not None  # noqa: S101 (it is begun)
    if not node_action.removal_is_due(last, now):
        return Plan(requeue_after=LOOK_AGAIN)
    gone = Delete(key, node.metadata.uid, node.metadata.resource_version)
    return Plan(effects=(gone,), requeue_after=LOOK_AGAIN)


def _begin(situation: NodeSituation, action: NodeAction, now: datetime) -> Plan[PoolNodeStatus]:
    """Persist that an action is under way before anything is done for it; a node without a pod starts anew anyway."""
    node = situation.node
    status = replace(_status(situation, now), last_action=node_action.begun(action, now))
    if situation.pod is None and not node.status.pod_uid and action.type != NodeActionType.REMOVE:
        status = node_action.done(status, now)
    return Plan(status=status, requeue_after=LOOK_AGAIN)


def _act(situation: NodeSituation, action: NodeAction, pod: PodView, now: datetime) -> Plan[PoolNodeStatus]:
    """Empty the node, then have its containers restarted or its pod replaced."""
    last, status = situation.node.status.last_action, _status(situation, now)
    assert last is not None  # noqa: S101 (it is begun)
    restarts = _restarts(situation, pod)
    if node_action.has_restarted(last, restarts):
        return Plan(status=node_action.done(status, now), requeue_after=LOOK_AGAIN)
    waits = _emptying(situation, now)
    if waits is not None:
        return waits
    if node_action.needs_new_pod(action, last, restarts, now):
        gone = Delete(_pod_key(pod), pod.metadata.uid, pod.metadata.resource_version)
        return Plan(effects=(gone,), status=status, requeue_after=LOOK_AGAIN)
    if last.restart_time is None:
        asked = replace(status, last_action=node_action.restart_asked(last, restarts, now))
        return Plan(status=asked, requeue_after=LOOK_AGAIN)
    return Plan(effects=(RestartNode(pod.metadata.uid, last.boot_id),), status=status, requeue_after=LOOK_AGAIN)


def _restarts(situation: NodeSituation, pod: PodView) -> Restarts:
    """Whether this pod can begin anew as it is: the cluster has the rule, the pool still has the start task and the packages that
    it was made with. Packages that are missing now would let no other pod begin: it keeps those that it has.
    """
    report, pool = situation.report, situation.pool
    annotations = pod.metadata.annotations
    same = pool is not None and annotations.get(names.ANNOTATION_START_TASK) == start_task_hash(pool.spec)
    packages = situation.packages
    has_all = bool(packages.missing) or annotations.get(names.ANNOTATION_PACKAGES, "") == marks(packages.found)
    return Restarts(
        possible=same and has_all and pod_facts.can_restart(pod),
        boot_id=report.boot_id if report is not None else "",
        count=pod_facts.restarts(pod),
    )


def _empty(situation: NodeSituation, pod: PodView) -> tuple[Effect, ...]:
    """Have a node emptied, if it is to be and is not; let it take tasks again when it is not to be any more."""
    option = emptied_by(situation.node, situation.pool)
    if option is None:
        return (ResumeNode(pod.metadata.uid),) if situation.draining else ()
    return (
        ()
        if situation.drained
        else (DrainNode(pod.metadata.uid, requeue_reason(situation.node, situation.pool), option),)
    )


def _new_pod(situation: NodeSituation, now: datetime) -> Plan[PoolNodeStatus]:
    """Persist the next generation first, then create its pod."""
    node, pool = situation.node, situation.pool
    assert pool is not None  # noqa: S101 (asked before)
    status = node.status
    waits = _clear_the_way(situation)
    if waits is not None:
        return waits
    wrong = refused(read_template(pool.spec))
    if wrong:
        return Plan(status=_status(_refused(situation, wrong, Reason.TEMPLATE_INVALID), now))
    if situation.packages.missing:
        why = Reason.INVALID_PACKAGE_REFERENCES
        return Plan(status=_status(_refused(situation, situation.packages.missing, why), now))
    if not status.pod_name or status.pod_uid:  # none yet, or one that is gone and drained
        lost = pod_lost(node, pool, None)
        return Plan(status=_next_generation(situation, now), events=lost, requeue_after=LOOK_AGAIN)
    create = create_pod(pool, node, status.pod_generation, situation.settings, situation.packages.found)
    told = _status(situation, now)
    again = REFUSED_AGAIN if situation.refusal else LOOK_AGAIN
    return Plan(effects=(create,), status=told, requeue_after=again)


def _clear_the_way(situation: NodeSituation) -> Plan[PoolNodeStatus] | None:
    """There is no pod: what has to happen before there may be another one, or none for ever; None = nothing.

    A pod whose object went without us (somebody took our finalizer off) may run on, so it is drained like one that is
    there: its agent confirms, or its time runs out. That the object is gone proves nothing (safety rule S4.1).
    """
    node, others = situation.node, situation.other_pods
    if any(is_in_the_way(node, pod) for pod in others):
        return Plan(effects=clear(node, others), requeue_after=LOOK_AGAIN)
    if node.status.pod_uid and not situation.drained:
        return Plan(effects=(DrainNode(node.status.pod_uid, RequeueReason.NODE_LOST),), requeue_after=LOOK_AGAIN)
    return None


def _next_generation(situation: NodeSituation, now: datetime) -> PoolNodeStatus:
    """The number of the next pod, and with it the record that the former one is accounted for (`former_pods`)."""
    node, pool = situation.node, situation.pool
    generation = node.status.pod_generation + 1
    return replace(
        node_action.done(_status(situation, now), now),
        pod_generation=generation,
        node_unreachable_timeout=pool.spec.node_unreachable_timeout if pool else node.status.node_unreachable_timeout,
        pod_name=pod_name(node.metadata.name, generation),
        pod_uid="",
        pod_ip="",
        node_name="",
        template_hash="",
        image_digest="",
        boot_id="",
        start_time=None,
        start_task_info=None,
    )


def _observe(situation: NodeSituation, now: datetime) -> Plan[PoolNodeStatus]:
    """A living pod: empty or resume it, write how the node stands when that changed, counters when they are due."""
    told, wanted = situation.node.status, _status(situation, now)
    assert situation.pod is not None  # noqa: S101 (asked before)
    effects = _empty(situation, situation.pod)
    again = LOOK_AGAIN if effects else None
    if situation.report is None:
        waits = situation.contact in {Contact.IN_TOUCH, Contact.SILENT}
        again = LOOK_AGAIN if waits or effects else REGISTER_AGAIN
    if wanted == told:
        return Plan(effects=effects, requeue_after=again)
    if _without_counters(wanted) != _without_counters(told):
        return Plan(effects=effects, status=wanted, requeue_after=again)
    if not situation.counts_due:
        return Plan(effects=effects, requeue_after=again or COUNTER_INTERVAL)
    return Plan(effects=effects, status=wanted, urgent=False, requeue_after=again)


def _bury(situation: NodeSituation, pod: PodView, now: datetime) -> Plan[PoolNodeStatus]:
    """The pod is ending or dead: wait for the kubelet's word or the end of its time, account for its runs, go on from it."""
    effects: list[Effect] = []
    if pod.metadata.deletion_timestamp is None:
        effects.append(Delete(_pod_key(pod), pod.metadata.uid, pod.metadata.resource_version))
    is_dead = pod_facts.is_dead(pod)
    if is_dead and not situation.released:
        effects.append(ReleaseNode(pod.metadata.uid))
    if situation.released and (is_dead or situation.contact is Contact.GIVEN_UP):
        lost = pod_lost(situation.node, situation.pool, pod)
        return Plan(tuple(effects), _next_generation(situation, now), events=lost, requeue_after=LOOK_AGAIN)
    return Plan(effects=tuple(effects), status=_status(situation, now), requeue_after=LOOK_AGAIN)


def _leaving(situation: NodeSituation, key: Key, now: datetime) -> Plan[PoolNodeStatus]:
    """Drain, delete the pod, wait for its end, let both objects go."""
    node, pod = situation.node, situation.pod
    if names.FINALIZER_NODE not in node.metadata.finalizers:
        return Plan()
    if situation.closing:
        return Plan(effects=_let_all_go(situation, key))
    if pod is not None and _is_ours(pod, node):
        return _emptying(situation, now) or _bury(situation, pod, now)
    waits = _clear_the_way(situation)
    if waits is not None:
        # its last pod is accounted for, and the status says so
        is_said = node.status.state == NodeState.LEAVING_POOL and not node.status.pod_uid
        return waits if is_said else Plan(waits.effects, _status(situation, now), requeue_after=waits.requeue_after)
    return Plan(effects=(RemoveFinalizer(key, node.metadata.uid, names.FINALIZER_NODE),))


def _emptying(situation: NodeSituation, now: datetime) -> Plan[PoolNodeStatus] | None:
    """What is still to be done or waited for until nothing of the node is needed any more; None = it may go."""
    node, pod = situation.node, situation.pod
    if pod is None or not _is_ours(pod, node) or pod_facts.is_over(pod):
        return None
    option = emptied_by(node, situation.pool) or NodeDeallocationOption.REQUEUE
    status = _status(situation, now)
    if not situation.drained:
        drain = DrainNode(pod.metadata.uid, requeue_reason(node, situation.pool), option)
        again = LOOK_AGAIN if why_ended(option) is not None else AWAITED_AGAIN
        return Plan(effects=(drain,), status=status, requeue_after=again)
    if option is NodeDeallocationOption.RETAINED_DATA and situation.retained_until is not None:
        left = (situation.retained_until - now).total_seconds()
        if left > 0:
            return Plan(status=status, requeue_after=min(left, RETAINED_AGAIN))
    return None


def _let_all_go(situation: NodeSituation, key: Key) -> tuple[Effect, ...]:
    """With its namespace everything goes: nobody is drained, nobody's death is waited for (safety rule S7.1)."""
    node = situation.node
    pods = [pod for pod in (situation.pod, *situation.other_pods) if pod is not None and _is_ours(pod, node)]
    held = [RemoveFinalizer(_pod_key(pod), pod.metadata.uid, names.FINALIZER_POD) for pod in pods]
    return (*held, RemoveFinalizer(key, node.metadata.uid, names.FINALIZER_NODE))


def _refused(situation: NodeSituation, sentence: str, reason: Reason) -> NodeSituation:
    """The situation with a sentence of our own about why there is no pod."""
    node, pool, settings = situation.node, situation.pool, situation.settings
    return NodeSituation(node, pool, None, settings, refusal=sentence, refused_for=reason)


def _status(situation: NodeSituation, now: datetime) -> PoolNodeStatus:
    node, pod, pool = situation.node, situation.pod, situation.pool
    ours = pod if pod is not None and _is_ours(pod, node) else None
    facts = NodeFacts(
        node=node,
        pod=ours,
        report=situation.report if ours is not None else None,
        renewing=is_renewing(node, pool),
        has_start_task=_has_start_task(ours, pool),
        quarantine=situation.runs.quarantine,
        quarantined_for=situation.runs.quarantined_for,
        emptied=situation.drained or (ours is not None and pod_facts.is_over(ours)),
        running_tasks=situation.runs.running_tasks,
        refused=situation.refusal,
        refused_for=situation.refused_for,
        contact=situation.contact,
    )
    conditions = conditions_of(facts, now)
    told = replace(
        node.status,
        observed_generation=node.metadata.generation,
        state=state_of(facts, conditions),
        conditions=conditions,
        errors=errors_of(facts, conditions),
        start_task_info=start_task_info(facts),
    )
    if ours is None:
        return told
    runs = situation.runs
    is_new = node.status.pod_uid != ours.metadata.uid  # later changes of the pool are not in this pod
    return replace(
        told,
        pod_uid=ours.metadata.uid,
        pod_ip=ours.status.pod_ip,
        node_name=ours.spec.node_name,
        image=read_template(pool.spec).image if is_new and pool is not None else node.status.image,
        template_hash=ours.metadata.annotations.get(names.ANNOTATION_TEMPLATE_HASH, ""),
        image_digest=ours.metadata.annotations.get(names.ANNOTATION_IMAGE_DIGEST, ""),
        image_id=pod_facts.image_id(ours) or ("" if is_new else node.status.image_id),
        start_time=ours.status.start_time,
        boot_id=situation.report.boot_id if situation.report is not None else node.status.boot_id,
        task_slots=pool.spec.task_slots_per_node if is_new and pool is not None else node.status.task_slots,
        running_tasks=runs.running_tasks,
        total_tasks_run=max(runs.total_run, node.status.total_tasks_run),
        total_tasks_succeeded=max(runs.total_succeeded, node.status.total_tasks_succeeded),
        recent_tasks=runs.recent or node.status.recent_tasks,
    )


def _has_start_task(pod: PodView | None, pool: PoolView | None) -> bool:
    """Of the pod: one that the pool has been given since comes with the next."""
    made_with = pod.metadata.annotations.get(names.ANNOTATION_START_TASK) if pod is not None else None
    if made_with is None:
        return pool is not None and pool.spec.start_task is not None
    return made_with != start_task_hash(PoolSpec())


def _without_counters(status: PoolNodeStatus) -> PoolNodeStatus:
    """What is written at once: all but the counters, and Idle and Running count as one."""
    state = "Idle" if status.state == "Running" else status.state
    return replace(
        status,
        state=state,
        running_tasks=0,
        total_tasks_run=0,
        total_tasks_succeeded=0,
        recent_tasks=(),
        image_id="",
    )


def _is_ours(pod: PodView, node: PoolNodeView) -> bool:
    return any(owner.uid == node.metadata.uid for owner in pod.metadata.owner_references)


def _pod_key(pod: PodView) -> Key:
    return Key("Pod", pod.metadata.namespace, pod.metadata.name)
