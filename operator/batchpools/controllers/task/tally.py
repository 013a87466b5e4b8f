"""Counts tasks by job as they change, so that nobody has to recount. Completed counts what is persisted alone."""

from dataclasses import dataclass

from batchpools.api.states import Result, TaskState
from batchpools.controllers.task.entry import JobKey
from batchpools.core.views import TaskCounts, TaskView


@dataclass(slots=True)
class _Counts:
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    running: int = 0


class Tally:
    """Counts of every job that has tasks. A task counts as running from its dispatch until its end is seen in the cache."""

    def __init__(self) -> None:
        self._jobs: dict[JobKey, _Counts] = {}

    def observe(self, old: TaskView | None, new: TaskView | None) -> None:
        """A task in the cache changed."""
        for view, step in ((new, 1), (old, -1)):
            if view is None:
                continue
            counts = self._of(view)
            counts.total += step
            if view.status.state == TaskState.COMPLETED:
                if view.status.result == Result.SUCCESS:
                    counts.succeeded += step
                else:
                    counts.failed += step
        if new is None and old is not None:
            self._tidy(old)

    def running(self, view: TaskView, step: int) -> None:
        """A task of the job got a run (1) or lost it (-1)."""
        self._of(view).running += step
        self._tidy(view)

    def of(self, namespace: str, job: str) -> TaskCounts:
        """The counts of a job; zeros when it has no tasks."""
        counts = self._jobs.get((namespace, job), _Counts())
        completed = counts.succeeded + counts.failed
        running = max(0, min(counts.running, counts.total - completed))
        active = counts.total - completed - running
        return TaskCounts(
            active=active, running=running, completed=completed, succeeded=counts.succeeded, failed=counts.failed
        )

    def reset_running(self) -> None:
        """Nothing is known of runs."""
        for counts in self._jobs.values():
            counts.running = 0

    def _of(self, view: TaskView) -> _Counts:
        return self._jobs.setdefault((view.metadata.namespace, view.spec.job_name), _Counts())

    def _tidy(self, view: TaskView) -> None:
        counts = self._of(view)
        if counts == _Counts():
            del self._jobs[view.metadata.namespace, view.spec.job_name]
