"""Decides what becomes of the runs of a node that must be emptied: the same for every way in which it can come to that. Pure.

Shrinking a pool, removing, rebooting, reimaging and disabling a node all ask `emptied_by`, and have `core.plan.DrainNode`
carried out with its answer until the ledger says that the node is drained; a node that it is no more said of is resumed
(`core.plan.ResumeNode`). Source: REST reference, computeNodeDeallocationOption, computeNodeRebootOption.

| option | runs | the node is empty |
|---|---|---|
| Requeue | killed, back to Active, requeueCount + 1 | when that is confirmed |
| Terminate | killed, Completed, Failure, TaskEnded, never run again | when that is confirmed |
| TaskCompletion | go on; no new ones come | when all have ended |
| RetainedData | go on; no new ones come | when all have ended, and then their retentionTime |
"""

from batchpools.api import names
from batchpools.api.reasons import RequeueReason
from batchpools.api.states import NodeActionType, NodeDeallocationOption, SchedulingState
from batchpools.core.pools.node_action import pending
from batchpools.core.pools.target import target_of
from batchpools.core.pools.upgrade import is_renewing
from batchpools.core.tasks.lifecycle import Why
from batchpools.core.views import NodeAction, PoolNodeView, PoolView

_KILLS = {NodeDeallocationOption.REQUEUE: Why.DRAINED, NodeDeallocationOption.TERMINATE: Why.TERMINATED}
_REASONS = {
    NodeActionType.REBOOT: RequeueReason.NODE_REBOOTED,
    NodeActionType.REIMAGE: RequeueReason.NODE_REIMAGED,
    NodeActionType.REMOVE: RequeueReason.NODE_REMOVED,
}


def emptied_by(node: PoolNodeView, pool: PoolView | None) -> NodeDeallocationOption | None:
    """By which option a node is to be emptied now; None = it is not.

    It is a function of what is persisted, so that a next leader judges the runs that a former one had killed as that one
    would have (`controllers.task.settler`). An action's own option comes first; the present option of the pool counts, also
    for nodes that are leaving already.
    """
    action = _action(node)
    if action is not None:
        return NodeDeallocationOption(action.option)
    if is_leaving(node) or is_renewing(node, pool):
        return target_of(pool).option if pool is not None else NodeDeallocationOption.REQUEUE
    if node.spec.scheduling_state == SchedulingState.DISABLED:
        return NodeDeallocationOption(node.spec.scheduling_disable_option)
    return None


def requeue_reason(node: PoolNodeView, pool: PoolView | None) -> RequeueReason:
    """What the requeue of a task is put down to when its node is emptied."""
    action = _action(node)
    if action is not None:
        return _REASONS[NodeActionType(action.type)]
    if is_leaving(node):
        return RequeueReason.POOL_RESIZED
    return RequeueReason.NODE_UPGRADED if is_renewing(node, pool) else RequeueReason.NODE_DISABLED


def is_leaving(node: PoolNodeView) -> bool:
    """Whether a node goes, or is to go once its tasks have ended."""
    return node.metadata.deletion_timestamp is not None or is_marked(node)


def is_marked(node: PoolNodeView) -> bool:
    """Whether a node is to leave its pool once its tasks have ended: the pool may still take that back."""
    return node.metadata.annotations.get(names.ANNOTATION_LEAVING) == "true"


def why_ended(option: NodeDeallocationOption) -> Why | None:
    """Why the runs of a node are killed under an option; None = they go on to their end."""
    return _KILLS.get(option)


def _action(node: PoolNodeView) -> NodeAction | None:
    """The action that empties a node; what one that leaves was to do beside, it does no more."""
    action = pending(node)
    return None if action is not None and is_leaving(node) and action.type != NodeActionType.REMOVE else action
