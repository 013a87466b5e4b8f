"""Decides how far an action of a node (reboot, reimage, remove) has come, and what it needs next. Pure.

Once for each requestId, over any restart of the operator: what was begun is in `status.lastAction` before its first effect.
Source: REST reference, Compute Node - Reboot, Reimage; they are allowed for broken nodes too, as the error handling article
advises.

In place (reboot): the runner leaves with a reserved exit code, and the kubelet restarts all containers of the pod, which keeps
its uid, address and files (safety rule S6.4). The count of the pod's first init container, which the kubelet writes, is the
proof. What cannot be rebooted in place gets a new pod, and so does what has not come back in RESTART_TIME.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from batchpools.api.states import ActionResult, NodeActionType, NodeState
from batchpools.core.views import LastNodeAction, NodeAction, PoolNodeStatus, PoolNodeView
from batchpools.core.waiting import time_left

REMOVE_PAUSE = timedelta(seconds=2)  # in which whoever removes a node may lower the target, or it is replaced
RESTART_TIME = timedelta(seconds=40)

_STATES = {NodeActionType.REBOOT: NodeState.REBOOTING, NodeActionType.REIMAGE: NodeState.REIMAGING}


@dataclass(frozen=True, slots=True)
class Restarts:
    """What can be said of a restart in place. boot_id: the agent's last word, empty without one; possible: the cluster can do it
    with this pod, and it would begin with the start task that the pool has now; count: how often it has been done.
    """

    possible: bool
    boot_id: str
    count: int


def pending(node: PoolNodeView) -> NodeAction | None:
    """The action that is asked for and not done."""
    action, last = node.spec.action, node.status.last_action
    if action is None:
        return None
    done = last is not None and last.request_id == action.request_id and last.result == ActionResult.DONE
    return None if done else action


def is_begun(node: PoolNodeView, action: NodeAction) -> bool:
    """Whether it is persisted that this action is under way."""
    last = node.status.last_action
    return last is not None and last.request_id == action.request_id


def begun(action: NodeAction, now: datetime) -> LastNodeAction:
    """The record that it is under way."""
    start = now.replace(microsecond=0)
    return LastNodeAction(
        request_id=action.request_id, type=action.type, result=ActionResult.IN_PROGRESS, start_time=start
    )


def done(status: PoolNodeStatus, now: datetime) -> PoolNodeStatus:
    """The status with what was under way as done; a removal is done when the node is gone."""
    last = status.last_action
    if last is None or last.result == ActionResult.DONE or last.type == NodeActionType.REMOVE:
        return status
    ended = replace(last, result=ActionResult.DONE, end_time=now.replace(microsecond=0))
    return replace(status, last_action=ended)


def state_while(node: PoolNodeView, *, empty: bool) -> NodeState | None:
    """Azure's word for a node that does it now; None while its tasks still go on, or when it does nothing."""
    action = pending(node)
    if action is None or not is_begun(node, action):
        return None
    last = node.status.last_action
    is_on = empty or (last is not None and last.restart_time is not None)
    return _STATES.get(NodeActionType(action.type)) if is_on else None


def restart_asked(last: LastNodeAction, restarts: Restarts, now: datetime) -> LastNodeAction:
    """The record of what is to end, and of when it was first asked for: persisted before anybody is told."""
    return replace(
        last, boot_id=restarts.boot_id, restart_count=restarts.count, restart_time=now.replace(microsecond=0)
    )


def has_restarted(last: LastNodeAction, restarts: Restarts) -> bool:
    """Whether the kubelet wrote that all containers have begun anew since it was asked for."""
    return last.restart_time is not None and restarts.count > last.restart_count


def needs_new_pod(action: NodeAction, last: LastNodeAction, restarts: Restarts, now: datetime) -> bool:
    """Whether an empty node gets another pod: to be reimaged, or since it cannot be rebooted in place, or does not come back."""
    if action.type == NodeActionType.REIMAGE:
        return True
    if last.restart_time is None:
        return not restarts.possible or not restarts.boot_id
    return not time_left(last.restart_time, RESTART_TIME, now)


def is_to_be_removed(node: PoolNodeView) -> bool:
    """Whether its removal is asked for: of all nodes this one leaves first."""
    action = pending(node)
    return action is not None and action.type == NodeActionType.REMOVE


def removal_is_due(last: LastNodeAction, now: datetime) -> bool:
    """Whether the pool had its time to let the node go by itself."""
    return last.start_time is None or not time_left(last.start_time, REMOVE_PAUSE, now)
