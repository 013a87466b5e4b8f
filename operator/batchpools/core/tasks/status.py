"""Decides what a task's status says after each thing that happens to it. Always the whole status, for one write."""

from datetime import UTC, datetime

from msgspec.structs import replace

from batchpools.api.durations import format_duration
from batchpools.api.reasons import Condition, FailureCode, Reason
from batchpools.api.states import FailureCategory, Result, TaskState
from batchpools.core.conditions import find_condition, set_condition, without_condition
from batchpools.core.ended import Ended
from batchpools.core.identity import ExecutionId
from batchpools.core.tasks.lifecycle import OnNode
from batchpools.core.tasks.outcome import Failed, Requeue, Retry, Succeeded
from batchpools.core.views import ConditionView, FailureInfo, TaskStats, TaskStatus


def running(before: TaskStatus, *, node: str, execution: ExecutionId, started_at: float, now: datetime) -> TaskStatus:
    """It has been running for a while."""
    return replace(
        before,
        state=TaskState.RUNNING,
        pool_node_name=node,
        execution_id=str(execution),
        attempt=execution.attempt,
        start_time=time_of(started_at),
        end_time=None,
        exit_code=None,
        conditions=_scheduled(before.conditions, now),
    )


def again(
    before: TaskStatus, verdict: Retry | Requeue, *, node: str, execution: ExecutionId | None, now: datetime
) -> TaskStatus:
    """It goes back to the queue: counted as the user's retry, or as our requeue with its reason."""
    counted = replace(
        before,
        state=TaskState.ACTIVE,
        pool_node_name=node,
        execution_id=str(execution) if execution else before.execution_id,
        attempt=execution.attempt if execution else before.attempt,
        conditions=_scheduled(before.conditions, now),
    )
    if isinstance(verdict, Retry):
        return replace(counted, retry_count=before.retry_count + 1)
    reasons = {**before.requeue_reasons, verdict.reason: before.requeue_reasons.get(verdict.reason, 0) + 1}
    return replace(counted, requeue_count=before.requeue_count + 1, requeue_reasons=reasons)


def completed(  # noqa: PLR0913 (each is a fact of the end)
    before: TaskStatus,
    verdict: Succeeded | Failed,
    ended: Ended,
    *,
    node: str,
    execution: ExecutionId | None,
    generation: int,
    now: datetime,
) -> TaskStatus:
    """It has ended for good. `execution` None: it never ran."""
    good = isinstance(verdict, Succeeded)
    failure = None if isinstance(verdict, Succeeded) else verdict.failure
    return replace(
        before,
        observed_generation=generation,
        state=TaskState.COMPLETED,
        result=Result.SUCCESS if good else Result.FAILURE,
        exit_code=0 if isinstance(verdict, Succeeded) else verdict.exit_code,
        start_time=time_of(ended.started_at) if ended.started_at else before.start_time,
        end_time=time_of(ended.ended_at) if ended.ended_at else now,
        pool_node_name=node or before.pool_node_name,
        execution_id=str(execution) if execution else before.execution_id,
        attempt=execution.attempt if execution else before.attempt,
        failure_info=failure,
        stats=_stats(ended) if execution else None,
        conditions=_ended_conditions(before.conditions, failure, generation, now),
    )


def rejected(before: TaskStatus, sentence: str, *, generation: int, now: datetime) -> TaskStatus:
    """The API server refused our status: the least that it will take, so that the result is not reported for ever."""
    failure = FailureInfo(
        category=FailureCategory.SERVER_ERROR, code=FailureCode.STATUS_REJECTED, message=sentence[:512]
    )
    return TaskStatus(
        observed_generation=generation,
        epoch=before.epoch,
        state=TaskState.COMPLETED,
        result=Result.FAILURE,
        failure_info=failure,
        conditions=_ended_conditions((), failure, generation, now),
    )


def unschedulable(before: TaskStatus, reason: Reason, message: str, *, generation: int, now: datetime) -> TaskStatus:
    """It waits for something that may never come, and says for what."""
    said = ConditionView(
        type=Condition.SCHEDULABLE, status="False", reason=reason, message=message, observed_generation=generation
    )
    return replace(before, conditions=set_condition(before.conditions, said, now=now))


def schedulable(before: TaskStatus, message: str, *, generation: int, now: datetime) -> TaskStatus:
    """What it waited for is there; it waits for its turn."""
    said = ConditionView(
        type=Condition.SCHEDULABLE,
        status="True",
        reason=Reason.WAITING,
        message=message,
        observed_generation=generation,
    )
    return replace(before, conditions=set_condition(before.conditions, said, now=now))


def says_running(status: TaskStatus, state: OnNode) -> bool:
    """Whether a status names the run that a task has now, so that a next leader knows where it is."""
    return status.state == TaskState.RUNNING and status.execution_id == str(state.execution)


def is_newer(told: TaskStatus, known: TaskStatus) -> bool:
    """Whether one status of a task that has not ended speaks of a later moment than another."""
    return _moment(told) > _moment(known)


def is_accounted(execution: ExecutionId, status: TaskStatus) -> bool:
    """Whether what followed from a run is in the status already, or a later run is."""
    try:
        recorded = ExecutionId.parse(status.execution_id).order
    except ValueError:
        return False
    return execution.order < recorded or (execution.order == recorded and status.state != TaskState.RUNNING)


def _moment(status: TaskStatus) -> tuple[int, int, bool]:
    return (status.retry_count + status.requeue_count, status.attempt, status.state == TaskState.RUNNING)


def _scheduled(conditions: tuple[ConditionView, ...], now: datetime) -> tuple[ConditionView, ...]:
    """A task that once said that it could not be scheduled says now that it can."""
    former = find_condition(conditions, Condition.SCHEDULABLE)
    if former is None:
        return conditions
    return set_condition(conditions, replace(former, status="True", reason=Reason.SCHEDULED, message=""), now=now)


def _ended_conditions(
    conditions: tuple[ConditionView, ...], failure: FailureInfo | None, generation: int, now: datetime
) -> tuple[ConditionView, ...]:
    reason = Reason.SUCCEEDED if failure is None else Reason.FAILED
    message = "" if failure is None else f"{failure.code}: {failure.message}"
    result = without_condition(conditions, Condition.SCHEDULABLE)
    for type_, holds in (
        (Condition.COMPLETE, failure is None),
        (Condition.FAILED, failure is not None),
        (Condition.FINISHED, True),
    ):
        said = ConditionView(
            type=type_, status=str(holds), reason=reason, message=message, observed_generation=generation
        )
        result = set_condition(result, said, now=now)
    return result


def _stats(ended: Ended) -> TaskStats:
    return TaskStats(
        wall_clock_time=format_duration(ended.ended_at - ended.started_at),
        user_cpu_time=format_duration(ended.user_cpu),
        kernel_cpu_time=format_duration(ended.kernel_cpu),
        max_memory_bytes=ended.max_memory_bytes,
    )


def time_of(seconds: float) -> datetime:
    """Unix seconds as a status has them."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)
