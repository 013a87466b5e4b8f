"""Names and makes the jobs of a schedule, and reads what was made from them: `<schedule>-<n>`, n from 1. Pure.

The name settles that a job made twice is made once; the time that it was made for stands on it, so that a restart between
the making and the writing of the schedule's status loses neither.
"""

from datetime import UTC, datetime
from typing import Any

from batchpools.api import names
from batchpools.api.states import JobState, Result
from batchpools.core.identity import Key
from batchpools.core.owner import owner_reference
from batchpools.core.plan import Create, Delete
from batchpools.core.schedules.situation import ScheduleSituation
from batchpools.core.views import JobScheduleView, JobView


def job_name(schedule: str, number: int) -> str:
    """What the job of a number is called."""
    return f"{schedule}-{number}"


def number_of(job: JobView, schedule: JobScheduleView) -> int:
    """Its number; 0 for a job that is not called as those of the schedule are."""
    stem, _, number = job.metadata.name.rpartition("-")
    is_ours = stem == schedule.metadata.name and number.isascii() and number.isdecimal()
    return int(number) if is_ours else 0


def has_ended(job: JobView) -> bool:
    """Whether nothing of it runs any more, as it is persisted. One that is being deleted may still run."""
    return job.status.state == JobState.COMPLETED


def made_for(job: JobView) -> datetime | None:
    """The time that it was made for; its creation when somebody has changed the note of it."""
    try:
        noted = datetime.fromisoformat(job.metadata.annotations.get(names.ANNOTATION_SCHEDULED_FOR, ""))
        return noted.astimezone(UTC) if noted.tzinfo is not None else job.metadata.creation_timestamp
    except ValueError:
        return job.metadata.creation_timestamp


def create_job(schedule: JobScheduleView, number: int, due: datetime) -> Create:
    """The effect that makes a job, owned by the schedule. The marks of the system win over those of the template."""
    meta, template = schedule.metadata, schedule.spec.job_template
    name = job_name(meta.name, number)
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_JOB_SCHEDULE: meta.name}
    manifest: dict[str, Any] = {
        "apiVersion": names.API_VERSION,
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": {**template.metadata.labels, **labels},
            "annotations": {**template.metadata.annotations, names.ANNOTATION_SCHEDULED_FOR: due.isoformat()},
            "ownerReferences": [owner_reference("JobSchedule", meta)],
        },
        "spec": template.spec,
    }
    return Create(Key("Job", meta.namespace, name), manifest, owner_uid=meta.uid)


def jobs_to_delete(situation: ScheduleSituation) -> tuple[Delete, ...]:
    """The oldest of those that have ended, beyond as many as are kept; none before its end is in the schedule's status."""
    schedule = situation.schedule
    spec, status = schedule.spec, schedule.status
    kept = {True: spec.successful_jobs_history_limit, False: spec.failed_jobs_history_limit}
    deletes = []
    numbered = sorted(((number_of(job, schedule), job) for job in situation.jobs), key=lambda one: -one[0])
    for number, job in numbered:
        if not has_ended(job) or not 0 < number <= status.jobs_created or job.metadata.name == status.active_job:
            continue
        succeeded = job.status.result == Result.SUCCESS
        kept[succeeded] -= 1
        meta = job.metadata
        if kept[succeeded] < 0 and meta.deletion_timestamp is None:
            deletes.append(Delete(Key("Job", meta.namespace, meta.name), meta.uid, meta.resource_version))
    return tuple(deletes)
