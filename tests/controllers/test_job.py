"""A job that goes: what its cache does not show, its namespace, tasks that vanish before their runs (rules S2.2, S7.1)."""

import asyncio
from typing import Any

import msgspec
import pytest
from tests.controllers.pool_stage import NS, QuietLedger, live
from tests.controllers.task_stage import Stage, played, ready_node

from batchpools.api import names
from batchpools.controllers.job import JobController
from batchpools.core.identity import Key
from batchpools.core.views import (
    AutoPool,
    InlineTask,
    JobManagerTask,
    JobStatus,
    JobView,
    PoolView,
    TaskStatus,
    TaskView,
    Terminate,
)
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.errors import ForbiddenError, UnreachableError
from batchpools.kube.resources import JOBS, POOLS, TASKS
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import VirtualClock, run_virtual

KEY = Key("Job", NS, "words")


class Scene:
    """Job `words`, whose cache shows only what a test puts there."""

    def __init__(self, clock: VirtualClock) -> None:
        self.kube, self.cache, self.clock = FakeKube(clock), Cache(), clock
        self.ledger = QuietLedger(self.cache)
        self.controller = self.another()

    def another(self) -> JobController:
        """A leader that remembers nothing."""
        applier = Applier(self.kube, self.clock, lambda: 1, self.ledger)
        return JobController(self.cache, self.kube, applier, self.ledger, self.clock)

    def job(self, *, deleted: bool = False, status: JobStatus | None = None, **spec: Any) -> None:
        """The job, in API server and cache alike."""
        doomed = self.clock.now() if deleted else None
        meta = builders.meta("words", kind="Job", finalizers=(names.FINALIZER_JOB,), deletion_timestamp=doomed)
        manifest = builders.manifest(builders.job("words", metadata=meta, status=status, **spec))
        if deleted:
            manifest["metadata"]["deletionGracePeriodSeconds"] = 0
        self.cache.jobs.put(msgspec.convert(self.kube.seed(manifest), JobView))

    def see(self) -> None:
        """The cache shows the job as it is."""
        held = self.kube.object(JOBS, NS, "words")
        self.cache.jobs.put(msgspec.convert(held, JobView))

    def show(self, name: str, state: str, result: str = "") -> None:
        """A task of the job as the cache shows it."""
        view = builders.task(name, job_name="words", status=TaskStatus(state=state, result=result))
        owner = builders.owner_reference(builders.job("words"))
        self.cache.tasks.put(msgspec.structs.replace(view, metadata=builders.meta(name, owner_references=(owner,))))

    def status(self) -> Any:
        """As the API server has it."""
        held = self.kube.object(JOBS, NS, "words")
        assert held is not None
        return held["status"]

    def state(self) -> str:
        """Of it the state."""
        return str(self.status()["state"])


