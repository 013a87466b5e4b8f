"""The pool that all jobs of a schedule share: made by the first, used by all, gone with the schedule or when nobody wants it."""

from typing import Any

from msgspec.structs import replace

from batchpools.api import names
from batchpools.core.identity import Key, auto_pool_name
from batchpools.core.jobs.plan import plan_job
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.plan import Create, Delete
from batchpools.core.schedules.auto_pool import pools_to_delete
from batchpools.core.schedules.plan import plan_schedule
from batchpools.core.schedules.situation import ScheduleSituation
from batchpools.core.views import (
    AutoPool,
    ConditionView,
    JobScheduleStatus,
    JobScheduleView,
    JobStatus,
    JobTemplate,
    JobView,
    Meta,
    PoolStatus,
    PoolView,
)
from batchpools.testing import builders
from batchpools.testing.clock import EPOCH

TEMPLATE = {"image": "python:3.12-slim"}
SHARED = {"poolLifetime": "JobSchedule", "template": TEMPLATE}
POOL = auto_pool_name("", "nightly", builders.schedule().metadata.uid)


def schedule(*, state: str = "Active", auto: dict[str, Any] | None = None) -> JobScheduleView:
    spec = {"autoPool": auto} if auto is not None else {"poolName": "demo"}
    return builders.schedule(status=JobScheduleStatus(state=state, jobs_created=2), job_template=JobTemplate(spec=spec))


def job(number: int = 1, *, orphan: bool = False, status: JobStatus | None = None, **auto: Any) -> JobView:
    owner = None if orphan else builders.schedule()
    meta = builders.meta(f"nightly-{number}", kind="Job", owner=owner, finalizers=(names.FINALIZER_JOB,))
    pool = AutoPool(pool_lifetime="JobSchedule", template=TEMPLATE, **auto)
    return builders.job(metadata=meta, status=status, pool_name="", auto_pool=pool)


def pool(name: str = POOL, *, kept: bool = False, doomed: bool = False, stalled: str = "") -> PoolView:
    labels = {names.LABEL_AUTO_POOL_OF: builders.schedule().metadata.uid, names.LABEL_JOB_SCHEDULE: "nightly"}
    meta = builders.meta(
        name,
        kind="Pool",
        labels=labels,
        owner=None if kept else builders.schedule(),
        deletion_timestamp=EPOCH if doomed else None,
    )
    said = ConditionView(type="Stalled", status="True", reason=stalled, message="no")
    return builders.pool(metadata=meta, status=PoolStatus(conditions=(said,) if stalled else ()))


def deleted(view: JobScheduleView, *pools: PoolView, jobs: tuple[JobView, ...] = ()) -> list[str]:
    return [one.key.name for one in pools_to_delete(ScheduleSituation(view, jobs, pools=pools))]


def test_all_jobs_of_a_schedule_name_one_pool_and_the_first_that_misses_it_makes_it() -> None:
    assert job(1).pool == job(2).pool == POOL
    (create,) = plan_job(JobSituation(job(2), pool_exists=False), now=EPOCH).effects
    assert isinstance(create, Create)
    assert (create.key, create.owner_uid) == (Key("Pool", "default", POOL), builders.schedule().metadata.uid)
    metadata = create.manifest["metadata"]
    assert metadata["labels"] == {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_JOB_SCHEDULE: "nightly",
        names.LABEL_AUTO_POOL_OF: builders.schedule().metadata.uid,
    }
    owner = metadata["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("JobSchedule", builders.schedule().metadata.uid)


def test_one_that_is_kept_alive_has_no_owner_and_stays() -> None:
    (create,) = plan_job(JobSituation(job(keep_alive=True), pool_exists=False), now=EPOCH).effects
    assert isinstance(create, Create)
    assert "ownerReferences" not in create.manifest["metadata"]
    assert deleted(schedule(state="Completed", auto=SHARED), pool(kept=True)) == []


def test_the_end_of_a_job_leaves_the_pool_to_the_next_one() -> None:
    ended = job(status=JobStatus(state="Completed"))
    assert plan_job(JobSituation(ended, auto_pool=pool()), now=EPOCH).effects == ()
    going = replace(ended, metadata=replace(ended.metadata, deletion_timestamp=EPOCH))
    effects = plan_job(JobSituation(going, auto_pool=pool(), runs_ended=True), now=EPOCH).effects
    assert not [one for one in effects if isinstance(one, Delete)]


def test_it_goes_with_the_end_of_the_schedule_once_no_job_uses_it() -> None:
    view = schedule(state="Completed", auto=SHARED)
    assert deleted(view, pool()) == [POOL]
    assert plan_schedule(ScheduleSituation(view, pools=(pool(),)), now=EPOCH).effects == (
        Delete(Key("Pool", "default", POOL), pool().metadata.uid),
    )
    assert deleted(view, pool(doomed=True)) == []
    assert deleted(view, pool(), jobs=(job(2),)) == []
    for state in ("Active", "Disabled", "Terminating"):
        assert deleted(schedule(state=state, auto=SHARED), pool()) == [], state


def test_it_goes_when_later_jobs_use_another_one_and_the_active_one_has_ended() -> None:
    assert deleted(schedule(), pool(), jobs=(job(2),)) == []
    assert deleted(schedule(), pool(), jobs=(job(2, status=JobStatus(state="Completed")),)) == [POOL]
    other = schedule(auto={**SHARED, "autoPoolNamePrefix": "other"})
    assert deleted(other, pool(), pool(auto_pool_name("other", "nightly", other.metadata.uid))) == [POOL]
    assert deleted(schedule(auto={"template": TEMPLATE}), pool()) == [POOL], "each job has one of its own now"


def test_a_pool_that_can_never_work_or_is_refused_ends_each_job_with_a_scheduling_error() -> None:
    for facts in ({"auto_pool": pool(stalled="TemplateInvalid")}, {"pool_refusal": "no", "pool_exists": False}):
        status = plan_job(JobSituation(job(), **facts), now=EPOCH).status
        assert status is not None
        assert status.scheduling_error is not None
        assert (status.state, status.scheduling_error.code) == ("Completed", "InvalidAutoPoolSettings")


def test_a_job_that_no_schedule_has_made_cannot_have_one() -> None:
    status = plan_job(JobSituation(job(orphan=True), pool_exists=False), now=EPOCH).status
    assert status is not None
    assert status.scheduling_error is not None
    assert "for jobs that a schedule makes" in status.scheduling_error.message


def test_a_job_that_was_cut_loose_from_its_schedule_stays_in_its_pool_and_makes_no_other() -> None:
    loose = job(orphan=True, status=JobStatus(pool_name=POOL))
    assert loose.pool == POOL
    plan = plan_job(JobSituation(loose, pool_exists=False), now=EPOCH)
    assert plan.effects == ()
    assert plan.status is not None
    assert plan.status.state == "Active"


def test_a_pool_of_one_job_is_named_after_the_job_as_ever() -> None:
    meta = Meta(name="alone", uid="u")
    view = JobView(metadata=meta, spec=replace(job().spec, auto_pool=AutoPool(template=TEMPLATE)))
    assert view.pool == auto_pool_name("", "alone", "u")
