"""A job manager task: made first and once, known by its job's spec and owner alone, and the end of its job."""

from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.jobs.test_plan import NOW, TWO, job, task

from batchpools.api import names
from batchpools.core.conditions import find_condition
from batchpools.core.jobs.children import create_task
from batchpools.core.jobs.manager import manager_name, manages
from batchpools.core.jobs.plan import plan_job
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.plan import EndJob, Plan
from batchpools.core.views import JobManagerTask, JobSpec, JobStatus, JobView, TaskCounts, TaskView

MANAGER = JobManagerTask(id="boss", command=("run",), required_slots=2)
ALL = JobStatus(tasks_created=3)


def managed(status: JobStatus | None = None, *, tasks: Any = TWO, **fields: Any) -> JobView:
    return job(JobSpec(pool_name="p", tasks=tasks, job_manager_task=replace(MANAGER, **fields)), status)


def boss(state: str = "Completed", result: str = "Success", **how: Any) -> TaskView:
    return task("boss", state=state, result=result if state == "Completed" else "", **how)


def test_it_is_made_before_the_others_and_counted_with_them() -> None:
    view = managed()
    plan = plan_job(JobSituation(view), now=NOW)
    assert plan.effects == tuple(create_task(view, one) for one in (MANAGER, *TWO))
    assert plan.status is not None
    assert plan.status.tasks_created == 3
    assert plan_job(JobSituation(view), now=NOW) == plan, "a restart before the status makes the same again"
    again = plan_job(JobSituation(managed(plan.status), settled=False), now=NOW)
    assert again.effects == (), "and one after it makes none"


def test_its_object_is_a_task_with_a_mark_for_people_and_nothing_that_tasks_do_not_have() -> None:
    manifest = create_task(managed(), MANAGER).manifest
    assert manifest["metadata"]["name"] == manager_name(managed()) == "j.boss"
    assert manifest["metadata"]["labels"][names.LABEL_JOB_MANAGER] == "true"
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == "job-uid"
    assert set(manifest["spec"]) >= {"jobName", "id", "command", "requiredSlots"}
    assert not set(manifest["spec"]) & {"killJobOnCompletion", "runExclusive", "allowLowPriorityNode"}
    assert names.LABEL_JOB_MANAGER not in create_task(managed(), TWO[0]).manifest["metadata"]["labels"]


def test_no_task_that_somebody_has_made_by_hand_is_one() -> None:
    view = managed()
    assert manages(boss(), view) == MANAGER
    labelled = replace(task("a").metadata, labels={names.LABEL_JOB_MANAGER: "true"})
    assert manages(replace(task("a"), metadata=labelled), view) is None
    assert manages(boss(owner="former-life"), view) is None
    of_another_name = replace(boss(), metadata=replace(boss().metadata, name="other"))
    assert manages(of_another_name, view) is None
    assert manages(boss(), job()) is None
    assert manages(boss(), None) is None


@pytest.mark.parametrize("result", ["Success", "Failure"])
def test_its_end_is_that_of_the_job_good_or_bad(result: str) -> None:
    facts: dict[str, Any] = {"manager": boss(result=result), "settled": False, "counts": TaskCounts(1, 1, 1)}
    first = plan_job(JobSituation(managed(ALL), **facts), now=NOW).status
    assert first is not None
    assert (first.state, first.terminate_reason) == ("Terminating", "JMComplete")
    going = managed(first)
    assert plan_job(JobSituation(going, **facts), now=NOW) == Plan(effects=(EndJob("ns", "j"),), requeue_after=1.0)
    cut = (boss(result=result), task("a"), task("b", result="Failure"))
    ended = plan_job(JobSituation(going, cut, runs_ended=True), now=NOW).status
    assert ended is not None
    assert (ended.state, ended.result, ended.terminate_reason) == ("Completed", "Failure", "JMComplete")
    assert ended.task_counts.completed == 3


def test_a_job_of_its_manager_alone_counts_it_and_succeeds_with_it() -> None:
    view = managed(replace(ALL, tasks_created=1, state="Terminating", terminate_reason="JMComplete"), tasks=())
    ended = plan_job(JobSituation(view, (boss(),), manager=boss(), runs_ended=True), now=NOW).status
    assert ended is not None
    assert (ended.result, ended.task_counts) == ("Success", TaskCounts(completed=1, succeeded=1))
    finished = find_condition(ended.conditions, "Finished")
    assert finished is not None
    assert (finished.status, finished.reason) == ("True", "JMComplete")


def test_one_that_runs_or_is_gone_or_is_somebody_elses_ends_nothing() -> None:
    for manager in (boss("Running"), None, boss(owner="former-life")):
        plan = plan_job(JobSituation(managed(ALL), settled=False, manager=manager), now=NOW)
        assert plan.status is None or plan.status.state == "Active"


@pytest.mark.parametrize(
    ("wanted", "others", "state"),
    [
        pytest.param(None, ("Completed", "Active"), "Active", id="the others go on"),
        pytest.param(None, ("Completed", "Completed"), "Completed", id="all have ended"),
        pytest.param("NoAction", ("Completed", "Completed"), "Active", id="NoAction"),
    ],
)
def test_without_kill_job_on_completion_the_job_goes_on_by_its_other_rules(
    wanted: str | None, others: tuple[str, str], state: str
) -> None:
    view = managed(ALL, kill_job_on_completion=False)
    view = replace(view, spec=replace(view.spec, on_all_tasks_complete=wanted))
    tasks = (boss(), *(task(one, state=how) for one, how in zip("ab", others, strict=True)))
    status = plan_job(JobSituation(view, tasks, manager=boss()), now=NOW).status
    assert status is not None
    assert (status.state, status.terminate_reason) == (state, "AllTasksComplete" if state == "Completed" else "")


def test_a_name_that_somebody_else_holds_is_said_and_tried_again() -> None:
    view = managed(ALL)
    plan = plan_job(JobSituation(view, settled=False, conflicts=frozenset({"j.boss"})), now=NOW)
    assert plan.effects == (create_task(view, MANAGER),)
