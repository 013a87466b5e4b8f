"""Schedules on FakeKube, with real informers, queue and applier, in virtual time: whatever is lost, a job is made once."""

import asyncio
from typing import Any

import msgspec
import pytest
from tests.controllers.pool_stage import NS, QuietLedger, Replica, delete, live, pass_time, play

from batchpools.controllers.schedule import ScheduleController
from batchpools.core.identity import Key
from batchpools.core.views import JobScheduleView, JobTemplate, Schedule, Terminate
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.errors import ForbiddenError, UnreachableError
from batchpools.kube.resources import JOB_SCHEDULES, JOBS, POOL_NODES, POOLS, TASKS
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.faults import Faults
from batchpools.testing.virtual_time import VirtualClock, run_virtual

EACH_MINUTE = Schedule(recurrence_interval="1m")


def seed(kube: FakeKube, **spec: Any) -> None:
    kube.seed(builders.manifest(builders.schedule(**{"schedule": EACH_MINUTE, **spec})))


def status(kube: FakeKube) -> dict[str, Any]:
    held = kube.object(JOB_SCHEDULES, NS, "nightly")
    assert held is not None
    found: dict[str, Any] = held["status"]
    return found


async def change(kube: FakeKube, field: str, value: Any) -> None:
    await kube.patch(JOB_SCHEDULES, NS, "nightly", [{"op": "add", "path": f"/spec/{field}", "value": value}])


async def end(kube: FakeKube, number: int, result: str = "Success") -> None:
    """The only task of a job ends, and the job with it."""
    await pass_time()
    kube.set_status(TASKS, NS, f"nightly-{number}.work", state="Completed", result=result)
    await pass_time()
    job = kube.object(JOBS, NS, f"nightly-{number}")
    assert job is not None
    assert job["status"]["state"] == "Completed"


def writes(kube: FakeKube) -> int:
    return sum(call.verb in {"create", "patch", "delete"} for call in kube.calls)


def test_jobs_are_made_one_after_the_other_and_the_oldest_go() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed(kube, successful_jobs_history_limit=1)
        for number in (1, 2, 3):
            await end(kube, number)
            told = status(kube)
            assert (told["recentJob"], told["activeJob"], told["jobsCreated"]) == (f"nightly-{number}", "", number)
            await pass_time(50)
        await pass_time()
        assert live(kube, JOBS) == ["nightly-3", "nightly-4"]
        assert status(kube)["activeJob"] == "nightly-4"

    play(story)


def test_one_that_waits_for_its_time_or_its_job_writes_and_asks_nothing() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed(kube)
        await pass_time(10)
        before = len(kube.calls)
        await pass_time(600)
        assert [call for call in kube.calls[before:] if call.verb not in {"list", "watch"}] == [], "its job is active"
        kube.set_status(TASKS, NS, "nightly-1.work", state="Completed", result="Success")
        await pass_time()
        assert live(kube, JOBS) == ["nightly-1", "nightly-2"]
        await change(kube, "suspend", True)
        await end(kube, 2)
        before = len(kube.calls)
        await pass_time(600)
        assert [call for call in kube.calls[before:] if call.verb not in {"list", "watch"}] == [], "it is suspended"

    play(story)


def test_a_job_costs_its_creation_and_two_writes_of_the_schedule() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed(kube)
        await end(kube, 1)
        before = kube.count("patch", "JobSchedule")
        await pass_time(50)
        await end(kube, 2)
        assert kube.count("patch", "JobSchedule") == before + 2
        assert kube.count("create", "Job") == 2

    play(story)


def test_a_restart_between_the_job_and_the_status_makes_no_second_job() -> None:
    async def main(clock: VirtualClock) -> None:
        kube = FakeKube(clock)
        kube.faults.fail("patch", UnreachableError("gone"), kind="JobSchedule", times=1000)
        seed(kube)
        first = Replica(kube, clock)
        await first.start()
        await pass_time()
        assert live(kube, JOBS) == ["nightly-1"]
        await end(kube, 1)
        await first.stop()
        kube.faults = Faults()
        await pass_time(10)
        second = Replica(kube, clock)
        await second.start()
        await pass_time(10)
        assert live(kube, JOBS) == ["nightly-1"]
        assert (status(kube)["jobsCreated"], status(kube)["activeJob"]) == (1, "")
        await pass_time(40)
        assert live(kube, JOBS) == ["nightly-1", "nightly-2"]
        await second.stop()

    run_virtual(main)


