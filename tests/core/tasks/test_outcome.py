"""What follows from the end of a run, as a table."""

import pytest

from batchpools.api.names import WALL_CLOCK_EXIT_CODE
from batchpools.api.reasons import FailureCode, RequeueReason
from batchpools.api.states import FailureCategory
from batchpools.core.ended import Ended
from batchpools.core.tasks.outcome import Failed, Requeue, Retry, Succeeded, Verdict, judge
from batchpools.link.words import Cause

USER, SERVER = FailureCategory.USER_ERROR, FailureCategory.SERVER_ERROR


@pytest.mark.parametrize(
    ("exit_code", "retry_count", "max_retries", "expected"),
    [
        pytest.param(0, 0, 0, Succeeded, id="exit 0 succeeds"),
        pytest.param(0, 3, 3, Succeeded, id="exit 0 after retries succeeds"),
        pytest.param(1, 0, 0, Failed, id="no retries: one run"),
        pytest.param(1, 0, 3, Retry, id="three retries: the first run is retried"),
        pytest.param(1, 2, 3, Retry, id="three retries: the third run is retried"),
        pytest.param(1, 3, 3, Failed, id="three retries: the fourth run is the last"),
        pytest.param(1, 10_000, -1, Retry, id="-1 goes on for ever"),
        pytest.param(137, 0, 1, Retry, id="the kernel's OOM kill is an exit code like any other"),
    ],
)
def test_exit_codes_are_retried_as_often_as_the_user_says(
    exit_code: int, retry_count: int, max_retries: int, expected: type[Verdict]
) -> None:
    verdict = judge(Ended(Cause.EXIT, exit_code), retry_count=retry_count, max_retries=max_retries)
    assert isinstance(verdict, expected)


@pytest.mark.parametrize(
    ("ended", "category", "code", "exit_code"),
    [
        pytest.param(Ended(Cause.EXIT, 3), USER, FailureCode.FAILURE_EXIT_CODE, 3, id="exit code"),
        pytest.param(Ended(Cause.EXIT, 137), USER, FailureCode.FAILURE_EXIT_CODE, 137, id="killed for memory"),
        pytest.param(
            Ended(Cause.WALL_CLOCK, 143), SERVER, FailureCode.TASK_ENDED, WALL_CLOCK_EXIT_CODE, id="wall clock"
        ),
        pytest.param(
            Ended(Cause.LAUNCH_FAILED, code="CommandProgramNotFound"),
            USER,
            FailureCode.COMMAND_PROGRAM_NOT_FOUND,
            None,
            id="no such program",
        ),
        pytest.param(
            Ended(Cause.LAUNCH_FAILED, code="CommandLaunchFailed"),
            USER,
            FailureCode.COMMAND_LAUNCH_FAILED,
            None,
            id="not executable",
        ),
        pytest.param(Ended(Cause.LAUNCH_FAILED, code="DiskFull"), SERVER, FailureCode.DISK_FULL, None, id="disk full"),
        pytest.param(
            Ended(Cause.OUTPUT_LIMIT, 137, code="DiskFull"), SERVER, FailureCode.DISK_FULL, 137, id="output limit"
        ),
        pytest.param(Ended(Cause.DISK_FULL, 137, code="DiskFull"), SERVER, FailureCode.DISK_FULL, 137, id="disk watch"),
        pytest.param(
            Ended(Cause.LAUNCH_FAILED, code="SomethingNew"), USER, FailureCode.UNKNOWN, None, id="a code of tomorrow"
        ),
        pytest.param(Ended("somethingNew"), SERVER, FailureCode.UNKNOWN, None, id="a cause of tomorrow"),
    ],
)
def test_failures_carry_category_code_and_exit_code(
    ended: Ended, category: FailureCategory, code: FailureCode, exit_code: int | None
) -> None:
    verdict = judge(ended, retry_count=0, max_retries=0)
    assert isinstance(verdict, Failed)
    assert (verdict.failure.category, verdict.failure.code, verdict.exit_code) == (category, code, exit_code)


