"""Decides why a job is ended although not all of its tasks have ended by themselves, and with what it has ended then. Pure.

The reason is persisted with the state Terminating, so that what has begun goes on whatever becomes of its cause. Source: REST
reference, Job - Terminate, and terminateReason of JobExecutionInformation.
"""

from batchpools.api.reasons import Reason
from batchpools.api.states import JobState, Result
from batchpools.core.jobs.children import children_of
from batchpools.core.jobs.completion import final_counts
from batchpools.core.jobs.manager import has_ended_the_job
from batchpools.core.jobs.situation import JobSituation


def terminate_reason(situation: JobSituation) -> str | None:
    """The terminateReason of a job that is to end now; None when nothing ends it. Empty when it cannot be scheduled."""
    job, schedule = situation.job, situation.schedule
    if job.status.state == JobState.TERMINATING:
        return job.status.terminate_reason
    if schedule is not None and schedule.spec.terminate is not None:
        return Reason.TERMINATE_JOB_SCHEDULE
    if job.spec.terminate is not None:
        return job.spec.terminate.reason or Reason.USER_TERMINATE
    return Reason.JM_COMPLETE if has_ended_the_job(situation.manager, job) else None


def told(situation: JobSituation) -> tuple[Reason, str]:
    """(reason, sentence) of its last conditions."""
    status = situation.job.status
    counts = final_counts(situation)
    ended = f"{counts.succeeded} of {counts.completed} tasks succeeded."
    if status.scheduling_error is not None:
        return Reason.SCHEDULING_ERROR, status.scheduling_error.message
    if status.terminate_reason == Reason.TERMINATE_JOB_SCHEDULE:
        return Reason.TERMINATE_JOB_SCHEDULE, f"Its schedule was terminated; {ended}"
    if status.terminate_reason == Reason.JM_COMPLETE:
        return Reason.JM_COMPLETE, f"Its job manager task has ended; {ended}"
    return Reason.USER_TERMINATE, f"It was terminated: {status.terminate_reason}; {ended}"


def result_of_ended(situation: JobSituation) -> Result:
    """Success if nothing was cut short: every task was made, and has succeeded."""
    job, counts = situation.job, final_counts(situation)
    cut = job.status.tasks_created < len(children_of(job)) or situation.conflicts or job.status.scheduling_error
    return Result.FAILURE if cut or counts.failed else Result.SUCCESS
