"""A JobSchedule as decisions read it. Shapes only."""

from datetime import datetime
from typing import Any

from batchpools.core.views.base import ConditionView, Meta, View
from batchpools.core.views.job import Terminate


class Schedule(View, frozen=True):
    """When jobs are made; at most one of recurrence_interval and cron, neither = once."""

    recurrence_interval: str = ""
    cron: str = ""
    time_zone: str = ""
    do_not_run_until: datetime | None = None
    do_not_run_after: datetime | None = None
    start_window: str = ""


class JobTemplateMetadata(View, frozen=True):
    """What the jobs are marked with."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class JobTemplate(View, frozen=True):
    """The jobs; spec: that of a Job, as the API server has it."""

    metadata: JobTemplateMetadata = JobTemplateMetadata()
    spec: dict[str, Any] = {}


class JobScheduleSpec(View, frozen=True):
    """A schedule as the user wants it."""

    schedule: Schedule = Schedule()
    suspend: bool = False
    terminate: Terminate | None = None
    job_template: JobTemplate = JobTemplate()
    successful_jobs_history_limit: int = 3
    failed_jobs_history_limit: int = 1


class JobScheduleStatus(View, frozen=True):
    """How a schedule stands."""

    observed_generation: int = 0
    epoch: int = 0
    state: str = "Active"
    schedule: str = ""  # in words: what it is counted by; another one counts from its change
    next_run_time: datetime | None = None
    recent_job: str = ""
    active_job: str = ""
    last_schedule_time: datetime | None = None  # for which the last job was made
    skipped_until: datetime | None = None  # what was due until then is not made up
    jobs_created: int = 0
    end_time: datetime | None = None
    conditions: tuple[ConditionView, ...] = ()


class JobScheduleView(View, frozen=True):
    """One JobSchedule."""

    metadata: Meta
    spec: JobScheduleSpec = JobScheduleSpec()
    status: JobScheduleStatus = JobScheduleStatus()
