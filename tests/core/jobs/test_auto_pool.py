"""A job's own pool: made before its tasks, deleted at its end, kept when asked for, and what cannot be made ends the job."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.jobs.test_plan import NOW, TWO, job, task

from batchpools.api import names
from batchpools.core.conditions import find_condition
from batchpools.core.identity import Key, auto_pool_name
from batchpools.core.jobs.plan import plan_job
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.plan import Create, Delete, Plan, RemoveFinalizer
from batchpools.core.views import AutoPool, ConditionView, JobSpec, JobStatus, JobView, Meta, PoolStatus, PoolView

TEMPLATE = {"image": "python:3.12-slim", "targetDedicatedNodes": 2}
POOL = auto_pool_name("", "j", "job-uid")
KEY = Key("Pool", "ns", POOL)


def with_pool(*, status: JobStatus | None = None, deleted: bool = False, **auto: Any) -> JobView:
    spec = JobSpec(auto_pool=AutoPool(template=TEMPLATE, **auto), tasks=TWO)
    return job(spec, status, deleted=deleted)


def pool(*conditions: ConditionView, doomed: bool = False) -> PoolView:
    labels = {names.LABEL_AUTO_POOL_OF: "job-uid"}
    meta = Meta(name=POOL, namespace="ns", uid="pool-uid", labels=labels, deletion_timestamp=NOW if doomed else None)
    return PoolView(metadata=meta, status=PoolStatus(conditions=conditions))


def situation(view: JobView, *, made: PoolView | None = None, **facts: Any) -> JobSituation:
    return JobSituation(view, pool_exists=made is not None, auto_pool=made, **facts)


ENDED = JobStatus(state="Completed", tasks_created=2, end_time=NOW - timedelta(seconds=1))


def test_the_pool_comes_before_the_tasks_and_is_owned_by_the_job() -> None:
    plan = plan_job(situation(with_pool()), now=NOW)
    (create,) = plan.effects
    assert isinstance(create, Create)
    assert create.key == KEY
    assert create.manifest["spec"] == TEMPLATE
    assert create.manifest["metadata"]["ownerReferences"][0]["uid"] == "job-uid"
    assert create.manifest["metadata"]["labels"][names.LABEL_AUTO_POOL_OF] == "job-uid"
    assert plan.status is None


def test_a_restart_makes_the_same_pool_and_another_life_of_the_job_another_one() -> None:
    assert plan_job(situation(with_pool()), now=NOW) == plan_job(situation(with_pool()), now=NOW)
    other = replace(with_pool(), metadata=replace(with_pool().metadata, uid="other-uid"))
    assert other.pool != with_pool().pool


def test_the_name_begins_as_asked_and_is_a_dns_label_of_a_pool() -> None:
    assert auto_pool_name("render", "j", "u").startswith("render-")
    long = auto_pool_name("", "a" * 39 + "-bcd", "u")
    assert len(long) <= 50
    assert "--" not in long


def test_once_the_pool_is_there_the_tasks_are_made_and_the_job_names_it() -> None:
    plan = plan_job(situation(with_pool(), made=pool()), now=NOW)
    assert [effect.key.kind for effect in plan.effects if isinstance(effect, Create)] == ["Task", "Task"]
    assert plan.status is not None
    assert plan.status.pool_name == POOL


def test_a_pool_that_somebody_deletes_while_the_job_is_active_is_made_again() -> None:
    view = with_pool(status=JobStatus(tasks_created=2, pool_name=POOL))
    assert [effect.key for effect in plan_job(situation(view), now=NOW).effects if isinstance(effect, Create)] == [KEY]


def test_at_the_end_of_the_job_the_pool_goes_once() -> None:
    assert plan_job(situation(with_pool(status=ENDED), made=pool()), now=NOW).effects == (Delete(KEY, "pool-uid"),)
    assert plan_job(situation(with_pool(status=ENDED), made=pool(doomed=True)), now=NOW) == Plan()
    assert plan_job(situation(with_pool(status=ENDED)), now=NOW) == Plan()


def test_a_pool_that_is_kept_alive_has_no_owner_and_stays() -> None:
    (create,) = plan_job(situation(with_pool(keep_alive=True)), now=NOW).effects
    assert isinstance(create, Create)
    assert "ownerReferences" not in create.manifest["metadata"]
    assert plan_job(situation(with_pool(keep_alive=True, status=ENDED), made=pool()), now=NOW) == Plan()


def test_with_a_deleted_job_the_pool_goes_before_the_finalizer() -> None:
    view = with_pool(deleted=True, status=ENDED)
    assert plan_job(situation(view, made=pool(), runs_ended=True), now=NOW).effects == (Delete(KEY, "pool-uid"),)
    last = plan_job(situation(view, made=pool(doomed=True), runs_ended=True), now=NOW)
    assert last.effects == (RemoveFinalizer(Key("Job", "ns", "j"), "job-uid", names.FINALIZER_JOB),)


@pytest.mark.parametrize(
    ("reason", "code"),
    [("TemplateInvalid", "InvalidAutoPoolSettings"), ("FormulaInvalid", "InvalidAutoScaleFormulaInAutoPool")],
)
def test_a_pool_that_can_never_work_ends_the_job(reason: str, code: str) -> None:
    stalled = ConditionView(type="Stalled", status="True", reason=reason, message="line 1: no")
    status = plan_job(situation(with_pool(), made=pool(stalled)), now=NOW).status
    assert status is not None
    assert (status.state, status.result, status.end_time) == ("Completed", "Failure", NOW)
    assert status.scheduling_error is not None
    assert (status.scheduling_error.category, status.scheduling_error.code) == ("UserError", code)
    failed = find_condition(status.conditions, "Failed")
    assert failed is not None
    assert (failed.status, failed.reason, failed.message) == ("True", "SchedulingError", "line 1: no")


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ('pools.batchpools.dev "x" is forbidden: exceeded quota: few', "AutoPoolCreationFailedWithQuotaReached"),
        ("admission webhook denied the request", "InvalidAutoPoolSettings"),
    ],
)
def test_a_pool_that_the_api_server_refuses_ends_the_job_with_its_sentence(sentence: str, code: str) -> None:
    status = plan_job(situation(with_pool(), pool_refusal=sentence), now=NOW).status
    assert status is not None
    assert status.scheduling_error is not None
    assert (status.scheduling_error.code, status.scheduling_error.message) == (code, sentence)
    assert status.state == "Completed"


def test_tasks_that_wait_end_before_a_job_that_cannot_be_scheduled() -> None:
    waiting: dict[str, Any] = {"pool_refusal": "no", "settled": False}
    first = plan_job(situation(with_pool(), **waiting), now=NOW).status
    assert first is not None
    assert (first.state, first.end_time) == ("Terminating", None)
    going = with_pool(status=first)
    ended = plan_job(situation(going, runs_ended=True), now=NOW).status
    assert ended is not None
    assert (ended.state, ended.result, ended.scheduling_error) == ("Completed", "Failure", first.scheduling_error)


def test_a_pool_that_waits_for_quota_ends_no_job() -> None:
    waiting = ConditionView(type="Stalled", status="True", reason="AccountCoreQuotaReached", message="later")
    view = with_pool(status=JobStatus(tasks_created=2))
    status = plan_job(situation(view, made=pool(waiting), tasks=(task("a", state="Active"),)), now=NOW).status
    assert status is not None
    assert status.state == "Active"
