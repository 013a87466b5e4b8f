"""Pools, nodes and jobs on FakeKube, with real informers, queue and applier, in virtual time: faults between two effects."""

from typing import Any

import pytest
from tests.controllers.pool_stage import NS, Replica, delete, live, pass_time, play, pod_dies, pod_runs

from batchpools.api import names
from batchpools.core.views import InlineTask, JobManagerTask, JobStatus, Meta, TaskStatus
from batchpools.kube.errors import ForbiddenError, UnreachableError
from batchpools.kube.resources import JOBS, PODS, POOL_NODES, POOLS, TASKS
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.faults import Faults
from batchpools.testing.virtual_time import VirtualClock, run_virtual


def test_a_pool_gets_its_nodes_and_each_node_its_pod() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=2)))
        await pass_time()
        assert live(kube, POOL_NODES) == ["demo-0000", "demo-0001"]
        assert live(kube, PODS) == ["demo-0000-1", "demo-0001-1"]

    play(story)


def test_a_lost_answer_of_a_create_makes_no_second_pod() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.faults.lose_answer("create", kind="Pod")
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
        await pass_time(10)
        assert live(kube, PODS) == ["demo-0000-1"]

    play(story)


def test_a_restart_after_the_generation_was_persisted_creates_that_pod() -> None:
    async def main(clock: VirtualClock) -> None:
        kube = FakeKube(clock)
        kube.faults.fail("create", UnreachableError("gone"), kind="Pod", times=1000)
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
        first = Replica(kube, clock)
        await first.start()
        await pass_time()
        await first.stop()
        assert live(kube, PODS) == []
        kube.faults = Faults()
        second = Replica(kube, clock)
        await second.start()
        await pass_time()
        assert live(kube, PODS) == ["demo-0000-1"]
        await second.stop()

    run_virtual(main)


def test_a_deleted_pod_is_replaced_only_after_the_kubelet_says_that_it_is_dead() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
        await pass_time()
        pod_runs(kube, "demo-0000-1")
        await pass_time()
        await delete(kube, PODS, "demo-0000-1")
        await pass_time(60)
        assert live(kube, PODS) == ["demo-0000-1"], "its finalizer holds it: nobody has said that it is dead"
        assert replica.ledger.released == []
        pod_dies(kube, "demo-0000-1")
        await pass_time()
        assert live(kube, PODS) == ["demo-0000-2"]
        assert len(set(replica.ledger.released)) == 1

    play(story)


def test_a_pod_refused_by_quota_is_shown_and_made_when_there_is_room() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.faults.fail("create", ForbiddenError("exceeded quota: tight", 403), kind="Pod", times=1000)
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
        await pass_time(5)
        pool = kube.object(POOLS, NS, "demo")
        assert pool is not None
        assert [error["code"] for error in pool["status"]["resizeErrors"]] == ["AccountCoreQuotaReached"]
        assert kube.count("create", "Pod") < 5, "a refusal is not asked again at once, for ever"
        kube.faults = Faults()
        await pass_time(30)
        assert live(kube, PODS) == ["demo-0000-1"]

    play(story)


def test_a_pod_name_that_somebody_else_holds_is_never_adopted() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.seed({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "demo-0000-1", "namespace": NS}, "spec": {}})
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
        await pass_time()
        node = kube.object(POOL_NODES, NS, "demo-0000")
        assert node is not None
        assert "belongs to somebody else" in node["status"]["errors"][0]["message"]
        assert node["status"].get("podUID", "") == ""

    play(story)


def test_shrinking_takes_the_idle_node_and_leaves_the_busy_one() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=2)))
        await pass_time()
        for name in ("demo-0000-1", "demo-0001-1"):
            pod_runs(kube, name)
        await pass_time()
        busy = kube.object(PODS, NS, "demo-0001-1")
        assert busy is not None
        replica.ledger.busy.add(busy["metadata"]["uid"])
        await kube.patch(POOLS, NS, "demo", [{"op": "add", "path": "/spec/targetDedicatedNodes", "value": 1}])
        await pass_time()
        pod_dies(kube, "demo-0000-1")
        await pass_time()
        assert live(kube, POOL_NODES) == ["demo-0001"]

    play(story)


