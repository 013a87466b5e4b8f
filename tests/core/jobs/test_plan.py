"""What happens to a job next, as whole plans."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from batchpools.api import names
from batchpools.core.conditions import find_condition
from batchpools.core.identity import Key
from batchpools.core.jobs.children import create_task, task_name
from batchpools.core.jobs.plan import CREATES_PER_PLAN, plan_job
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.plan import AddFinalizer, Delete, EndJob, Plan, RemoveFinalizer
from batchpools.core.views import (
    InlineTask,
    JobScheduleSpec,
    JobScheduleView,
    JobSpec,
    JobStatus,
    JobView,
    Meta,
    OwnerReference,
    TaskCounts,
    TaskSpec,
    TaskStatus,
    TaskView,
    Terminate,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Key("Job", "ns", "j")
TWO = (InlineTask(id="a", command=("true",)), InlineTask(id="b", command=("true",)))


def job(
    spec: JobSpec | None = None, status: JobStatus | None = None, *, finalizer: bool = True, deleted: bool = False
) -> JobView:
    meta = Meta(
        name="j",
        namespace="ns",
        uid="job-uid",
        generation=1,
        creation_timestamp=NOW - timedelta(hours=1),
        deletion_timestamp=NOW if deleted else None,
        finalizers=(names.FINALIZER_JOB,) if finalizer else (),
    )
    return JobView(metadata=meta, spec=spec or JobSpec(pool_name="p", tasks=TWO), status=status or JobStatus())


def task(task_id: str, *, state: str = "Completed", result: str = "Success", owner: str = "job-uid") -> TaskView:
    owners = (OwnerReference(kind="Job", name="j", uid=owner, controller=True),)
    meta = Meta(
        name=f"j.{task_id}", namespace="ns", uid=f"uid-{task_id}", resource_version="7", owner_references=owners
    )
    return TaskView(
        metadata=meta, spec=TaskSpec(job_name="j", id=task_id), status=TaskStatus(state=state, result=result)
    )


CREATED = JobStatus(tasks_created=2)


def test_the_finalizer_comes_before_the_first_child() -> None:
    plan = plan_job(JobSituation(job(finalizer=False)), now=NOW)
    assert plan == Plan(effects=(AddFinalizer(KEY, "job-uid", names.FINALIZER_JOB),), requeue_after=5.0)


def test_inline_tasks_are_created_and_then_counted_as_created() -> None:
    view = job()
    plan = plan_job(JobSituation(view), now=NOW)
    assert plan.effects == (create_task(view, TWO[0]), create_task(view, TWO[1]))
    assert plan.status is not None
    assert plan.status.tasks_created == 2


def test_a_restart_between_creation_and_status_creates_the_same_again() -> None:
    assert plan_job(JobSituation(job()), now=NOW) == plan_job(JobSituation(job()), now=NOW)


def test_many_tasks_are_created_in_portions() -> None:
    tasks = tuple(InlineTask(id=f"t{n}", command=("true",)) for n in range(CREATES_PER_PLAN + 1))
    plan = plan_job(JobSituation(job(JobSpec(pool_name="p", tasks=tasks))), now=NOW)
    assert len(plan.effects) == CREATES_PER_PLAN
    assert plan.status is not None
    assert plan.status.tasks_created == CREATES_PER_PLAN


def test_a_task_that_was_deleted_since_is_not_made_again() -> None:
    view = job(status=CREATED)
    plan = plan_job(JobSituation(view, tasks=(task("a"),), confirmed_gone=frozenset({"j.b"})), now=NOW)
    assert plan.effects == ()
    assert plan.status is not None
    assert plan.status.state == "Completed"


@pytest.mark.parametrize(
    ("results", "result", "reason"),
    [(("Success", "Success"), "Success", "AllTasksComplete"), (("Success", "Failure"), "Failure", "TasksFailed")],
)
def test_a_job_ends_when_all_of_its_tasks_have(results: tuple[str, str], result: str, reason: str) -> None:
    tasks = tuple(task(one, result=how) for one, how in zip("ab", results, strict=True))
    status = plan_job(JobSituation(job(status=CREATED), tasks=tasks), now=NOW).status
    assert status is not None
    assert (status.state, status.result, status.terminate_reason, status.end_time) == (
        "Completed",
        result,
        "AllTasksComplete",
        NOW,
    )
    failed = results.count("Failure")
    assert status.task_counts == TaskCounts(completed=2, succeeded=2 - failed, failed=failed)
    finished = find_condition(status.conditions, "Finished")
    assert finished is not None
    assert (finished.status, finished.reason) == ("True", reason)


@pytest.mark.parametrize(
    ("situation", "why"),
    [
        (JobSituation(job(status=CREATED), tasks=(task("a"),)), "a made task is not in the cache"),
        (JobSituation(job(status=CREATED), tasks=(task("a"), task("b", owner="other"))), "a child is somebody else's"),
        (
            JobSituation(job(status=CREATED), tasks=(task("a"), task("b", state="Active", result=""))),
            "a task is active",
        ),
        (
            JobSituation(job(status=CREATED), tasks=(task("a"), task("b")), settled=False),
            "the counts say that something runs",
        ),
        (JobSituation(job(JobSpec(pool_name="p"))), "it never had a task"),
        (
            JobSituation(
                job(JobSpec(pool_name="p", tasks=TWO, on_all_tasks_complete="NoAction"), CREATED),
                (task("a"), task("b")),
            ),
            "NoAction was asked for",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_job_does_not_end_when(situation: JobSituation, why: str) -> None:
    status = plan_job(situation, now=NOW).status
    assert status is None or status.state == "Active", why


def test_a_completed_job_is_left_alone() -> None:
    done = JobStatus(state="Completed", tasks_created=2)
    assert plan_job(JobSituation(job(status=done), tasks=(task("a"),)), now=NOW) == Plan()


def test_applied_twice_the_second_plan_is_empty() -> None:
    first = plan_job(JobSituation(job(status=CREATED), settled=False), now=NOW)
    assert first.status is not None
    again = plan_job(JobSituation(job(status=first.status), settled=False), now=NOW + timedelta(seconds=9))
    assert again == Plan()


def test_counters_alone_wait_for_their_turn() -> None:
    told = plan_job(JobSituation(job(status=CREATED), settled=False), now=NOW).status
    assert told is not None
    counts = TaskCounts(active=1, running=1)
    early = plan_job(JobSituation(job(status=told), settled=False, counts=counts, counts_due=False), now=NOW)
    assert (early.status, early.requeue_after) == (None, 5.0)
    due = plan_job(JobSituation(job(status=told), settled=False, counts=counts), now=NOW)
    assert due.status == replace(told, task_counts=counts)
    assert not due.urgent


def test_a_missing_pool_is_said_and_taken_back() -> None:
    without = plan_job(JobSituation(job(status=CREATED), settled=False, pool_exists=False), now=NOW).status
    assert without is not None
    said = find_condition(without.conditions, "Schedulable")
    assert said is not None
    assert (said.status, said.reason) == ("False", "PoolNotFound")
    assert without.pool_name == job().pool, "kubectl's POOL column"
    at_once = plan_job(JobSituation(job(status=without), settled=False, counts_due=False), now=NOW)
    with_pool = at_once.status
    assert with_pool is not None
    assert at_once.urgent, "S5.4: only counters wait"
    back = find_condition(with_pool.conditions, "Schedulable")
    assert back is not None
    assert back.status == "True"


def test_a_name_that_somebody_else_holds_stalls_the_job_and_is_tried_again() -> None:
    view = job(status=CREATED)
    plan = plan_job(JobSituation(view, tasks=(task("a"),), conflicts=frozenset({"j.b"})), now=NOW)
    assert plan.effects == (create_task(view, TWO[1]),)
    assert plan.status is not None
    stalled = find_condition(plan.status.conditions, "Stalled")
    assert stalled is not None
    assert (stalled.status, stalled.reason) == ("True", "NameConflict")


def test_a_deleted_job_ends_its_runs_then_its_tasks_then_itself() -> None:
    gone = job(status=CREATED, deleted=True)
    first = plan_job(JobSituation(gone, tasks=(task("a"),)), now=NOW)
    assert first.effects == (EndJob("ns", "j"),)
    second = plan_job(JobSituation(gone, tasks=(task("a"),), runs_ended=True), now=NOW)
    assert second.effects == (Delete(Key("Task", "ns", "j.a"), "uid-a", "7"),)
    third = plan_job(JobSituation(gone, runs_ended=True), now=NOW)
    assert third.effects == (RemoveFinalizer(KEY, "job-uid", names.FINALIZER_JOB),)


@pytest.mark.parametrize(
    ("task_id", "name"),
    [("encode", "j.encode"), ("a-1", "j.a-1"), ("A", "j.a-559aea"), ("a_b", "j.a-b-648fa9"), ("_", "j.d2e2ad")],
)
def test_an_id_that_is_no_dns_label_gets_a_hash(task_id: str, name: str) -> None:
    assert task_name("j", task_id) == name


def test_with_its_schedule_terminated_a_job_ends_its_runs_first_and_has_failed() -> None:
    over = JobScheduleView(metadata=Meta(name="s"), spec=JobScheduleSpec(terminate=Terminate(reason="enough")))
    counts = TaskCounts(active=1, running=1, completed=3, succeeded=2, failed=1)
    facts: dict[str, Any] = {"schedule": over, "counts": counts, "settled": False}
    first = plan_job(JobSituation(job(status=CREATED), **facts), now=NOW)
    assert first.effects == ()
    assert first.status is not None
    assert first.status.state == "Terminating"
    going = job(status=first.status)
    assert plan_job(JobSituation(going, **facts), now=NOW) == Plan(effects=(EndJob("ns", "j"),), requeue_after=1.0)
    waits = plan_job(JobSituation(going, runs_ended=True, **facts), now=NOW)
    assert waits == Plan(requeue_after=5.0), "what waits ends first"
    after: dict[str, Any] = {"schedule": over, "tasks": (task("a"), task("b", result="Failure"))}
    ended = plan_job(JobSituation(going, runs_ended=True, **after), now=NOW).status
    assert ended is not None
    assert (ended.state, ended.result, ended.terminate_reason) == ("Completed", "Failure", "TerminateJobSchedule")
    assert ended.task_counts == TaskCounts(completed=2, succeeded=1, failed=1)
    failed = find_condition(ended.conditions, "Failed")
    assert failed is not None
    assert (failed.status, failed.reason) == ("True", "TerminateJobSchedule")
    assert plan_job(JobSituation(job(status=ended), **facts), now=NOW) == Plan()


def test_what_has_begun_to_end_goes_on_although_its_schedule_is_gone() -> None:
    going = job(status=replace(CREATED, state="Terminating", terminate_reason="TerminateJobSchedule"))
    assert plan_job(JobSituation(going), now=NOW).effects == (EndJob("ns", "j"),)
    ended = plan_job(JobSituation(going, (task("a"), task("b")), runs_ended=True), now=NOW).status
    assert ended is not None
    assert (ended.state, ended.terminate_reason) == ("Completed", "TerminateJobSchedule")


@pytest.mark.parametrize(("said", "reason"), [("", "UserTerminate"), ("enough", "enough")])
def test_a_job_that_its_user_terminates_ends_for_the_reason_that_was_given(said: str, reason: str) -> None:
    spec = JobSpec(pool_name="p", tasks=TWO, terminate=Terminate(reason=said))
    first = plan_job(JobSituation(job(spec)), now=NOW).status
    assert first is not None
    assert (first.state, first.terminate_reason, first.tasks_created) == ("Terminating", reason, 0)
    ended = plan_job(JobSituation(job(spec, first), runs_ended=True), now=NOW).status
    assert ended is not None
    assert (ended.state, ended.terminate_reason, ended.end_time) == ("Completed", reason, NOW)
    assert ended.result == "Failure", "its tasks were never made: it was cut short"
    failed = find_condition(ended.conditions, "Failed")
    assert failed is not None
    assert (failed.status, failed.reason) == ("True", "UserTerminate")


def test_a_job_that_is_terminated_when_all_has_succeeded_has_succeeded() -> None:
    spec = JobSpec(pool_name="p", tasks=TWO, on_all_tasks_complete="NoAction", terminate=Terminate())
    going = job(spec, replace(CREATED, state="Terminating", terminate_reason="UserTerminate"))
    ended = plan_job(JobSituation(going, (task("a"), task("b")), runs_ended=True), now=NOW).status
    assert ended is not None
    assert (ended.result, ended.task_counts) == ("Success", TaskCounts(completed=2, succeeded=2))


def test_a_terminated_job_waits_for_tasks_that_the_cache_does_not_show_yet_but_not_for_those_of_others() -> None:
    going = job(status=replace(CREATED, state="Terminating", terminate_reason="enough"))
    facts: dict[str, Any] = {"tasks": (task("a"),), "runs_ended": True}
    assert plan_job(JobSituation(going, **facts), now=NOW) == Plan(requeue_after=5.0)
    tellings: list[dict[str, Any]] = [{"confirmed_gone": frozenset({"j.b"})}, {"conflicts": frozenset({"j.b"})}]
    for told in tellings:
        ended = plan_job(JobSituation(going, **facts, **told), now=NOW).status
        assert ended is not None
        assert (ended.state, ended.result) == ("Completed", "Success" if "confirmed_gone" in told else "Failure")
