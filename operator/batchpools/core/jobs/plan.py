"""Decides what happens to a job next: its finalizer, its own pool, its tasks, its end, its deletion, its status.

`plan_job` is the only entry. Steps in order: deletion, end of its own pool, finalizer, termination, own pool, missing tasks, end,
counters.
"""

from datetime import datetime

from msgspec.structs import replace

from batchpools.api import names
from batchpools.api.reasons import Condition, Reason
from batchpools.api.states import JobState, Result
from batchpools.core.conditions import set_condition
from batchpools.core.identity import Key
from batchpools.core.jobs.auto_pool import missing_pool, pool_to_delete, scheduling_error
from batchpools.core.jobs.children import children_of, create_task, task_name
from batchpools.core.jobs.completion import all_tasks_complete, ends_by_itself, final_counts, result_of, unseen
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.jobs.termination import result_of_ended, terminate_reason, told
from batchpools.core.plan import AddFinalizer, Delete, EndJob, Plan, RemoveFinalizer
from batchpools.core.views import ConditionView, InlineTask, JobStatus, SchedulingError, TaskCounts

CREATES_PER_PLAN = 200  # tasks made in one go, so that one large job does not hold up the others
DELETES_PER_PLAN = 200
LOOK_AGAIN = 5.0  # seconds, in case the event of our own write does not come
CONFLICT_INTERVAL = 30.0  # seconds until a name that somebody else holds is tried again
COUNTER_INTERVAL = 5.0  # seconds between two writes of counters (safety rule S5.4)


def plan_job(situation: JobSituation, *, now: datetime) -> Plan[JobStatus]:
    """What to do about one job now. Applied twice it is empty the second time."""
    meta, status = situation.job.metadata, situation.job.status
    key = Key("Job", meta.namespace, meta.name)
    if meta.deletion_timestamp is not None:
        return _plan_deletion(situation, key)
    if status.state == JobState.COMPLETED:
        return _plan_end_of_pool(situation)
    if names.FINALIZER_JOB not in meta.finalizers:
        return Plan(effects=(AddFinalizer(key, meta.uid, names.FINALIZER_JOB),), requeue_after=LOOK_AGAIN)
    reason = terminate_reason(situation)
    if reason is not None:
        return _plan_termination(situation, key, reason, now)
    pool_error = scheduling_error(situation)
    if pool_error is not None:
        return _plan_unschedulable(situation, pool_error, now)
    pool = missing_pool(situation)
    if pool is not None:
        return Plan(effects=(pool,), requeue_after=LOOK_AGAIN)
    if status.tasks_created < len(children_of(situation.job)):
        return _plan_creation(situation, now)
    if situation.settled and ends_by_itself(situation) and all_tasks_complete(situation):
        return Plan(status=_completed(situation, now))
    return _plan_counters(situation, now)


def _plan_deletion(situation: JobSituation, key: Key) -> Plan[JobStatus]:
    """Runs end first, then the tasks go, then the job. With its namespace it goes at once (safety rule S7.1)."""
    meta = situation.job.metadata
    if names.FINALIZER_JOB not in meta.finalizers:
        return Plan()
    if situation.closing:
        return Plan(effects=(RemoveFinalizer(key, meta.uid, names.FINALIZER_JOB),))
    if not situation.runs_ended:
        end = EndJob(meta.namespace, meta.name)
        return Plan(effects=(end,), status=_deleting(situation), requeue_after=1.0)
    pool = pool_to_delete(situation)
    if pool is not None:
        return Plan(effects=(pool,), requeue_after=1.0)
    if situation.tasks:
        deletes = tuple(
            Delete(Key("Task", meta.namespace, task.metadata.name), task.metadata.uid, task.metadata.resource_version)
            for task in [one for one in situation.tasks if one.metadata.deletion_timestamp is None][:DELETES_PER_PLAN]
        )
        return Plan(effects=deletes, requeue_after=1.0)
    return Plan(effects=(RemoveFinalizer(key, meta.uid, names.FINALIZER_JOB),))


def _plan_termination(situation: JobSituation, key: Key, reason: str, now: datetime) -> Plan[JobStatus]:
    """What runs is ended, confirmed; what waits ends too (`controllers.task.intake`); once all of that is persisted the job has.

    So a task that waits in state Terminating ended with its job, and one that comes later came too late.
    """
    if situation.job.status.state != JobState.TERMINATING:
        ending = replace(_active(situation, now, situation.counts), state=JobState.TERMINATING, terminate_reason=reason)
        return Plan(status=ending, requeue_after=LOOK_AGAIN)
    if not situation.runs_ended:
        return Plan(effects=(EndJob(key.namespace, key.name),), requeue_after=1.0)
    if not situation.settled or not situation.conflicts.issuperset(unseen(situation)):
        return Plan(requeue_after=LOOK_AGAIN)
    return Plan(status=_terminated(situation, now))


def _plan_unschedulable(situation: JobSituation, error: SchedulingError, now: datetime) -> Plan[JobStatus]:
    """It ends; its tasks end first, if it has any."""
    if situation.settled:
        return Plan(status=_unschedulable(situation, error, now))
    ending = replace(_active(situation, now, situation.counts), state=JobState.TERMINATING, scheduling_error=error)
    return Plan(status=ending, requeue_after=LOOK_AGAIN)


def _plan_end_of_pool(situation: JobSituation) -> Plan[JobStatus]:
    pool = pool_to_delete(situation)
    return Plan() if pool is None else Plan(effects=(pool,), requeue_after=LOOK_AGAIN)