def test_a_deleted_pool_goes_after_its_nodes() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
        await pass_time()
        pod_runs(kube, "demo-0000-1")
        await pass_time()
        await delete(kube, POOLS, "demo")
        await pass_time()
        assert live(kube, POOLS) == ["demo"]
        pod_dies(kube, "demo-0000-1")
        await pass_time(10)
        assert (live(kube, POOLS), live(kube, POOL_NODES), live(kube, PODS)) == ([], [], [])

    play(story)


def test_a_steady_pool_costs_no_writes() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=2)))
        await pass_time()
        for name in ("demo-0000-1", "demo-0001-1"):
            pod_runs(kube, name)
        await pass_time(120)
        before = kube.count("patch") + kube.count("create")
        await pass_time(600)
        assert kube.count("patch") + kube.count("create") == before

    play(story)


def test_a_job_makes_its_tasks_once_also_when_an_answer_is_lost() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.faults.lose_answer("create", kind="Task")
        tasks = tuple(InlineTask(id=f"t{n}", command=("true",)) for n in range(3))
        kube.seed(builders.manifest(builders.job("words", tasks=tasks, pool_name="demo")))
        await pass_time()
        assert live(kube, TASKS) == ["words.t0", "words.t1", "words.t2"]
        assert kube.count("create", "Task") == 4

    play(story)


def test_a_job_ends_when_its_tasks_have_and_says_so_in_one_write() -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.seed(builders.manifest(builders.job("words", tasks=(InlineTask(id="a", command=("true",)),))))
        await pass_time()
        before = kube.count("patch", "Job")
        kube.set_status(TASKS, NS, "words.a", state="Completed", result="Success")
        await pass_time()
        job = kube.object(JOBS, NS, "words")
        assert job is not None
        assert (job["status"]["state"], job["status"]["taskCounts"]["succeeded"]) == ("Completed", 1)
        assert kube.count("patch", "Job") == before + 1

    play(story)


def test_a_deleted_job_waits_for_the_end_of_its_runs_and_takes_hand_made_tasks_with_it() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.seed(builders.manifest(builders.job("words", metadata=Meta(name="words", namespace=NS, uid="job-uid"))))
        kube.seed(builders.manifest(builders.task("own-name", job_name="words")))
        await pass_time()
        held = kube.object(JOBS, NS, "words")
        assert held is not None
        assert names.FINALIZER_JOB in held["metadata"]["finalizers"]
        await delete(kube, JOBS, "words")
        await pass_time()
        assert replica.ledger.ended == {"words"}
        assert (live(kube, JOBS), live(kube, TASKS)) == ([], [])

    play(story)


@pytest.mark.parametrize("resource", [POOLS, JOBS], ids=["pool", "job"])
def test_a_spec_is_never_written(resource: Any) -> None:
    async def story(kube: FakeKube, _: Replica) -> None:
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
        kube.seed(builders.manifest(builders.job("demo", tasks=(InlineTask(id="a", command=("true",)),))))
        before = kube.object(resource, NS, "demo")
        assert before is not None
        await pass_time()
        after = kube.object(resource, NS, "demo")
        assert after is not None
        assert after["spec"] == before["spec"]

    play(story)


def test_a_leader_that_has_not_heard_its_nodes_yet_spares_the_one_whose_manager_is_recorded() -> None:
    """And takes the busy one: the promise is about managers alone."""

    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=3)))
        await pass_time()
        led = builders.job("led", job_manager_task=JobManagerTask(id="boss"), status=JobStatus(tasks_created=1))
        meta = builders.meta("led.boss", kind="Task", owner=led)
        running = TaskStatus(state="Running", pool_node_name="demo-0002")
        kube.seed(builders.manifest(led))
        kube.seed(builders.manifest(builders.task("led.boss", job_name="led", metadata=meta, status=running)))
        (busy,) = (one["metadata"]["uid"] for one in kube.objects(PODS, NS) if one["metadata"]["name"] == "demo-0000-1")
        replica.ledger.busy.add(busy)
        await pass_time()
        for size, left in ((2, ["demo-0000", "demo-0002"]), (1, ["demo-0002"])):
            change = [{"op": "replace", "path": "/spec/targetDedicatedNodes", "value": size}]
            await kube.patch(POOLS, NS, "demo", change)
            await pass_time()
            staying = [one for one in kube.objects(POOL_NODES, NS) if "deletionTimestamp" not in one["metadata"]]
            assert [one["metadata"]["name"] for one in staying] == left

    play(story)
