"""Decides whether a job ends by itself, and with which result (safety rule S5.3: on persisted results alone)."""

from batchpools.api.states import OnAllTasksComplete, Result, TaskState
from batchpools.core.jobs.children import children_of, task_name
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.views import TaskCounts, TaskView


def ends_by_itself(situation: JobSituation) -> bool:
    """Whether the job terminates once all of its tasks are complete; so by default when it has inline tasks."""
    spec = situation.job.spec
    wanted = spec.on_all_tasks_complete
    return wanted == OnAllTasksComplete.TERMINATE_JOB or (wanted is None and bool(spec.tasks))


def unseen(situation: JobSituation) -> list[str]:
    """Names of tasks that were made, that the cache does not show as ours, and of which nobody has confirmed that they are gone."""
    ours = {task.metadata.name for task in situation.tasks if _is_child(situation, task)}
    name = situation.job.metadata.name
    made = children_of(situation.job)[: situation.job.status.tasks_created]
    expected = (task_name(name, inline.id) for inline in made)
    return [child for child in expected if child not in ours and child not in situation.confirmed_gone]


def all_tasks_complete(situation: JobSituation) -> bool:
    """Whether the job has had a task, every expected one is accounted for, and each known one is terminal in the API."""
    status = situation.job.status
    has_had_a_task = bool(situation.tasks) or status.tasks_created > 0
    return (
        has_had_a_task
        and status.tasks_created >= len(children_of(situation.job))
        and all(is_terminal(task) for task in situation.tasks)
        and not unseen(situation)
        and not situation.conflicts
    )


def result_of(situation: JobSituation) -> Result:
    """Success if every task that is there succeeded."""
    succeeded = all(task.status.result == Result.SUCCESS for task in situation.tasks)
    return Result.SUCCESS if succeeded else Result.FAILURE


def final_counts(situation: JobSituation) -> TaskCounts:
    """The counts of a finished job, from what is persisted."""
    succeeded = sum(task.status.result == Result.SUCCESS for task in situation.tasks)
    total = len(situation.tasks)
    return TaskCounts(completed=total, succeeded=succeeded, failed=total - succeeded)


def is_terminal(task: TaskView) -> bool:
    """Whether the API says that the task has ended."""
    return task.status.state == TaskState.COMPLETED


def _is_child(situation: JobSituation, task: TaskView) -> bool:
    uid = situation.job.metadata.uid
    return any(owner.uid == uid for owner in task.metadata.owner_references)
