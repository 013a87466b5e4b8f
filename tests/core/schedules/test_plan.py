"""What a schedule does when: one job at a time, nothing twice, nothing piled up; and what ends it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from batchpools.api import names
from batchpools.core.conditions import find_condition
from batchpools.core.plan import Create, Delete, Plan
from batchpools.core.schedules.plan import LONGEST_WAIT, plan_schedule
from batchpools.core.schedules.situation import Refused, ScheduleSituation
from batchpools.core.views import (
    JobScheduleStatus,
    JobScheduleView,
    JobStatus,
    JobTemplate,
    JobTemplateMetadata,
    JobView,
    Schedule,
    Terminate,
)
from batchpools.testing import builders
from batchpools.testing.clock import EPOCH

START = EPOCH  # the creation of what builders make
HOURLY = Schedule(recurrence_interval="1h")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def hourly(status: JobScheduleStatus | None = None, **spec: Any) -> JobScheduleView:
    return builders.schedule(**{"schedule": HOURLY, **spec}, status=status)


def job(
    number: int, *, hours: float = 0, state: str = "Active", schedule: JobScheduleView | None = None, **status: Any
) -> JobView:
    noted = {names.ANNOTATION_SCHEDULED_FOR: at(hours).isoformat()}
    meta = builders.meta(f"nightly-{number}", kind="Job", owner=schedule or hourly(), annotations=noted)
    return builders.job(metadata=meta, status=JobStatus(state=state, **status))


def plan(view: JobScheduleView, *jobs: JobView, hours: float, **facts: Any) -> Plan[JobScheduleStatus]:
    return plan_schedule(ScheduleSituation(view, jobs, **facts), now=at(hours))


def made(found: Plan[JobScheduleStatus]) -> list[tuple[str, datetime]]:
    """Names of the jobs that are to be made, and what for."""
    return [
        (one.key.name, datetime.fromisoformat(one.manifest["metadata"]["annotations"][names.ANNOTATION_SCHEDULED_FOR]))
        for one in found.effects
        if isinstance(one, Create)
    ]


def deleted(found: Plan[JobScheduleStatus]) -> list[str]:
    """Names of the jobs that are no longer kept."""
    return [one.key.name for one in found.effects if isinstance(one, Delete)]


def after(view: JobScheduleView, *jobs: JobView, hours: float, **facts: Any) -> JobScheduleView:
    """The schedule once what is planned was written."""
    status = plan(view, *jobs, hours=hours, **facts).status
    return view if status is None else replace(view, status=status)


# Two jobs were made, the last one at 1 h; it has ended.
RUN_TWICE = JobScheduleStatus(
    observed_generation=1,
    schedule="every 1h",
    jobs_created=2,
    recent_job="nightly-2",
    last_schedule_time=at(1),
    next_run_time=at(2),
    conditions=(),
)


def test_the_first_job_is_made_at_once_as_the_template_says_and_is_the_schedules() -> None:
    template = JobTemplate(
        metadata=JobTemplateMetadata(labels={"team": "a", names.LABEL_JOB_SCHEDULE: "mine"}, annotations={"note": "b"}),
        spec={"poolName": "demo"},
    )
    view = hourly(job_template=template)
    found = plan(view, hours=0)
    (create,) = found.effects
    assert isinstance(create, Create)
    assert made(found) == [("nightly-1", START)]
    metadata = create.manifest["metadata"]
    assert create.manifest["spec"] == {"poolName": "demo"}
    assert metadata["labels"] == {
        "team": "a",
        names.LABEL_JOB_SCHEDULE: "nightly",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
    }
    assert metadata["annotations"]["note"] == "b"
    assert (metadata["ownerReferences"][0]["uid"], create.owner_uid) == (view.metadata.uid, view.metadata.uid)
    assert found.status is not None
    assert (found.status.jobs_created, found.status.active_job) == (0, "")  # a plan does not claim what it makes


def test_a_job_that_was_made_is_found_by_its_name_and_recorded_and_never_made_again() -> None:
    """The operator may be stopped between the making of a job and the status; the next one finds it."""
    view = after(hourly(), job(1), hours=0.1)
    status = view.status
    assert (status.jobs_created, status.recent_job, status.active_job) == (1, "nightly-1", "nightly-1")
    assert (status.last_schedule_time, status.next_run_time) == (START, at(1))
    assert plan(view, job(1), hours=0.2) == Plan()
    found = plan(hourly(), job(1, state="Completed", result="Success"), hours=0.1)
    assert made(found) == []
    assert found.status is not None
    assert (found.status.jobs_created, found.status.active_job) == (1, "")
    assert [event.reason for event in found.events] == ["JobCreated"]


def test_one_that_waits_for_its_time_wants_nothing_but_to_be_looked_at() -> None:
    view = hourly(RUN_TWICE)
    assert plan(view, hours=1.99) == Plan(requeue_after=36)
    assert plan(view, hours=1.5) == Plan(requeue_after=LONGEST_WAIT)


def test_while_a_job_is_active_turns_pass_without_a_word_and_the_last_of_them_is_made_up_when_it_ends() -> None:
    view = hourly(replace(RUN_TWICE, active_job="nightly-2"))
    for hours in (1.5, 2.0, 4.9):
        assert plan(view, job(2, hours=1), hours=hours) == Plan()
    ended = plan(view, job(2, hours=1, state="Completed"), hours=4.9)
    assert made(ended) == [("nightly-3", at(4))]


@pytest.mark.parametrize(
    ("window", "hours", "wanted"),
    [
        ("10m", 2.1, [("nightly-3", at(2))]),
        ("10m", 2.2, []),
        ("10m", 3.1, [("nightly-3", at(3))]),
        ("2h", 3.99, [("nightly-3", at(3))]),  # longer than the interval: as without end
    ],
)
def test_a_turn_that_was_missed_is_made_up_within_its_window_alone(
    window: str, hours: float, wanted: list[tuple[str, datetime]]
) -> None:
    schedule = Schedule(recurrence_interval="1h", start_window=window)
    assert made(plan(hourly(RUN_TWICE, schedule=schedule), hours=hours)) == wanted


def test_a_lost_turn_is_recorded_and_told_once_and_the_next_one_is_awaited() -> None:
    view = hourly(RUN_TWICE, schedule=Schedule(recurrence_interval="1h", start_window="10m"))
    found = plan(view, hours=2.5)
    assert found.status is not None
    assert (found.status.skipped_until, found.status.next_run_time) == (at(2), at(3))
    assert [(event.reason, event.warning) for event in found.events] == [("StartWindowMissed", True)]
    again = plan(replace(view, status=found.status), hours=2.6)
    assert (again.status, again.effects, again.events) == (None, (), ())


def test_suspended_it_makes_no_job_the_active_one_goes_on_and_what_was_due_is_not_made_up() -> None:
    running = replace(RUN_TWICE, active_job="nightly-2")
    view = after(hourly(running, suspend=True), job(2, hours=1), hours=1.5)
    assert (view.status.state, view.status.active_job, view.status.next_run_time) == ("Disabled", "nightly-2", None)
    view = after(view, job(2, hours=1, state="Completed"), hours=1.6)
    assert plan(view, hours=5.5) == Plan()
    resumed = replace(view, spec=replace(view.spec, suspend=False))
    found = plan(resumed, hours=5.5)
    assert made(found) == []
    assert found.status is not None
    assert (found.status.state, found.status.next_run_time) == ("Active", at(6))
    assert made(plan(replace(resumed, status=found.status), hours=6)) == [("nightly-3", at(6))]


def test_a_single_job_that_was_due_while_it_was_suspended_is_made_when_it_is_resumed() -> None:
    view = after(hourly(schedule=Schedule(), suspend=True), hours=1)
    assert view.status.state == "Disabled"
    assert made(plan(replace(view, spec=replace(view.spec, suspend=False)), hours=2)) == [("nightly-1", START)]


@pytest.mark.parametrize(
    "changed",
    [Schedule(recurrence_interval="30m"), Schedule(cron="15 * * * *"), replace(HOURLY, do_not_run_until=at(0.25))],
    ids=["interval", "cron", "grid"],
)
def test_another_schedule_counts_from_its_change(changed: Schedule) -> None:
    view = hourly(RUN_TWICE, schedule=changed)
    found = plan(view, hours=1.9)
    assert made(found) == []
    assert found.status is not None
    assert found.status.skipped_until == at(1.9)
    assert found.status.next_run_time is not None
    assert found.status.next_run_time > at(1.9)


def test_a_change_of_anything_else_makes_up_what_is_due() -> None:
    schedule = Schedule(recurrence_interval="1h", start_window="30m", do_not_run_after=at(100))
    view = hourly(RUN_TWICE, schedule=schedule, job_template=JobTemplate(spec={"poolName": "other"}))
    assert made(plan(view, hours=2.1)) == [("nightly-3", at(2))]


def test_nothing_is_made_before_it_may_run() -> None:
    view = hourly(schedule=replace(HOURLY, do_not_run_until=at(2.5)))
    assert made(plan(view, hours=2.4)) == []
    assert made(plan(view, hours=2.5)) == [("nightly-1", at(2.5))]
    assert made(plan(view, hours=4)) == [("nightly-1", at(3.5))]


def test_it_ends_when_it_may_run_no_more_and_no_job_is_active() -> None:
    schedule = replace(HOURLY, do_not_run_after=at(2.5))
    view = hourly(
        replace(RUN_TWICE, last_schedule_time=at(2), next_run_time=None, active_job="nightly-2"), schedule=schedule
    )
    assert plan(view, job(2, hours=2), hours=3) == Plan()
    ended = plan(view, job(2, hours=2, state="Completed"), hours=3.1).status
    assert ended is not None
    assert (ended.state, ended.end_time, ended.active_job) == ("Completed", at(3.1), "")
    finished = find_condition(ended.conditions, "Finished")
    assert finished is not None
    assert (finished.status, finished.reason) == ("True", "NoMoreJobs")
    waits = hourly(replace(RUN_TWICE, last_schedule_time=at(2), next_run_time=None), schedule=schedule)
    assert plan(waits, hours=2.499).requeue_after == pytest.approx(3.6)


def test_what_became_due_before_the_end_is_not_made_after_it() -> None:
    view = hourly(RUN_TWICE, schedule=replace(HOURLY, do_not_run_after=at(2.5)))
    assert made(plan(view, hours=2.4)) == [("nightly-3", at(2))]
    assert made(plan(view, hours=2.6)) == []


def test_without_a_recurrence_it_makes_one_job_and_ends_with_it() -> None:
    view = hourly(schedule=Schedule())
    assert made(plan(view, hours=3)) == [("nightly-1", START)]
    view = after(view, job(1), hours=3)
    assert (view.status.state, view.status.next_run_time) == ("Active", None)
    assert plan(view, job(1), hours=4) == Plan()
    assert after(view, job(1, state="Completed"), hours=5).status.state == "Completed"


def test_a_single_job_whose_window_has_passed_is_told_and_the_schedule_ends_without_it() -> None:
    view = hourly(schedule=Schedule(start_window="10m"))
    found = plan(view, hours=1)
    assert made(found) == []
    assert found.status is not None
    assert (found.status.state, found.status.jobs_created) == ("Completed", 0)
    assert [event.reason for event in found.events] == ["StartWindowMissed"]


def test_terminated_it_waits_for_the_end_of_its_job_and_has_ended_then_for_good() -> None:
    view = hourly(replace(RUN_TWICE, active_job="nightly-2"), terminate=Terminate(reason="enough"))
    view = after(view, job(2, hours=1), hours=1.5)
    assert (view.status.state, view.status.active_job) == ("Terminating", "nightly-2")
    assert plan(view, job(2, hours=1), hours=7) == Plan()
    view = after(view, job(2, hours=1, state="Completed"), hours=7.5)
    assert view.status.state == "Completed"
    finished = find_condition(view.status.conditions, "Finished")
    assert finished is not None
    assert (finished.reason, finished.message) == ("TerminateJobSchedule", "enough")
    assert plan(view, hours=99) == Plan()


def test_a_job_of_a_former_leader_that_comes_after_the_end_is_recorded() -> None:
    view = hourly(replace(RUN_TWICE, state="Completed", end_time=at(2)))
    found = plan(view, job(3, hours=2), hours=2.1)
    assert (made(found), deleted(found)) == ([], [])
    assert found.status is not None
    assert (found.status.state, found.status.jobs_created, found.status.active_job) == ("Completed", 3, "nightly-3")


def test_one_that_is_being_deleted_makes_no_more_jobs() -> None:
    meta = builders.meta("nightly", kind="JobSchedule", deletion_timestamp=at(1))
    found = plan(builders.schedule(metadata=meta, schedule=HOURLY), hours=1)
    assert found.effects == ()
    assert found.status is not None
    assert found.status.state == "Deleting"


def test_a_job_that_is_deleted_by_hand_is_active_until_it_is_gone_and_its_number_is_not_used_again() -> None:
    view = hourly(replace(RUN_TWICE, active_job="nightly-2"))
    going = job(2, hours=1)
    going = replace(going, metadata=replace(going.metadata, deletion_timestamp=at(2)))
    assert plan(view, going, hours=2.1) == Plan()
    assert made(plan(view, hours=2.2)) == [("nightly-3", at(2))]


def test_a_clock_that_goes_back_makes_nothing_twice() -> None:
    view = hourly(replace(RUN_TWICE, last_schedule_time=at(26), next_run_time=at(27)))
    assert plan(view, hours=3.5) == Plan(requeue_after=LONGEST_WAIT)
    assert made(plan(view, hours=27)) == [("nightly-3", at(27))]


def test_times_that_cannot_be_read_stall_it_until_they_are_mended() -> None:
    bad = Schedule(cron="61 * * * *")
    view = hourly(RUN_TWICE, schedule=bad)
    found = plan(view, hours=1.5)
    assert found.status is not None
    stalled = find_condition(found.status.conditions, "Stalled")
    assert stalled is not None
    assert (stalled.status, stalled.reason) == ("True", "ScheduleInvalid")
    assert "61 * * * *" in stalled.message
    assert (found.status.next_run_time, found.effects, found.requeue_after) == (None, (), None)
    mended = replace(view, status=found.status, spec=replace(view.spec, schedule=Schedule(cron="1 * * * *")))
    told = plan(mended, hours=1.9).status
    assert told is not None
    stalled = find_condition(told.conditions, "Stalled")
    assert stalled is not None
    assert (stalled.status, told.next_run_time) == ("False", at(2) + timedelta(minutes=1))


@pytest.mark.parametrize(("is_conflict", "reason"), [(True, "NameConflict"), (False, "JobRefused")])
def test_a_job_that_cannot_be_made_is_said_and_tried_again(is_conflict: bool, reason: str) -> None:
    refused = Refused("somebody says no", is_conflict=is_conflict)
    view = hourly(RUN_TWICE)
    found = plan(view, hours=2, refused=refused)
    assert made(found) == [("nightly-3", at(2))]
    assert found.status is not None
    stalled = find_condition(found.status.conditions, "Stalled")
    assert stalled is not None
    assert (stalled.status, stalled.reason, stalled.message) == ("True", reason, "somebody says no")
    assert found.requeue_after == 15.0
    view = replace(view, status=found.status)
    assert made(plan(view, hours=3, refused=refused)) == [("nightly-3", at(3))]
    recorded = after(view, job(3, hours=3), hours=3, refused=None)
    stalled = find_condition(recorded.status.conditions, "Stalled")
    assert stalled is not None
    assert stalled.status == "False"


def test_the_oldest_jobs_beyond_the_limits_go_once_their_end_is_recorded() -> None:
    jobs = [job(n, state="Completed", result="Success") for n in (1, 2, 3, 10)]
    jobs += [job(n, state="Completed", result="Failure") for n in (4, 5)]
    status = replace(RUN_TWICE, jobs_created=11, last_schedule_time=at(1))
    view = hourly(status, successful_jobs_history_limit=2, failed_jobs_history_limit=0)
    gone = ["nightly-5", "nightly-4", "nightly-2", "nightly-1"]
    assert deleted(plan(view, *jobs, job(11), hours=1)) == gone
    unrecorded = replace(view, status=replace(status, jobs_created=9, active_job="nightly-5"))
    assert deleted(plan(unrecorded, *jobs, hours=1)) == ["nightly-4", "nightly-1"]
    ended = replace(view, status=replace(status, state="Completed"))
    assert deleted(plan(ended, *jobs, hours=1)) == gone


def test_a_job_of_the_users_that_only_has_the_owner_counts_for_nothing() -> None:
    meta = builders.meta("by-hand", kind="Job", owner=hourly())
    assert made(plan(hourly(RUN_TWICE), builders.job(metadata=meta), hours=2)) == [("nightly-3", at(2))]


def test_a_note_that_somebody_has_changed_is_passed_over() -> None:
    meta = builders.meta(
        "nightly-1", kind="Job", owner=hourly(), annotations={names.ANNOTATION_SCHEDULED_FOR: "yesterday"},
        creation_timestamp=at(0.1),
    )  # fmt: skip
    assert after(hourly(), builders.job(metadata=meta), hours=0.2).status.last_schedule_time == at(0.1)
