"""Decides how long what a task left on its node is kept: retentionTime after its end. Pure.

Source: REST reference, TaskConstraints retentionTime (7 days by default).
"""

from datetime import datetime, timedelta

from batchpools.api.durations import parse_duration
from batchpools.api.states import TaskState
from batchpools.core.views import TaskView

DEFAULT = "168h"


def kept_until(task: TaskView) -> datetime | None:
    """When its time is over; None for a task that has not ended: it may run again, in the same directory."""
    ended = task.status.end_time
    if ended is None or task.status.state != TaskState.COMPLETED:
        return None
    return ended + timedelta(seconds=parse_duration(task.spec.constraints.retention_time or DEFAULT))


def is_over(task: TaskView, now: datetime) -> bool:
    """Whether its time is over."""
    until = kept_until(task)
    return until is not None and until <= now
