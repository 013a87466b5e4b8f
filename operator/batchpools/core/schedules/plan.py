"""Decides what happens to a schedule next: the job that is due, jobs and pools that are no longer kept, its end, its status.

`plan_schedule` is the only entry. Everything follows from the persisted status, the jobs that are there and the time; a plan
does not claim a job that it makes: the next one finds it, by its name. Source: REST reference, Job Schedule and Schedule. Pure.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from batchpools.api.durations import parse_duration
from batchpools.api.reasons import Reason
from batchpools.api.states import JobScheduleState
from batchpools.core.plan import Create, Plan
from batchpools.core.schedules.auto_pool import pools_to_delete
from batchpools.core.schedules.jobs import create_job, has_ended, job_name, jobs_to_delete, made_for, number_of
from batchpools.core.schedules.situation import ScheduleSituation
from batchpools.core.schedules.telling import conditions_of, schedule_events
from batchpools.core.schedules.timetable import Timetable, TimetableError, in_words, timetable_of
from batchpools.core.views import JobScheduleStatus, JobView

LOOK_AGAIN = 5.0  # seconds, in case the event of our own write does not come
REFUSED_AGAIN = 15.0
LONGEST_WAIT = 60.0  # seconds after which the time is looked at anyway: somebody may have set the clock


@dataclass(frozen=True, slots=True)
class _Turn:
    """How the times stand. While a job is active nothing is due or lost: what is next waits for its end, and costs no writes."""

    due: datetime | None = None  # what a job is to be made for now
    lost: datetime | None = None  # a turn whose window has passed
    next: datetime | None = None
    is_last: bool = False  # nothing will ever be due again


def plan_schedule(situation: ScheduleSituation, *, now: datetime) -> Plan[JobScheduleStatus]:
    """What to do about one schedule now. Applied twice it is empty the second time; one that waits has only requeue_after."""
    schedule = situation.schedule
    told = schedule.status
    if schedule.metadata.deletion_timestamp is not None:
        return _plan_deletion(told)
    deletes = (*jobs_to_delete(situation), *pools_to_delete(situation))
    known = _with_what_was_made(situation)
    active = _active(situation, known)
    known = replace(known, active_job=active.metadata.name if active is not None else "")
    if told.state == JobScheduleState.COMPLETED:
        return Plan(effects=deletes, status=known if known != told else None)  # a job may come late, of a former leader
    known = replace(known, skipped_until=now if _starts_anew(situation) else known.skipped_until)
    table, trouble = _timetable(situation)
    turn = _turn(situation, known, table, now) if table is not None else _Turn()
    state, why = _state(situation, active, turn, now)
    if turn.lost is not None and not schedule.spec.suspend:
        known = replace(known, skipped_until=turn.lost)
    status = replace(
        known,
        observed_generation=schedule.metadata.generation,
        state=state,
        schedule=in_words(schedule.spec.schedule),
        next_run_time=turn.next if state == JobScheduleState.ACTIVE else None,
        end_time=now if state == JobScheduleState.COMPLETED else None,
    )
    creates: tuple[Create, ...] = ()
    if turn.due is not None and state == JobScheduleState.ACTIVE:
        creates = (create_job(schedule, known.jobs_created + 1, turn.due),)
    conditions = conditions_of(situation, status, why, trouble, is_due=bool(creates), now=now)
    status = replace(status, conditions=conditions)
    return Plan(
        effects=(*creates, *deletes),
        status=status if status != told else None,
        events=schedule_events(schedule, status, turn.lost if known.skipped_until == turn.lost else None),
        requeue_after=_again(situation, active, turn, state, now),
    )


def _plan_deletion(told: JobScheduleStatus) -> Plan[JobScheduleStatus]:
    """It is held by somebody's finalizer: no more jobs. Those that are there go by their owner reference."""
    if told.state in {JobScheduleState.COMPLETED, JobScheduleState.DELETING}:
        return Plan()
    return Plan(status=replace(told, state=JobScheduleState.DELETING, next_run_time=None))


