"""JobSchedule: jobs that are made again and again, one at a time. Source: Azure Batch REST reference, Job Schedule."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from batchpools.api.common import EPOCH_RULE, FRESH_CONDITIONS, Conditions, Duration, Model, Status, Text, rule, rules
from batchpools.api.job import JobSpec, Terminate
from batchpools.api.pod_template import Label
from batchpools.api.states import JobScheduleState

# RFC 3339 with a zone, as other clients read it too; the schema's format alone takes the year 0.
Moment = Annotated[
    datetime,
    Field(
        json_schema_extra={
            "pattern": r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
        }
    ),
]
Cron = Annotated[str, Field(min_length=9, max_length=128, pattern=r"^[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}$")]
TimeZone = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$")]


def _within(field: str, most: str) -> dict[str, str]:
    return rule(
        f"!has(self.{field}) || duration(self.{field}) >= duration('1s') && duration(self.{field}) <= duration('{most}')",
        f"{field} must lie between 1s and {most}",
    )


class Schedule(Model):
    """When jobs are made: again and again by an interval or as cron says, or once when there is neither."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.recurrenceInterval) || !has(self.cron)",
                "only one of recurrenceInterval and cron may be given",
            ),
            rule("!has(self.timeZone) || has(self.cron)", "timeZone goes with cron"),
            rule(
                "!has(self.doNotRunUntil) || !has(self.doNotRunAfter) || self.doNotRunUntil < self.doNotRunAfter",
                "doNotRunAfter must be later than doNotRunUntil",
            ),
            _within("recurrenceInterval", "8784h"),
            _within("startWindow", "8784h"),
        )
    )
    recurrence_interval: Duration | None = Field(
        default=None, description="Time between the starts of two jobs, counted from doNotRunUntil or the creation."
    )
    cron: Cron | None = Field(
        default=None, description="Minute, hour, day of month, month, day of week, as Debian's cron reads them."
    )
    time_zone: TimeZone | None = Field(
        default=None, description="The zone of cron's times, such as Europe/Berlin; UTC by default."
    )
    do_not_run_until: Moment | None = Field(
        default=None, description="No job is made before; the creation by default, and when it lies before that."
    )
    do_not_run_after: Moment | None = Field(
        default=None, description="No job is made later; the schedule ends when it is past and no job is active."
    )
    start_window: Duration | None = Field(
        default=None, description="How late a job may be made, else its turn is lost; until the next turn by default."
    )


class JobTemplateMetadata(Model):
    """What the jobs are marked with; the marks of the system come on top."""

    labels: Annotated[dict[str, Label], Field(max_length=64)] | None = Field(
        default=None, description="Labels of the jobs."
    )
    annotations: Annotated[dict[str, Text], Field(max_length=64)] | None = Field(
        default=None, description="Annotations of the jobs."
    )


# A template may change freely: what is fixed in a job is fixed once it is made.
_TEMPLATE: dict[str, Any] = {"x-template": True}


class JobTemplate(Model):
    """The jobs as they are made. A change reaches later jobs only."""

    metadata: JobTemplateMetadata | None = Field(default=None, description="Labels and annotations of the jobs.")
    spec: JobSpec = Field(
        description="The spec of the jobs. They must end by themselves, or the schedule waits for ever.",
        json_schema_extra=_TEMPLATE,
    )


class JobScheduleSpec(Model):
    """A schedule as the user wants it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("!has(oldSelf.terminate) || has(self.terminate)", "there is no way back from terminate"),
        )
    )
    schedule: Schedule = Field(
        default=Schedule(),
        json_schema_extra={"default": {}},
        description="When jobs are made; one at once when it says nothing.",
    )
    suspend: bool = Field(default=False, description="No job is made while it is true; the one that is active goes on.")
    terminate: Terminate | None = Field(
        default=None, description="Ends the schedule for good, and the job that is active."
    )
    job_template: JobTemplate = Field(description="The jobs.")
    successful_jobs_history_limit: int = Field(
        default=3, ge=0, le=1000, description="How many jobs that succeeded are kept; older ones are deleted."
    )
    failed_jobs_history_limit: int = Field(
        default=1, ge=0, le=1000, description="How many jobs that failed are kept; older ones are deleted."
    )


JobName = Annotated[str, Field(max_length=63)]


class JobScheduleStatus(Status):
    """How a schedule stands."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            EPOCH_RULE,
            rule(
                "!has(oldSelf.jobsCreated) || (has(self.jobsCreated) && self.jobsCreated >= oldSelf.jobsCreated)",
                "the number of the last job never goes back",
            ),
            rule("oldSelf.state != 'Completed' || self.state == 'Completed'", "a schedule that has ended stays ended"),
        )
    )
    state: JobScheduleState = Field(default=JobScheduleState.ACTIVE, description="Where it is in its life.")
    schedule: Annotated[str, Field(max_length=512)] = Field(
        default="",
        description="The schedule that is followed, in words; what was due under another one is not made up.",
    )
    next_run_time: datetime | None = Field(
        default=None, description="When the next job is due; a time that is past waits for the active job to end."
    )
    recent_job: JobName = Field(default="", description="The job that was made last.")
    active_job: JobName = Field(default="", description="The job that has not ended yet; there is one at most.")
    last_schedule_time: datetime | None = Field(
        default=None, description="The time for which the last job was made; it may have been made later."
    )
    skipped_until: datetime | None = Field(
        default=None,
        description="What was due until then is not made up: it was suspended, changed, or lost its window.",
    )
    jobs_created: int = Field(default=0, description="The number of the last job: how many were made.")
    end_time: datetime | None = Field(default=None, description="When it ended.")
    conditions: Conditions = Field(default=[], description="Finished, Stalled, by type.")


class JobSchedule(Model):
    """A job schedule: jobs made at their times, at most one active."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.metadata.name.size() <= 52 && !self.metadata.name.contains('.')",
                "the name of a schedule has at most 52 characters and no dots: its jobs are called <name>-<number>",
            ),
            rule(
                "!has(oldSelf.status) || oldSelf.status.state != 'Completed' || self.spec.schedule == oldSelf.spec.schedule",
                "a schedule that has ended takes no other times: make another one",
            ),
        )
    )
    spec: JobScheduleSpec = Field(description="When which jobs are made.")
    status: JobScheduleStatus = Field(
        default=JobScheduleStatus(),
        json_schema_extra={"default": {"state": "Active", "conditions": FRESH_CONDITIONS}},
        description="How the schedule stands; written by the operator.",
    )
