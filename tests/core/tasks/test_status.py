"""Whole statuses of tasks, compared as wholes."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from batchpools.api.reasons import FailureCode, Reason, RequeueReason
from batchpools.api.states import FailureCategory
from batchpools.core.ended import Ended
from batchpools.core.identity import ExecutionId
from batchpools.core.tasks import status as statuses
from batchpools.core.tasks.outcome import Failed, Requeue, Retry, Succeeded
from batchpools.core.views import ConditionView, FailureInfo, TaskStats, TaskStatus

NOW = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)
WHOLE = NOW.replace(microsecond=0)
RUN = ExecutionId("uid", "-", 3, 2)
FRESH = TaskStatus(conditions=(ConditionView(type="Finished", status="False", reason="Waiting"),))
ENDED = Ended("exit", 0, NOW.timestamp() - 2.5, NOW.timestamp(), 1.25, 0.5, 4096)


def _ended_condition(type_: str, status: str, reason: str, message: str = "") -> ConditionView:
    return ConditionView(
        type=type_, status=status, reason=reason, message=message, last_transition_time=WHOLE, observed_generation=1
    )


def test_a_success_is_one_whole_status() -> None:
    assert statuses.completed(FRESH, Succeeded(), ENDED, node="n1", execution=RUN, generation=1, now=NOW) == TaskStatus(
        observed_generation=1,
        state="Completed",
        result="Success",
        exit_code=0,
        start_time=NOW - timedelta(seconds=2.5),
        end_time=NOW,
        pool_node_name="n1",
        execution_id="uid:-:3:2",
        attempt=2,
        stats=TaskStats("2.5s", "1.25s", "0.5s", 4096),
        conditions=(
            _ended_condition("Finished", "True", "Succeeded"),
            _ended_condition("Complete", "True", "Succeeded"),
            _ended_condition("Failed", "False", "Succeeded"),
        ),
    )


def test_a_task_that_never_ran_ends_without_exit_code_times_of_a_run_or_stats() -> None:
    failure = FailureInfo(FailureCategory.USER_ERROR, FailureCode.JOB_COMPLETED, "Job 'j' has ended.")
    status = statuses.completed(
        FRESH, Failed(failure, None), Ended("launchFailed"), node="", execution=None, generation=4, now=NOW
    )
    message = "JobCompleted: Job 'j' has ended."
    assert (status.result, status.exit_code, status.start_time, status.end_time) == ("Failure", None, None, NOW)
    assert (status.stats, status.attempt, status.failure_info) == (None, 0, failure)
    assert {(one.type, one.status, one.reason, one.message) for one in status.conditions} == {
        ("Finished", "True", "Failed", message),
        ("Complete", "False", "Failed", message),
        ("Failed", "True", "Failed", message),
    }


def test_a_retry_counts_for_the_user_and_a_requeue_for_us() -> None:
    retried = statuses.again(FRESH, Retry(), node="n1", execution=RUN, now=NOW)
    assert (retried.state, retried.retry_count, retried.requeue_count, retried.attempt) == ("Active", 1, 0, 2)
    requeued = statuses.again(retried, Requeue(RequeueReason.NODE_LOST), node="n1", execution=RUN, now=NOW)
    twice = statuses.again(requeued, Requeue(RequeueReason.NODE_LOST), node="n1", execution=RUN, now=NOW)
    assert (twice.retry_count, twice.requeue_count, twice.requeue_reasons) == (1, 2, {"NodeLost": 2})


def test_what_waits_says_why_until_it_runs() -> None:
    told = statuses.unschedulable(FRESH, Reason.NO_NODES, "none", generation=1, now=NOW)
    assert [(one.type, one.status) for one in told.conditions] == [("Finished", "False"), ("Schedulable", "False")]
    running = statuses.running(told, node="n1", execution=RUN, started_at=NOW.timestamp(), now=NOW)
    assert (running.conditions[1].status, running.conditions[1].reason) == ("True", "Scheduled")
    done = statuses.completed(running, Succeeded(), ENDED, node="n1", execution=RUN, generation=1, now=NOW)
    assert [one.type for one in done.conditions] == ["Finished", "Complete", "Failed"]


def test_the_least_status_is_small_terminal_and_says_what_was_refused() -> None:
    least = statuses.rejected(FRESH, "x" * 5000, generation=1, now=NOW)
    assert (least.state, least.result, least.stats, least.exit_code) == ("Completed", "Failure", None, None)
    assert least.failure_info is not None
    assert (least.failure_info.code, len(least.failure_info.message)) == ("StatusRejected", 512)


def test_a_life_of_a_task_only_ever_gets_newer() -> None:
    first = FRESH
    running = statuses.running(first, node="n", execution=RUN, started_at=1.0, now=NOW)
    retried = statuses.again(running, Retry(), node="n", execution=RUN, now=NOW)
    later = statuses.running(retried, node="n", execution=ExecutionId("uid", "-", 3, 3), started_at=2.0, now=NOW)
    requeued = statuses.again(later, Requeue(RequeueReason.NODE_LOST), node="n", execution=None, now=NOW)
    life = [first, running, retried, later, requeued]
    for place, known in enumerate(life):
        assert [statuses.is_newer(told, known) for told in life] == [other > place for other in range(len(life))]


@given(
    recorded=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    asked=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    state=st.sampled_from(["Active", "Running"]),
)
def test_a_run_is_accounted_for_when_it_or_a_later_one_is_recorded(
    recorded: tuple[int, int], asked: tuple[int, int], state: str
) -> None:
    status = TaskStatus(state=state, execution_id=str(ExecutionId("u", "-", *recorded)))
    known = statuses.is_accounted(ExecutionId("u", "-", *asked), status)
    assert known == (asked < recorded or (asked == recorded and state == "Active"))


def test_nothing_is_accounted_for_by_a_status_without_a_run() -> None:
    assert not statuses.is_accounted(RUN, FRESH)