def _with_what_was_made(situation: ScheduleSituation) -> JobScheduleStatus:
    """The status with a job that was made and not yet told of: whoever made it was stopped in between."""
    schedule = situation.schedule
    told = schedule.status
    newest = max(situation.jobs, key=lambda job: number_of(job, schedule), default=None)
    number = number_of(newest, schedule) if newest is not None else 0
    if newest is None or number <= told.jobs_created:
        return told
    times = [one for one in (told.last_schedule_time, made_for(newest)) if one is not None]
    return replace(
        told,
        jobs_created=number,
        recent_job=job_name(schedule.metadata.name, number),
        last_schedule_time=max(times, default=None),
    )


def _active(situation: ScheduleSituation, known: JobScheduleStatus) -> JobView | None:
    """The newest of its jobs that has not ended."""
    schedule = situation.schedule
    left = [job for job in situation.jobs if not has_ended(job) and 0 < number_of(job, schedule) <= known.jobs_created]
    return max(left, key=lambda job: number_of(job, schedule), default=None)


def _starts_anew(situation: ScheduleSituation) -> bool:
    """Whether it was suspended, or followed another schedule: what was due meanwhile is not made up."""
    spec, told = situation.schedule.spec, situation.schedule.status
    resumes = told.state == JobScheduleState.DISABLED and not spec.suspend
    return resumes or told.schedule not in {"", in_words(spec.schedule)}


def _timetable(situation: ScheduleSituation) -> tuple[Timetable | None, str]:
    try:
        return timetable_of(situation.schedule, situation.zone), ""
    except TimetableError as error:
        return None, str(error)


def _turn(situation: ScheduleSituation, known: JobScheduleStatus, table: Timetable, now: datetime) -> _Turn:
    """Only the latest moment counts: a later one takes the place of those that were missed (no pile-up)."""
    schedule = situation.schedule.spec.schedule
    marks = [known.last_schedule_time, known.skipped_until if table.recurs else None]
    settled = max((one for one in marks if one is not None), default=None)
    due = table.latest(now) if not known.active_job else None
    if due is not None and settled is not None and due <= settled:
        due = None
    lost = None
    if due is not None and _is_lost(due, schedule.start_window, now):
        settled, lost, due = due, due, None
    end = schedule.do_not_run_after
    if end is not None and now > end:
        due = None
    following = table.following(settled)
    within = following if end is None or following is None or following <= end else None
    return _Turn(due, lost, within, is_last=following is None)


def _is_lost(due: datetime, window: str, now: datetime) -> bool:
    return bool(window) and now >= due + timedelta(seconds=parse_duration(window))


def _state(
    situation: ScheduleSituation, active: JobView | None, turn: _Turn, now: datetime
) -> tuple[JobScheduleState, Reason]:
    """Where it is in its life, and why if that is over."""
    spec = situation.schedule.spec
    if spec.terminate is not None:
        ended = JobScheduleState.TERMINATING if active is not None else JobScheduleState.COMPLETED
        return ended, Reason.TERMINATE_JOB_SCHEDULE
    end = spec.schedule.do_not_run_after
    is_over = turn.is_last or (end is not None and now > end)
    if is_over and active is None:
        return JobScheduleState.COMPLETED, Reason.NO_MORE_JOBS
    return (JobScheduleState.DISABLED if spec.suspend else JobScheduleState.ACTIVE), Reason.WAITING


def _again(
    situation: ScheduleSituation, active: JobView | None, turn: _Turn, state: JobScheduleState, now: datetime
) -> float | None:
    """When the time alone makes a difference; the end of a job comes as an event."""
    if active is not None or state == JobScheduleState.COMPLETED:
        return None
    end = situation.schedule.spec.schedule.do_not_run_after
    if state == JobScheduleState.ACTIVE and turn.due is not None:
        return REFUSED_AGAIN if situation.refused is not None else LOOK_AGAIN
    times = [end, turn.next if state == JobScheduleState.ACTIVE else None]
    waits = [max((one - now).total_seconds(), 0.001) for one in times if one is not None]
    return min([*waits, LONGEST_WAIT]) if waits else None
