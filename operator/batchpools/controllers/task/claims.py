"""Who has an id in a job (without regard to case), and whose directory a deleted task's run still uses."""

from collections.abc import Iterable

from batchpools.controllers.task.entry import created_at, task_id
from batchpools.core.views import TaskView

_Claim = tuple[str, str, str]


class Claims:
    """An id belongs to the first task that is seen with it; after an election to the oldest."""

    def __init__(self) -> None:
        self._holders: dict[_Claim, str] = {}
        self._leaving: dict[_Claim, str] = {}

    def claim(self, view: TaskView) -> bool:
        """Whether the id is this task's."""
        return self._holders.setdefault(_claim(view), view.metadata.uid) == view.metadata.uid

    def claim_all(self, views: Iterable[TaskView]) -> None:
        """Hand out all ids anew, the oldest task first."""
        self.clear()
        for view in sorted(views, key=lambda one: (created_at(one), one.metadata.uid)):
            self.claim(view)

    def release(self, view: TaskView) -> None:
        """The task is gone: its id may be used again."""
        if self._holders.get(_claim(view)) == view.metadata.uid:
            del self._holders[_claim(view)]

    def leaves(self, view: TaskView) -> None:
        """The task is gone, its run is not: a new task of that id must not use the directory yet."""
        self._leaving[_claim(view)] = view.metadata.uid

    def left(self, view: TaskView) -> str:
        """The run of a deleted task is gone too; uid of the task that has the id now, empty when there is none."""
        if self._leaving.get(_claim(view)) != view.metadata.uid:
            return ""
        del self._leaving[_claim(view)]
        return self._holders.get(_claim(view), "")

    def must_wait(self, view: TaskView) -> bool:
        """Whether a former task of that id still uses the directory."""
        return self._leaving.get(_claim(view), view.metadata.uid) != view.metadata.uid

    def has_directory(self, view: TaskView) -> bool:
        """Whether what lies in its directory is this task's, also when it is gone: no other task of that id has come."""
        uid, claim = view.metadata.uid, _claim(view)
        return self._holders.get(claim, uid) == uid and self._leaving.get(claim, uid) == uid

    def is_leaving(self, namespace: str, job: str) -> bool:
        """Whether a run of a deleted task of that job may still go on."""
        return any(claim[:2] == (namespace, job) for claim in self._leaving)

    def clear(self) -> None:
        """Nothing is known."""
        self._holders.clear()
        self._leaving.clear()


def _claim(view: TaskView) -> _Claim:
    return (view.metadata.namespace, view.spec.job_name, task_id(view).lower())