def _plan_creation(situation: JobSituation, now: datetime) -> Plan[JobStatus]:
    """Make the next tasks, then say how many were made; a restart in between makes the same ones again."""
    job = situation.job
    children, first = children_of(job), job.status.tasks_created
    upto = min(first + CREATES_PER_PLAN, len(children))
    creates = tuple(create_task(job, inline) for inline in children[first:upto])
    status = replace(_active(situation, now, situation.counts), tasks_created=upto)
    return Plan(effects=creates, status=status, requeue_after=LOOK_AGAIN)


def _plan_counters(situation: JobSituation, now: datetime) -> Plan[JobStatus]:
    """Conditions at once, mere counters when they are due."""
    told = situation.job.status
    wanted = _active(situation, now, situation.counts)
    again = tuple(create_task(situation.job, inline) for inline in _in_conflict(situation))
    later = CONFLICT_INTERVAL if again else None
    if wanted == told:
        return Plan(effects=again, requeue_after=later)
    if replace(wanted, task_counts=told.task_counts) != told:
        return Plan(effects=again, status=wanted, requeue_after=later)
    if not situation.counts_due:
        return Plan(effects=again, requeue_after=COUNTER_INTERVAL)
    return Plan(effects=again, status=wanted, urgent=False, requeue_after=later)


def _in_conflict(situation: JobSituation) -> list[InlineTask]:
    job = situation.job
    return [inline for inline in children_of(job) if task_name(job.metadata.name, inline.id) in situation.conflicts]


def _active(situation: JobSituation, now: datetime, counts: TaskCounts) -> JobStatus:
    job = situation.job
    return replace(
        job.status,
        observed_generation=job.metadata.generation,
        state=JobState.ACTIVE,
        start_time=job.status.start_time or job.metadata.creation_timestamp,
        pool_name=job.pool,
        task_counts=counts,
        conditions=_waiting_conditions(situation, now),
    )


def _waiting_conditions(situation: JobSituation, now: datetime) -> tuple[ConditionView, ...]:
    job = situation.job
    conditions = job.status.conditions
    generation = job.metadata.generation

    def put(type_: Condition, holds: bool, reason: Reason, message: str) -> None:
        nonlocal conditions
        said = ConditionView(
            type=type_, status=str(holds), reason=reason, message=message, observed_generation=generation
        )
        conditions = set_condition(conditions, said, now=now)

    has_said = {condition.type for condition in conditions}
    if not situation.pool_exists:
        message = f"Pool {job.pool!r} is not in this namespace; the tasks wait until it is."
        put(Condition.SCHEDULABLE, False, Reason.POOL_NOT_FOUND, message)
    elif Condition.SCHEDULABLE in has_said:
        put(Condition.SCHEDULABLE, True, Reason.SCHEDULED, "")
    if situation.conflicts:
        held = ", ".join(sorted(situation.conflicts)[:5])
        put(
            Condition.STALLED,
            True,
            Reason.NAME_CONFLICT,
            f"Names of tasks are held by objects of another owner: {held}.",
        )
    elif Condition.STALLED in has_said:
        put(Condition.STALLED, False, Reason.RUNNING, "")
    return conditions


def _completed(situation: JobSituation, now: datetime) -> JobStatus:
    counts = final_counts(situation)
    succeeded = result_of(situation) == Result.SUCCESS
    reason = Reason.ALL_TASKS_COMPLETE if succeeded else Reason.TASKS_FAILED
    message = f"{counts.succeeded} of {counts.completed} tasks succeeded."
    conditions = _final_conditions(situation, now, reason, message, succeeded=succeeded)
    ended = replace(_active(situation, now, counts), conditions=conditions, terminate_reason=Reason.ALL_TASKS_COMPLETE)
    return _ended(ended, now, succeeded=succeeded)


def _unschedulable(situation: JobSituation, error: SchedulingError, now: datetime) -> JobStatus:
    conditions = _final_conditions(situation, now, Reason.SCHEDULING_ERROR, error.message, succeeded=False)
    ended = replace(_active(situation, now, situation.counts), conditions=conditions, scheduling_error=error)
    return _ended(ended, now, succeeded=False)


def _terminated(situation: JobSituation, now: datetime) -> JobStatus:
    reason, message = told(situation)
    succeeded = result_of_ended(situation) == Result.SUCCESS
    conditions = _final_conditions(situation, now, reason, message, succeeded=succeeded)
    ended = replace(_active(situation, now, final_counts(situation)), conditions=conditions)
    return _ended(ended, now, succeeded=succeeded)


def _ended(status: JobStatus, now: datetime, *, succeeded: bool) -> JobStatus:
    result = Result.SUCCESS if succeeded else Result.FAILURE
    return replace(status, state=JobState.COMPLETED, result=result, end_time=now)


def _final_conditions(
    situation: JobSituation, now: datetime, reason: Reason, message: str, *, succeeded: bool
) -> tuple[ConditionView, ...]:
    conditions = _waiting_conditions(situation, now)
    for type_, holds in (
        (Condition.COMPLETE, succeeded),
        (Condition.FAILED, not succeeded),
        (Condition.FINISHED, True),
    ):
        said = ConditionView(
            type=type_,
            status=str(holds),
            reason=reason,
            message=message,
            observed_generation=situation.job.metadata.generation,
        )
        conditions = set_condition(conditions, said, now=now)
    return conditions


def _deleting(situation: JobSituation) -> JobStatus | None:
    status = situation.job.status
    if status.state == JobState.COMPLETED:  # terminal stays terminal
        return None
    return replace(status, state=JobState.DELETING, observed_generation=situation.job.metadata.generation)
