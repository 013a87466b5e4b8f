"""Decides what is told of a schedule beside its times: conditions, and Events for `kubectl describe`. Pure."""

from datetime import datetime

from batchpools.api.reasons import Condition, Reason
from batchpools.api.states import JobScheduleState
from batchpools.core.conditions import find_condition, set_condition
from batchpools.core.identity import Key
from batchpools.core.plan import Event
from batchpools.core.schedules.situation import ScheduleSituation
from batchpools.core.views import ConditionView, JobScheduleStatus, JobScheduleView


def conditions_of(
    situation: ScheduleSituation, status: JobScheduleStatus, why: Reason, trouble: str, *, is_due: bool, now: datetime
) -> tuple[ConditionView, ...]:
    """Finished, and Stalled once there was something: times that cannot be read, or a due job that is not taken."""
    conditions = status.conditions
    reason, message = _stalled(situation, trouble, is_due=is_due)
    if reason is not None:
        conditions = set_condition(conditions, _said(status, Condition.STALLED, "True", reason, message), now=now)
    elif find_condition(conditions, Condition.STALLED) is not None:
        conditions = set_condition(conditions, _said(status, Condition.STALLED, "False", Reason.ACCEPTED, ""), now=now)
    if status.state == JobScheduleState.COMPLETED:
        message = situation.schedule.spec.terminate.reason if situation.schedule.spec.terminate is not None else ""
        message = message or f"{status.jobs_created} jobs were made."
        conditions = set_condition(conditions, _said(status, Condition.FINISHED, "True", why, message), now=now)
    return conditions


def schedule_events(schedule: JobScheduleView, now: JobScheduleStatus, lost: datetime | None) -> tuple[Event, ...]:
    """What to tell when the status becomes `now`. lost: a turn whose window has just been found to be over."""
    before, meta = schedule.status, schedule.metadata
    key = Key("JobSchedule", meta.namespace, meta.name)
    told: list[Event] = []
    if now.jobs_created > before.jobs_created:
        told.append(Event(key, meta.uid, "JobCreated", f"Job {now.recent_job} was made."))
    if lost is not None:
        words = f"The job of {lost.isoformat()} was not made within startWindow {schedule.spec.schedule.start_window}."
        told.append(Event(key, meta.uid, "StartWindowMissed", words, warning=True))
    stalled = find_condition(now.conditions, Condition.STALLED)
    known = find_condition(before.conditions, Condition.STALLED)
    if stalled is not None and stalled.status == "True" and (known is None or known.message != stalled.message):
        told.append(Event(key, meta.uid, stalled.reason, stalled.message, warning=True))
    return tuple(told)


def _stalled(situation: ScheduleSituation, trouble: str, *, is_due: bool) -> tuple[Reason | None, str]:
    if trouble:
        return Reason.SCHEDULE_INVALID, trouble
    refused = situation.refused
    if refused is None or not is_due:
        return None, ""
    return (Reason.NAME_CONFLICT if refused.is_conflict else Reason.JOB_REFUSED), refused.sentence


def _said(status: JobScheduleStatus, type_: Condition, holds: str, reason: Reason, message: str) -> ConditionView:
    return ConditionView(
        type=type_, status=holds, reason=reason, message=message[:1024], observed_generation=status.observed_generation
    )
