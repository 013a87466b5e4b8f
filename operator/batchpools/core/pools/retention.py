"""Decides how long what tasks left on a node is kept, for a node that leaves by RetainedData. Pure.

Source: REST reference, computeNodeDeallocationOption retainedData; task constraints, retentionTime (7 days by default).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from batchpools.api.durations import parse_duration
from batchpools.api.states import TaskState
from batchpools.core.views import PoolNodeView, TaskView

DEFAULT_RETENTION = timedelta(days=7)


def retained_until(tasks: Iterable[TaskView], node: PoolNodeView) -> datetime | None:
    """When the last retention time of the tasks that ended in the node's present pod is over; None without any.

    A task that is deleted, or that ended in a former pod, left nothing there.
    """
    began = node.status.start_time
    ends = (_until(task, began) for task in tasks if _is_of(task, node))
    return max((end for end in ends if end is not None), default=None)


def _until(task: TaskView, began: datetime | None) -> datetime | None:
    ended = task.status.end_time
    if ended is None or (began is not None and ended < began):
        return None
    told = task.spec.constraints.retention_time
    return ended + (timedelta(seconds=parse_duration(told)) if told else DEFAULT_RETENTION)


def _is_of(task: TaskView, node: PoolNodeView) -> bool:
    place = (task.metadata.namespace, task.status.pool_node_name)
    return task.status.state == TaskState.COMPLETED and place == (node.metadata.namespace, node.metadata.name)
