"""Children whose owner is gone, and nobody who collects them: removed, after the API server was asked (safety rule S7.1)."""

from typing import Any

import msgspec
import pytest
from tests.controllers.pool_stage import NS, QuietLedger, live

from batchpools.api import names
from batchpools.controllers.janitor import ASKED_A_ROUND, Janitor
from batchpools.core.ledger import Contact
from batchpools.core.views import (
    ContainerState,
    ContainerStatus,
    JobView,
    PodSpec,
    PodStatus,
    PodView,
    PoolNodeView,
    PoolView,
    TaskView,
)
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.errors import ServerError
from batchpools.kube.resources import JOB_SCHEDULES, JOBS, PODS, POOL_NODES, POOLS, TASKS
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import VirtualClock, run_virtual

POOL, JOB = builders.pool("demo"), builders.job("words")
NODE = builders.node("demo-0000", metadata=builders.meta("demo-0000", kind="PoolNode", owner=POOL))
TASK = builders.task("words.a", metadata=builders.meta("words.a", kind="Task", owner=JOB), job_name="words")
POD = PodView(
    metadata=builders.meta("demo-0000-1", kind="Pod", owner=NODE, finalizers=(names.FINALIZER_POD,)),
    spec=PodSpec(node_name="machine"),
    status=PodStatus(
        phase="Running", container_statuses=(ContainerStatus(name="task", state=ContainerState(running={})),)
    ),
)
KINDS: tuple[tuple[Any, str, Any], ...] = (
    (PODS, "pods", PodView),
    (POOL_NODES, "nodes", PoolNodeView),
    (TASKS, "tasks", TaskView),
    (JOBS, "jobs", JobView),
    (POOLS, "pools", PoolView),
)


class Scene:
    """What the API server has, a cache that shows children and no owners, and a janitor."""

    def __init__(self, clock: VirtualClock) -> None:
        self.kube, self.cache = FakeKube(clock), Cache()
        self.ledger = QuietLedger(self.cache)
        applier = Applier(self.kube, clock, lambda: 1, self.ledger)
        self.janitor = Janitor(self.cache, self.kube, applier, self.ledger)

    def seed(self, *views: Any) -> None:
        for view in views:
            self.kube.seed(builders.manifest(view))

    async def round(self) -> None:
        """The cache sees the children as they are; one round."""
        for resource, kind, view in KINDS:
            store: Any = getattr(self.cache, kind)
            for held in list(store):
                store.remove(NS, held.metadata.name)
            for one in self.kube.objects(resource, NS):
                store.put(msgspec.convert(one, view))
        await self.janitor.once()


def play(story: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        await story(Scene(clock))

    run_virtual(main)


def test_an_owner_that_only_the_cache_lacks_is_alive() -> None:
    async def story(scene: Scene) -> None:
        scene.seed(POOL, NODE, JOB, TASK)
        await scene.round()
        assert (live(scene.kube, POOL_NODES), live(scene.kube, TASKS)) == (["demo-0000"], ["words.a"])

    play(story)


@pytest.mark.parametrize("again", [False, True], ids=["gone", "made anew under its name"])
def test_children_of_an_owner_that_is_no_more_go(again: bool) -> None:
    async def story(scene: Scene) -> None:
        if again:
            for view in (POOL, JOB):
                fresh = msgspec.structs.replace(view.metadata, uid=f"another-{view.metadata.uid}")
                scene.seed(msgspec.structs.replace(view, metadata=fresh))
        scene.seed(NODE, TASK)
        await scene.round()
        assert (live(scene.kube, POOL_NODES), live(scene.kube, TASKS)) == ([], [])

    play(story)


def test_jobs_of_a_schedule_that_is_no_more_go_and_other_jobs_stay() -> None:
    async def story(scene: Scene) -> None:
        schedule = builders.schedule()
        scene.seed(schedule, JOB, builders.job("nightly-1", metadata=builders.meta("nightly-1", owner=schedule)))
        await scene.round()
        assert live(scene.kube, JOBS) == ["nightly-1", "words"]
        scene.kube.remove(JOB_SCHEDULES, NS, "nightly")
        await scene.round()
        assert live(scene.kube, JOBS) == ["words"]

    play(story)


def test_a_pool_of_a_schedule_that_is_no_more_goes() -> None:
    async def story(scene: Scene) -> None:
        scene.seed(builders.pool("own", metadata=builders.meta("own", owner=builders.schedule())), POOL)
        await scene.round()
        assert live(scene.kube, POOLS) == ["demo"]

    play(story)


def test_a_hand_made_task_may_wait_for_its_job() -> None:
    async def story(scene: Scene) -> None:
        scene.seed(builders.task("by-hand", job_name="words"))
        await scene.round()
        assert live(scene.kube, TASKS) == ["by-hand"]

    play(story)


def test_a_pod_without_its_node_is_drained_deleted_and_let_go_once_it_is_dead() -> None:
    async def story(scene: Scene) -> None:
        scene.seed(POD)
        uid = POD.metadata.uid
        await scene.round()
        assert scene.ledger.draining == {uid}
        held = scene.kube.object(PODS, NS, "demo-0000-1")
        assert held is not None
        assert "deletionTimestamp" in held["metadata"]
        await scene.round()
        assert (live(scene.kube, PODS), scene.ledger.released) == (["demo-0000-1"], []), "it may live"
        dead = [{"name": "task", "state": {"terminated": {"exitCode": 0}}}]
        scene.kube.set_status(PODS, NS, "demo-0000-1", phase="Succeeded", containerStatuses=dead)
        scene.kube.end_pod(NS, "demo-0000-1")
        await scene.round()
        assert (live(scene.kube, PODS), scene.ledger.released) == ([], [uid])

    play(story)


def test_a_pod_without_its_node_on_a_machine_that_is_lost_is_let_go_when_its_time_is_over() -> None:
    async def story(scene: Scene) -> None:
        scene.seed(POD)
        await scene.round()
        scene.ledger.contacts[POD.metadata.uid] = Contact.GIVEN_UP
        await scene.round()
        held = scene.kube.object(PODS, NS, "demo-0000-1")
        assert held is not None
        assert held["metadata"].get("finalizers", []) == []

    play(story)


def test_an_api_server_that_does_not_answer_proves_nothing() -> None:
    async def story(scene: Scene) -> None:
        scene.seed(NODE)
        scene.kube.faults.fail("get", ServerError("etcd is away", 500))
        await scene.round()
        assert live(scene.kube, POOL_NODES) == ["demo-0000"]
        await scene.round()
        assert live(scene.kube, POOL_NODES) == []

    play(story)


def test_a_round_asks_for_few_and_an_owner_only_once() -> None:
    async def story(scene: Scene) -> None:
        for number in range(60):
            job = builders.job(f"j{number:02}")
            for one in ("a", "b"):
                name = f"j{number:02}.{one}"
                scene.seed(builders.task(name, metadata=builders.meta(name, kind="Task", owner=job)))
        await scene.round()
        assert scene.kube.count("get", JOBS.kind) == ASKED_A_ROUND
        assert len(live(scene.kube, TASKS)) == 20

    play(story)
