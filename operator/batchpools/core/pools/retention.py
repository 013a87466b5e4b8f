"""Decides how long what tasks left on a node is kept there: until it is cleaned, and for a node that leaves by RetainedData. Pure.

Source: REST reference, computeNodeDeallocationOption retainedData; task constraints, retentionTime. That nothing is cleaned on a
node that is disabled is ours: so a failed task's data can be looked at (docs/decisions.md).
"""

from collections.abc import Iterable
from datetime import datetime

from batchpools.api.states import SchedulingState
from batchpools.core.tasks.retention import is_over, kept_until
from batchpools.core.views import PoolNodeView, TaskView


def retained_until(tasks: Iterable[TaskView], node: PoolNodeView) -> datetime | None:
    """When the last retention time of the tasks that ended in the node's present pod is over; None without any.

    A task that is deleted, or that ended in a former pod, left nothing there.
    """
    ends = (kept_until(task) for task in tasks if _is_of(task, node) and not _is_older(task, node))
    return max((end for end in ends if end is not None), default=None)


def may_be_cleaned(task: TaskView, node: PoolNodeView, now: datetime) -> bool:
    """Whether the directory of an ended task, if the node's present pod has one, was kept for long enough."""
    is_disabled = node.spec.scheduling_state == SchedulingState.DISABLED
    return is_over(task, now) and not is_disabled and not _is_older(task, node)


def was_cleaned(task: TaskView, node: PoolNodeView, now: datetime) -> bool:
    """Whether that is why its files are not there: the node's present pod is the one that it ended in."""
    return is_over(task, now) and not _is_older(task, node)


def _is_older(task: TaskView, node: PoolNodeView) -> bool:
    """Whether it ended before the node's present pod began."""
    began, ended = node.status.start_time, task.status.end_time
    return began is not None and ended is not None and ended < began


def _is_of(task: TaskView, node: PoolNodeView) -> bool:
    place = (task.metadata.namespace, task.status.pool_node_name)
    return place == (node.metadata.namespace, node.metadata.name)