def test_a_lost_answer_of_the_create_makes_no_second_job() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.faults.lose_answer("create", kind="Job")
        seed(kube)
        await pass_time(30)
        assert live(kube, JOBS) == ["nightly-1"]
        assert status(kube)["activeJob"] == "nightly-1"

    play(story)


def test_a_restart_in_the_middle_of_a_wait_keeps_the_times() -> None:
    async def main(clock: VirtualClock) -> None:
        kube = FakeKube(clock)
        seed(kube)
        for number in (1, 2, 3):
            replica = Replica(kube, clock)
            await replica.start()
            await end(kube, number)
            await replica.stop()
            await pass_time(50)
        times = [one["metadata"]["annotations"]["batchpools.dev/scheduled-for"] for one in kube.objects(JOBS, NS)]
        assert times == [f"2026-01-01T00:0{minute}:00+00:00" for minute in (0, 1, 2)]

    run_virtual(main)


class Stale:
    """A controller whose cache shows only what a test puts there."""

    key = Key("JobSchedule", NS, "nightly")

    def __init__(self, clock: VirtualClock) -> None:
        self.kube, self.cache, self.clock = FakeKube(clock), Cache(), clock
        applier = Applier(self.kube, clock, lambda: 1, QuietLedger(self.cache))
        self.controller = ScheduleController(self.cache, self.kube, applier, clock)

    def show(self) -> None:
        """The cache sees the schedule as it is, and nothing of its jobs."""
        self.cache.schedules.put(msgspec.convert(self.kube.object(JOB_SCHEDULES, NS, "nightly"), JobScheduleView))

    async def look(self) -> float | None:
        return await self.controller.reconcile(self.key)