def test_what_the_memory_watch_ended_is_retried_as_an_exit_code_is_and_fails_with_a_code_of_its_own() -> None:
    """S8.5."""
    ended = Ended(Cause.OUT_OF_MEMORY, 137, code="OutOfMemory", message="190.5 MiB of its 200.0 MiB")
    assert judge(ended, retry_count=0, max_retries=1) == Retry()
    failed = judge(ended, retry_count=1, max_retries=1)
    assert isinstance(failed, Failed)
    assert (failed.failure.category, failed.failure.code, failed.exit_code) == (USER, FailureCode.OUT_OF_MEMORY, 137)
    assert failed.failure.message == ended.message


LARGEST = Ended(Cause.BOOT_LOST, code="OutOfMemory", message="the task container was lost")


@pytest.mark.parametrize(
    ("ended", "before", "expected"),
    [
        pytest.param(LARGEST, {}, Requeue(RequeueReason.OUT_OF_MEMORY), id="the first time"),
        pytest.param(LARGEST, {"OutOfMemory": 1}, Requeue(RequeueReason.OUT_OF_MEMORY), id="the second time"),
        pytest.param(LARGEST, {"OutOfMemory": 2}, Failed, id="the third time"),
        pytest.param(
            LARGEST,
            {"ContainerLost": 9, "NodeLost": 9},
            Requeue(RequeueReason.OUT_OF_MEMORY),
            id="what others did is not counted",
        ),
        pytest.param(
            Ended(Cause.BOOT_LOST),
            {"OutOfMemory": 2, "ContainerLost": 9},
            Requeue(RequeueReason.CONTAINER_LOST),
            id="its neighbour was the largest",
        ),
    ],
)
def test_a_task_that_takes_its_container_along_three_times_fails(
    ended: Ended, before: dict[str, int], expected: object
) -> None:
    """S8.5: without a retry; and no neighbour ever fails for it."""
    verdict = judge(ended, retry_count=0, max_retries=0, requeues=before)
    if isinstance(expected, Requeue):
        assert verdict == expected
        return
    assert isinstance(verdict, Failed)
    assert (verdict.failure.category, verdict.failure.code, verdict.exit_code) == (
        USER,
        FailureCode.OUT_OF_MEMORY,
        None,
    )
    assert verdict.failure.message == "It happened 3 times that the task container was lost."


def test_a_run_that_was_to_end_anyway_is_not_blamed() -> None:
    verdict = judge(
        LARGEST, retry_count=0, max_retries=0, killed_for=RequeueReason.POOL_RESIZED, requeues={"OutOfMemory": 2}
    )
    assert verdict == Requeue(RequeueReason.POOL_RESIZED)


@pytest.mark.parametrize("cause", [Cause.WALL_CLOCK, Cause.LAUNCH_FAILED, Cause.OUTPUT_LIMIT, Cause.DISK_FULL])
def test_only_exit_codes_are_retried(cause: Cause) -> None:
    assert isinstance(judge(Ended(cause, code="DiskFull"), retry_count=0, max_retries=-1), Failed)


@pytest.mark.parametrize(
    ("cause", "killed_for", "reason"),
    [
        pytest.param(Cause.KILLED, RequeueReason.POOL_RESIZED, RequeueReason.POOL_RESIZED, id="killed by a drain"),
        pytest.param(
            Cause.KILLED, None, RequeueReason.LEADER_CHANGED, id="killed for a former leader, which recorded no reason"
        ),
        pytest.param(Cause.STOPPING, None, RequeueReason.NODE_STOPPED, id="the pod was stopped"),
        pytest.param(Cause.STOPPING, RequeueReason.NODE_LOST, RequeueReason.NODE_LOST, id="we know better why"),
        pytest.param(Cause.BOOT_LOST, None, RequeueReason.CONTAINER_LOST, id="the container restarted"),
        pytest.param("nodeLost", None, RequeueReason.NODE_LOST, id="the node is gone"),
    ],
)
def test_our_own_ends_are_requeued_whatever_the_retries(
    cause: Cause, killed_for: RequeueReason | None, reason: RequeueReason
) -> None:
    verdict = judge(Ended(cause, 143), retry_count=0, max_retries=0, killed_for=killed_for)
    assert verdict == Requeue(reason)


def test_every_cause_of_the_link_has_a_verdict() -> None:
    for cause in Cause:
        assert judge(Ended(cause, 1), retry_count=0, max_retries=0)
