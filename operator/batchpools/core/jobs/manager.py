"""Decides which Task is a job's manager, and whether the job ends with it. Pure.

It is the Task that the job's spec names and that the job owns, under the name that we give it: there is one at most, and no
label or id of a Task that somebody has made by hand makes it one. Source: REST reference, JobManagerTask.
"""

from batchpools.api.states import TaskState
from batchpools.core.jobs.children import task_name
from batchpools.core.views import JobManagerTask, JobView, TaskView


def manager_name(job: JobView) -> str:
    """The name of the manager's Task; empty when the job has none."""
    manager = job.spec.job_manager_task
    return "" if manager is None else task_name(job.metadata.name, manager.id)


def manages(task: TaskView, job: JobView | None) -> JobManagerTask | None:
    """The job's manager, if this is its Task."""
    manager = job.spec.job_manager_task if job is not None else None
    if job is None or manager is None or task.spec.id != manager.id or task.metadata.name != manager_name(job):
        return None
    owned = any(owner.controller and owner.uid == job.metadata.uid for owner in task.metadata.owner_references)
    return manager if owned else None


def ends_with_its_manager(job: JobView) -> bool:
    """Whether the job has a manager whose end is its own."""
    manager = job.spec.job_manager_task
    return manager is not None and manager.kill_job_on_completion


def has_ended_the_job(task: TaskView | None, job: JobView) -> bool:
    """Whether the manager has ended, well or badly, as is persisted (safety rule S5.3), and the job is to end with it."""
    if task is None or not ends_with_its_manager(job) or manages(task, job) is None:
        return False
    return task.status.state == TaskState.COMPLETED