def play_stale(story: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        await story(Stale(clock))

    run_virtual(main)


def test_a_cache_that_shows_neither_job_nor_status_makes_no_second_job() -> None:
    """S2.2: what it would do is decided anew by what the API server has."""

    async def story(scene: Stale) -> None:
        seed(scene.kube)
        scene.show()
        await scene.look()
        job = scene.kube.object(JOBS, NS, "nightly-1")
        assert job is not None
        scene.kube.set_status(JOB_SCHEDULES, NS, "nightly", jobsCreated=1, recentJob="nightly-1", activeJob="nightly-1",
                              lastScheduleTime=job["metadata"]["creationTimestamp"], schedule="every 1m", observedGeneration=1,
                              nextRunTime="2026-01-01T00:01:00Z")  # fmt: skip
        await asyncio.sleep(61)
        before = writes(scene.kube)
        await scene.look()
        assert (live(scene.kube, JOBS), writes(scene.kube)) == (["nightly-1"], before)
        scene.kube.set_status(JOBS, NS, "nightly-1", state="Completed", result="Success")
        await scene.look()
        assert live(scene.kube, JOBS) == ["nightly-1", "nightly-2"]

    play_stale(story)


def test_a_job_that_was_made_is_recorded_at_once_also_when_the_cache_does_not_show_it_and_no_more_is_due() -> None:
    """Seed 1552: suspended, resumed and terminated in between, a schedule ended without its last job."""

    async def story(scene: Stale) -> None:
        seed(scene.kube)
        scene.show()
        scene.kube.faults.lose_answer("create", kind="Job")
        with pytest.raises(UnreachableError):
            await scene.look()
        await change(scene.kube, "suspend", True)
        scene.kube.faults.fail("get", UnreachableError("gone"), kind="Job")
        with pytest.raises(UnreachableError):
            await scene.look()
        scene.kube.faults.fail("patch", UnreachableError("gone"), kind="JobSchedule")
        with pytest.raises(UnreachableError):
            await scene.look()
        await scene.look()
        told = status(scene.kube)
        assert (told["state"], told["jobsCreated"], told["activeJob"]) == ("Disabled", 1, "nightly-1")

    play_stale(story)


def test_made_before_the_status_and_not_seen_it_is_made_once() -> None:
    async def story(scene: Stale) -> None:
        seed(scene.kube)
        scene.show()
        for _ in range(3):
            await scene.look()
            await asyncio.sleep(61)
        assert live(scene.kube, JOBS) == ["nightly-1"]

    play_stale(story)


def test_a_job_that_somebody_deletes_counts_as_ended_and_the_next_has_the_next_number() -> None:
    async def story(scene: Stale) -> None:
        seed(scene.kube)
        scene.show()
        await scene.look()
        scene.kube.set_status(JOB_SCHEDULES, NS, "nightly", jobsCreated=1, activeJob="nightly-1", schedule="every 1m",
                              lastScheduleTime="2026-01-01T00:00:00Z")  # fmt: skip
        scene.show()
        scene.kube.remove(JOBS, NS, "nightly-1")
        await asyncio.sleep(61)
        await scene.look()
        assert live(scene.kube, JOBS) == ["nightly-2"]

    play_stale(story)


def test_a_schedule_that_was_made_anew_under_its_name_is_not_taken_for_the_former_one() -> None:
    async def story(scene: Stale) -> None:
        seed(scene.kube)
        scene.show()
        scene.kube.remove(JOB_SCHEDULES, NS, "nightly")
        await scene.look()
        seed(scene.kube, suspend=True, metadata=builders.meta("nightly", uid="another"))
        await scene.look()
        assert live(scene.kube, JOBS) == []

    play_stale(story)


def test_a_name_that_somebody_else_holds_is_said_never_taken_and_used_once_it_is_free() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.seed(builders.manifest(builders.job("nightly-1")))
        seed(kube)
        await pass_time(20)
        (stalled,) = [one for one in status(kube)["conditions"] if one["type"] == "Stalled"]
        assert (stalled["status"], stalled["reason"]) == ("True", "NameConflict")
        assert (status(kube)["jobsCreated"], status(kube).get("activeJob")) == (0, "")
        await delete(kube, JOBS, "nightly-1")
        await pass_time(30)
        assert (status(kube)["jobsCreated"], status(kube)["activeJob"]) == (1, "nightly-1")
        (stalled,) = [one for one in status(kube)["conditions"] if one["type"] == "Stalled"]
        assert stalled["status"] == "False"

    play(story)


def test_a_job_that_is_refused_is_said_in_the_words_of_the_api_server_and_made_when_it_is_taken() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.faults.fail("create", ForbiddenError("exceeded quota: no jobs left", 403), kind="Job", times=3)
        seed(kube)
        await pass_time(10)
        (stalled,) = [one for one in status(kube)["conditions"] if one["type"] == "Stalled"]
        assert (stalled["status"], stalled["reason"]) == ("True", "JobRefused")
        assert "no jobs left" in stalled["message"]
        await pass_time(40)
        assert live(kube, JOBS) == ["nightly-1"]

    play(story)


def test_terminated_it_ends_its_active_job_and_then_itself() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        seed(kube)
        await pass_time()
        await change(kube, "terminate", msgspec.to_builtins(Terminate(reason="enough")))
        await pass_time(0.5)
        assert status(kube)["state"] == "Terminating"
        await pass_time()
        assert replica.ledger.ended == {"nightly-1"}
        assert status(kube)["state"] == "Terminating", "its job waits for the end of its task"
        kube.set_status(TASKS, NS, "nightly-1.work", state="Completed", result="Failure")
        await pass_time()
        job = kube.object(JOBS, NS, "nightly-1")
        assert job is not None
        ended = job["status"]
        assert (ended["state"], ended["result"], ended["terminateReason"]) == (
            "Completed",
            "Failure",
            "TerminateJobSchedule",
        )
        assert status(kube)["state"] == "Completed"
        await pass_time(300)
        assert live(kube, JOBS) == ["nightly-1"]

    play(story)


def test_a_job_that_ends_with_its_manager_lets_the_next_one_begin() -> None:
    led = {
        "poolName": "demo",
        "onAllTasksComplete": "NoAction",
        "jobManagerTask": {"id": "boss", "command": ["true"]},
        "tasks": [{"id": "work", "command": ["true"]}],
    }

    async def story(kube: FakeKube, _: Replica) -> None:
        seed(kube, job_template=JobTemplate(spec=led))
        await pass_time(100)
        assert live(kube, JOBS) == ["nightly-1"]
        assert live(kube, TASKS) == ["nightly-1.boss", "nightly-1.work"]
        kube.set_status(TASKS, NS, "nightly-1.boss", state="Completed", result="Success")
        await pass_time()
        kube.set_status(TASKS, NS, "nightly-1.work", state="Completed", result="Failure")
        await pass_time()
        job = kube.object(JOBS, NS, "nightly-1")
        assert job is not None
        assert (job["status"]["state"], job["status"]["terminateReason"]) == ("Completed", "JMComplete")
        assert live(kube, JOBS) == ["nightly-1", "nightly-2"]

    play(story)


def test_suspended_and_resumed_it_makes_up_nothing() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed(kube)
        await end(kube, 1)
        await change(kube, "suspend", True)
        await pass_time(300)
        assert (live(kube, JOBS), status(kube)["state"]) == (["nightly-1"], "Disabled")
        await change(kube, "suspend", False)
        await pass_time(10)
        assert (live(kube, JOBS), status(kube)["state"]) == (["nightly-1"], "Active")
        await pass_time(60)
        assert live(kube, JOBS) == ["nightly-1", "nightly-2"]

    play(story)


SHARED: dict[str, Any] = {
    "autoPool": {"poolLifetime": "JobSchedule", "template": {"image": "image", "targetDedicatedNodes": 1}},
    "tasks": [{"id": "work", "command": ["true"]}],
}


def test_all_jobs_share_a_pool_that_goes_with_the_end_of_the_schedule() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed(kube, job_template=JobTemplate(spec=SHARED))
        uids = set()
        for number in (1, 2, 3):
            await end(kube, number)
            (pool,) = kube.objects(POOLS, NS)
            uids.add(pool["metadata"]["uid"])
            job = kube.object(JOBS, NS, f"nightly-{number}")
            assert job is not None
            assert job["status"]["poolName"] == pool["metadata"]["name"]
            await pass_time(50)
        assert len(uids) == 1
        await change(kube, "terminate", {})
        await pass_time(20)
        assert status(kube)["state"] == "Completed"
        assert (live(kube, POOLS), live(kube, POOL_NODES)) == ([], [])

    play(story)


def test_a_shared_pool_that_somebody_deletes_is_made_again_for_the_job_that_is_active_or_the_next() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed(
            kube,
            job_template=JobTemplate(spec={**SHARED, "autoPool": {**SHARED["autoPool"], "template": {"image": "i"}}}),
        )
        await pass_time()
        (name,) = live(kube, POOLS)
        await delete(kube, POOLS, name)
        await pass_time(20)
        assert live(kube, POOLS) == [name]
        await end(kube, 1)
        await delete(kube, POOLS, name)
        await pass_time(60)
        assert live(kube, POOLS) == [name]

    play(story)


def test_with_a_deleted_schedule_its_pool_goes_unless_it_is_kept_alive() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kept = {
            "poolLifetime": "JobSchedule",
            "keepAlive": True,
            "autoPoolNamePrefix": "kept",
            "template": {"image": "i"},
        }
        seed(kube, job_template=JobTemplate(spec={**SHARED, "autoPool": kept}))
        other = builders.schedule("other", schedule=EACH_MINUTE, job_template=JobTemplate(spec=SHARED))
        kube.seed(builders.manifest(other))
        await pass_time()
        assert [name.rpartition("-")[0] for name in live(kube, POOLS)] == ["kept", "other"]
        for name in ("nightly", "other"):
            await delete(kube, JOB_SCHEDULES, name)
        for _round in range(8):
            kube.collect_garbage()
            await pass_time(10)
        assert [name.rpartition("-")[0] for name in live(kube, POOLS)] == ["kept"]
        assert live(kube, JOBS) == []

    play(story)


def test_with_a_deleted_schedule_its_jobs_go() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed(kube)
        await pass_time()
        await delete(kube, JOB_SCHEDULES, "nightly")
        kube.collect_garbage()
        await pass_time(90)
        kube.collect_garbage()
        assert (live(kube, JOB_SCHEDULES), live(kube, JOBS), live(kube, TASKS)) == ([], [], [])

    play(story)


def test_a_changed_template_reaches_later_jobs_only_and_the_spec_is_never_written() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed(kube)
        await pass_time()
        other = JobTemplate(spec={"poolName": "other", "tasks": [{"id": "work", "command": ["false"]}]})
        await change(kube, "jobTemplate", msgspec.to_builtins(other))
        wanted = kube.object(JOB_SCHEDULES, NS, "nightly")
        assert wanted is not None
        await end(kube, 1)
        await pass_time(60)
        pools = [one["spec"]["poolName"] for one in kube.objects(JOBS, NS)]
        assert pools == ["demo", "other"]
        held = kube.object(JOB_SCHEDULES, NS, "nightly")
        assert held is not None
        assert held["spec"] == wanted["spec"]

    play(story)


@pytest.mark.parametrize(
    ("zone", "reason"), [("Europe/Berlin", ""), ("Europe/Atlantis", "ScheduleInvalid"), ("Europe", "ScheduleInvalid")]
)
def test_a_time_zone_is_found_by_its_name_or_said_to_be_unknown(zone: str, reason: str) -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        seed(kube, schedule=Schedule(cron="30 1 * * *", time_zone=zone))
        await pass_time()
        assert [one["reason"] for one in status(kube)["conditions"] if one["type"] == "Stalled"] == [reason] * bool(
            reason
        )
        assert status(kube).get("nextRunTime") == (None if reason else "2026-01-01T00:30:00Z")

    play(story)
