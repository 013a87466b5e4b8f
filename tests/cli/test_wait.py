"""`kubectl batch wait`: exit codes, what is said on the way, and an API server that goes away meanwhile."""

import pytest
from tests.cli.stage import User

from batchpools.core.views import InlineTask, JobManagerTask, JobStatus, TaskCounts
from batchpools.kube.errors import KubeError, NotFoundError, ServerError, UnreachableError
from batchpools.kube.resources import JOBS
from batchpools.testing import builders

BEGUN = JobStatus(task_counts=TaskCounts(active=1, running=1))
DONE = JobStatus(state="Completed", result="Success", task_counts=TaskCounts(completed=2, succeeded=2))
ENDS = "TerminateJob"


@pytest.mark.parametrize(
    ("result", "code", "last"),
    [
        ("Success", 0, "Job words: Success"),
        ("Failure", 1, "See which: kubectl batch get tasks --job words -n default"),
        ("", 1, "See which: kubectl batch get tasks --job words -n default"),
    ],
)
async def test_it_ends_with_the_jobs_result(result: str, code: int, last: str) -> None:
    user = User(builders.job("words", status=JobStatus(state="Completed", result=result)))
    assert await user.types("wait", "words") == code
    assert user.lines[-1] == last


async def test_elsewhere_than_on_a_terminal_each_change_is_a_line() -> None:
    user = User(builders.job("words", status=BEGUN, on_all_tasks_complete=ENDS))
    user.meanwhile = [int, int, lambda: user.put(builders.job("words", status=DONE))]
    assert await user.types("wait", "words") == 0
    assert user.lines == [
        f"[{'.' * 24}] 0/2 done, 1 running, 0 failed",
        f"[{'#' * 24}] 2/2 done, 0 running, 0 failed",
        "Job words: Success",
    ]


async def test_on_a_terminal_one_line_is_painted_over() -> None:
    user = User(builders.job("words", status=DONE), terminal=True)
    assert await user.types("wait", "words") == 0
    assert user.out.text == f"\r\033[K[{'#' * 24}] 2/2 done, 0 running, 0 failed\nJob words: Success\n"


async def test_a_job_without_an_end_is_named_and_the_time_runs_out() -> None:
    user = User(builders.job("words", on_all_tasks_complete="NoAction"))
    assert await user.types("wait", "words", "--timeout", "1m") == 124
    assert user.notes == [
        "Job words has onAllTasksComplete: NoAction: it will not end by itself.",
        "Job words has not finished within 60s.",
    ]


@pytest.mark.parametrize("error", [UnreachableError("connection refused"), ServerError("etcd has no leader", 500)])
async def test_an_api_server_that_goes_away_does_not_end_the_wait_and_is_named_once(error: KubeError) -> None:
    user = User(builders.job("words", status=BEGUN, on_all_tasks_complete=ENDS))
    user.meanwhile = [
        lambda: user.cluster.faults.fail("get", error, times=3),
        lambda: user.put(builders.job("words", status=DONE)),
    ]
    assert await user.types("wait", "words") == 0
    assert (user.cluster.count("get"), user.notes) == (5, [f"The wait goes on: {error}"])


async def test_time_runs_out_also_while_nobody_answers() -> None:
    user = User(builders.job("words", status=BEGUN, on_all_tasks_complete=ENDS))
    user.meanwhile = [lambda: user.cluster.faults.fail("get", UnreachableError("refused"), times=1000)]
    assert await user.types("wait", "words", "--timeout", "30s") == 124


async def test_a_job_that_is_not_there_or_is_deleted_ends_the_wait() -> None:
    with pytest.raises(NotFoundError):
        await User().types("wait", "words")
    user = User(builders.job("words", status=BEGUN, on_all_tasks_complete=ENDS))
    user.meanwhile = [lambda: user.cluster.remove(JOBS, "default", "words")]
    with pytest.raises(NotFoundError):
        await user.types("wait", "words")


@pytest.mark.parametrize(
    ("wanted", "inline", "warned"),
    [(None, False, True), (None, True, False), ("NoAction", True, True), ("TerminateJob", False, False)],
)
async def test_only_a_job_that_does_not_end_by_itself_is_warned_of(
    wanted: str | None,
    inline: bool,
    warned: bool,
) -> None:
    tasks = (InlineTask(id="one"),) if inline else ()
    user = User(builders.job("words", on_all_tasks_complete=wanted, tasks=tasks))
    await user.types("wait", "words", "--timeout", "0s")
    assert ("will not end by itself" in user.aside.text) == warned


@pytest.mark.parametrize("kills", [True, False])
async def test_a_job_that_ends_with_its_manager_is_not_warned_of(kills: bool) -> None:
    manager = JobManagerTask(id="boss", kill_job_on_completion=kills)
    user = User(builders.job("words", job_manager_task=manager))
    await user.types("wait", "words", "--timeout", "0s")
    assert ("will not end by itself" in user.aside.text) == (not kills)