def play(story: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        await story(Scene(clock))

    run_virtual(main)


def test_a_job_does_not_go_while_the_api_server_has_a_task_that_the_cache_does_not_show() -> None:
    """S7.1: hand-made tasks are found by the field selector, whatever owner and cache say."""

    async def story(scene: Scene) -> None:
        scene.job(deleted=True)
        scene.ledger.ended = {"words"}
        scene.kube.seed(builders.manifest(builders.task("hand-made", job_name="words")))
        scene.kube.seed(builders.manifest(builders.task("another", job_name="other")))
        await scene.controller.reconcile(KEY)
        assert (live(scene.kube, JOBS), live(scene.kube, TASKS)) == (["words"], ["another"])
        await scene.controller.reconcile(KEY)
        assert live(scene.kube, JOBS) == []

    play(story)


def test_with_its_namespace_a_job_goes_at_once() -> None:
    async def story(scene: Scene) -> None:
        scene.job(deleted=True)
        scene.kube.close_namespace(NS)
        await scene.controller.reconcile(KEY)
        assert (live(scene.kube, JOBS), scene.ledger.ended) == ([], set())

    play(story)


def test_a_job_that_is_terminated_ends_its_tasks_first() -> None:
    async def story(scene: Scene) -> None:
        told = JobStatus(tasks_created=1)
        scene.job(status=told, tasks=(InlineTask(id="a", command=("true",)),), terminate=Terminate(reason="enough"))
        scene.show("words.a", "Active")
        await scene.controller.reconcile(KEY)
        assert (scene.state(), scene.ledger.ended) == ("Terminating", set())
        scene.see()
        await scene.controller.reconcile(KEY)
        assert (scene.state(), scene.ledger.ended) == ("Terminating", {"words"})
        await scene.controller.reconcile(KEY)
        assert scene.state() == "Terminating", "its task waits, and is ended by the book of runs"
        scene.show("words.a", "Completed", "Failure")
        await scene.controller.reconcile(KEY)
        status = scene.status()
        assert (status["state"], status["result"], status["terminateReason"]) == ("Completed", "Failure", "enough")
        assert status["taskCounts"]["failed"] == 1

    play(story)


def test_a_manager_is_made_once_although_the_status_was_lost_and_the_cache_shows_nothing() -> None:
    async def story(scene: Scene) -> None:
        scene.kube.faults.fail("patch", UnreachableError("gone"), kind="Job", times=1)
        scene.job(job_manager_task=JobManagerTask(id="boss", command=("run",)))
        with pytest.raises(UnreachableError):
            await scene.controller.reconcile(KEY)
        (made,) = scene.kube.objects(TASKS, NS)
        for controller in (scene.controller, scene.another(), scene.another()):
            await controller.reconcile(KEY)
            scene.see()
        assert [one["metadata"]["uid"] for one in scene.kube.objects(TASKS, NS)] == [made["metadata"]["uid"]]
        assert scene.status()["tasksCreated"] == 1
        scene.kube.remove(TASKS, NS, "words.boss")
        await scene.another().reconcile(KEY)
        assert live(scene.kube, TASKS) == [], "one that somebody deletes is not made again"

    play(story)


def test_a_job_does_not_end_while_a_task_that_it_made_is_not_in_the_cache() -> None:
    """S2.2, S5.3: it is asked for; one that is really gone counts no more."""

    async def story(scene: Scene) -> None:
        scene.job(
            status=JobStatus(tasks_created=2),
            tasks=tuple(InlineTask(id=one, command=("true",)) for one in ("a", "b")),
        )
        job = scene.cache.jobs.get(NS, "words")
        for one in ("a", "b"):
            meta = builders.meta(f"words.{one}", kind="Task", owner=job)
            task = builders.task(f"words.{one}", metadata=meta, job_name="words", id=one)
            scene.kube.seed(builders.manifest(task))
            scene.kube.set_status(TASKS, NS, f"words.{one}", state="Completed", result="Success")
        scene.cache.tasks.put(msgspec.convert(scene.kube.object(TASKS, NS, "words.a"), TaskView))
        for _ in range(3):
            await scene.controller.reconcile(KEY)
            await asyncio.sleep(6)
        assert scene.state() == "Active"
        scene.kube.remove(TASKS, NS, "words.b")
        await scene.controller.reconcile(KEY)
        assert scene.state() == "Completed"

    play(story)


@played
async def test_a_job_whose_tasks_vanished_is_not_quiet_before_their_runs_have_ended(stage: Stage) -> None:
    """S7.1: foreground deletion removes the tasks at once, although the job has a finalizer of ours."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task()
    await stage.settle()
    (run,) = agent.runs
    agent.start(run)
    stage.kube.remove(TASKS, NS, "primes.work")
    held = stage.kube.object(JOBS, NS, "primes")
    assert held is not None
    stage.kube.remove(JOBS, NS, "primes")
    await stage.settle()
    assert stage.hub.kills == [(agent.uid, run.execution_id)]
    assert not stage.ledger.is_job_quiet(NS, "primes")
    agent.finish(run, None, cause="killed")
    await stage.settle()
    assert stage.ledger.is_job_quiet(NS, "primes")


def test_a_job_makes_its_own_pool_once_and_deletes_it_at_its_end() -> None:
    """Created twice is created once: the cache shows nothing of the pool yet when it is looked at again."""

    async def story(scene: Scene) -> None:
        scene.job(auto_pool=AutoPool(template={"image": "image"}, keep_alive=True))
        scene.kube.faults.lose_answer("create", kind="Pool")
        with pytest.raises(UnreachableError):
            await scene.controller.reconcile(KEY)
        await scene.controller.reconcile(KEY)
        (name,) = live(scene.kube, POOLS)
        assert scene.state() == "Active"
        made = msgspec.convert(scene.kube.object(POOLS, NS, name), PoolView)
        scene.cache.pools.put(made)
        scene.job(auto_pool=AutoPool(template={"image": "image"}), status=JobStatus(state="Completed"))
        await scene.controller.reconcile(KEY)
        assert live(scene.kube, POOLS) == []

    play(story)


def test_a_job_whose_own_pool_is_refused_ends_with_the_sentence() -> None:
    async def story(scene: Scene) -> None:
        scene.job(auto_pool=AutoPool(template={"image": "image"}))
        scene.kube.faults.fail("create", ForbiddenError("exceeded quota: none left", 403), kind="Pool")
        assert await scene.controller.reconcile(KEY) == 0.0
        await scene.controller.reconcile(KEY)
        held = scene.kube.object(JOBS, NS, "words")
        assert held is not None
        assert held["status"]["state"] == "Completed"
        assert held["status"]["schedulingError"]["code"] == "AutoPoolCreationFailedWithQuotaReached"
        assert "none left" in held["status"]["schedulingError"]["message"]

    play(story)
