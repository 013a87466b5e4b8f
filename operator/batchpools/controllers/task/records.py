"""What each node has done: counts over its whole life, and the runs that ended last. By name: a node outlives its pods.

A new leader goes on from what PoolNode.status says. What ended since that was written is not counted: status follows within
30 s (safety rule S5.4), and no result hangs on it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from batchpools.api.states import Result
from batchpools.core.ended import Ended
from batchpools.core.tasks.status import time_of
from batchpools.core.views import PoolNodeView, RecentTask

KEPT = 10  # runs of a node that are told

_Node = tuple[str, str]


@dataclass(slots=True)
class Record:
    """One node's."""

    run: int = 0
    succeeded: int = 0
    recent: deque[RecentTask] = field(default_factory=lambda: deque(maxlen=KEPT))


class Records:
    """All nodes', by namespace and name."""

    def __init__(self) -> None:
        self._records: dict[_Node, Record] = {}

    def begin(self, nodes: Iterable[PoolNodeView]) -> None:
        """We lead: go on from what is persisted."""
        self._records.clear()
        for node in nodes:
            status = node.status
            recent = deque(status.recent_tasks, maxlen=KEPT)
            place = (node.metadata.namespace, node.metadata.name)
            self._records[place] = Record(status.total_tasks_run, status.total_tasks_succeeded, recent)

    def of(self, namespace: str, node: str) -> Record:
        """A node's; empty when nothing ended there."""
        return self._records.get((namespace, node)) or Record()

    def ended(self, place: _Node, job: str, task: str, ended: Ended, *, succeeded: bool) -> None:
        """A run has ended there."""
        record = self._records.setdefault(place, Record())
        record.run += 1
        record.succeeded += succeeded
        told = RecentTask(
            job_name=job,
            task_id=task,
            start_time=time_of(ended.started_at) if ended.started_at else None,
            end_time=time_of(ended.ended_at) if ended.ended_at else None,
            exit_code=ended.exit_code,
            result=Result.SUCCESS if succeeded else Result.FAILURE,
        )
        record.recent.append(told)

    def forget(self, namespace: str, node: str) -> None:
        """The node is gone: another one of that name begins anew."""
        self._records.pop((namespace, node), None)

    def clear(self) -> None:
        """We lead no longer."""
        self._records.clear()
