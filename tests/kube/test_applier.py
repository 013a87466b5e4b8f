"""The applier: what may be repeated is harmless, what is lost is found again, who does not lead writes nothing."""

import asyncio
from typing import Any

import pytest
from tests.kube.applied import KEY, POOL, UID, Ledger, Scene, create, play

from batchpools.api import names
from batchpools.api.reasons import RequeueReason
from batchpools.api.states import NodeDeallocationOption
from batchpools.core.identity import Key
from batchpools.core.plan import (
    AddFinalizer,
    Annotate,
    Delete,
    DrainNode,
    Effect,
    EndJob,
    Event,
    Plan,
    ReleaseNode,
    RemoveFinalizer,
    ResumeNode,
    WriteStatus,
)
from batchpools.core.views import PoolStatus
from batchpools.kube.applier import Applier, NotLeadingError, Outcome
from batchpools.kube.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    KubeError,
    ServerError,
    UnreachableError,
)
from batchpools.kube.resources import EVENTS, POOL_NODES, POOLS
from batchpools.testing.builders import NAMESPACE, manifest, meta, node, pool
from batchpools.testing.clock import FakeClock
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import settle

# ---------------------------------------------------------------- order and restarts


def test_effects_come_in_order_then_the_status_then_events() -> None:
    async def story(scene: Scene) -> None:
        told = Event(KEY, UID, "Resized", "two nodes more")
        await scene.do(
            AddFinalizer(KEY, UID, names.FINALIZER_POOL), create(), status=PoolStatus(selector="a=b"), events=(told,)
        )
        writes = [(one.verb, one.kind, one.subresource) for one in scene.server.calls if one.verb != "get"]
        assert writes == [
            ("patch", "Pool", ""),
            ("create", "PoolNode", ""),
            ("patch", "Pool", "status"),
            ("create", "Event", ""),
        ]

    play(story)


def test_a_failed_effect_leaves_status_and_events_unwritten_and_the_plan_can_be_repeated() -> None:
    """The operator is restarted between two effects: the second run finds the first effect done."""

    async def story(scene: Scene) -> None:
        scene.server.faults.fail("create", ServerError("etcd", 500), kind="PoolNode")
        effects = (AddFinalizer(KEY, UID, names.FINALIZER_POOL), create())
        with pytest.raises(ServerError):
            await scene.do(*effects, status=PoolStatus(selector="a=b"))
        assert scene.pool()["status"]["epoch"] == 0
        assert await scene.do(*effects, status=PoolStatus(selector="a=b")) == ()
        assert scene.pool()["metadata"]["finalizers"] == [names.FINALIZER_POOL]
        assert scene.pool()["status"]["selector"] == "a=b"
        assert len(scene.server.objects(POOL_NODES)) == 1

    play(story)


@pytest.mark.parametrize(
    "effect",
    [
        create(),
        Delete(KEY, UID),
        AddFinalizer(KEY, UID, "a/b"),
        RemoveFinalizer(KEY, UID, "a/b"),
        WriteStatus(KEY, UID, PoolStatus()),
        DrainNode("pod", RequeueReason.POOL_RESIZED),
        EndJob(NAMESPACE, "primes"),
    ],
    ids=lambda effect: type(effect).__name__,
)
def test_who_does_not_lead_does_nothing(effect: Effect) -> None:
    async def story(scene: Scene) -> None:
        scene.epoch = None
        with pytest.raises(NotLeadingError):
            await scene.do(effect)
        assert scene.server.calls == []
        assert scene.ledger.asked == []

    play(story)


def test_leadership_that_is_lost_between_two_effects_stops_the_second() -> None:
    async def story(scene: Scene) -> None:
        gate = scene.server.faults.hold("create", kind="PoolNode", after=True)
        doing = asyncio.create_task(scene.do(create("demo-0001"), create("demo-0002"), status=PoolStatus()))
        await settle()
        scene.epoch = None
        gate.set()
        with pytest.raises(NotLeadingError):
            await doing
        assert [one["metadata"]["name"] for one in scene.server.objects(POOL_NODES)] == ["demo-0001"]
        assert scene.server.count("patch") == 0

    play(story)


def test_the_ledger_gets_its_commands() -> None:
    async def story(scene: Scene) -> None:
        drain = DrainNode("p1", RequeueReason.POOL_RESIZED, NodeDeallocationOption.TASK_COMPLETION)
        await scene.do(drain, ResumeNode("p1"), ReleaseNode("p2"), EndJob("ns", "primes"))
        drained = ("drain", "p1", "PoolResized", "TaskCompletion")
        assert scene.ledger.asked == [drained, ("resume", "p1"), ("release", "p2"), ("end", "ns", "primes")]
        assert scene.server.calls == []

    play(story)


# ---------------------------------------------------------------- create


def test_a_create_whose_answer_was_lost_succeeds_the_second_time() -> None:
    async def story(scene: Scene) -> None:
        scene.server.faults.lose_answer("create")
        with pytest.raises(UnreachableError):
            await scene.do(create())
        assert await scene.do(create()) == ()

    play(story)


def test_a_name_that_somebody_else_holds_is_a_conflict_and_nothing_is_adopted() -> None:
    async def story(scene: Scene) -> None:
        scene.server.seed(manifest(node("demo-0001")))
        (refusal,) = await scene.do(create(), create("demo-0002"))
        assert (refusal.outcome, refusal.key.name) == (Outcome.NAME_CONFLICT, "demo-0001")
        assert len(scene.server.objects(POOL_NODES)) == 2

    play(story)


@pytest.mark.parametrize("owner", [POOL, pool("demo", metadata=meta("demo", uid="former"))], ids=["ours", "former"])
def test_a_terminating_object_of_that_name_is_waited_for(owner: Any) -> None:
    async def story(scene: Scene) -> None:
        held = node("demo-0001", metadata=meta("demo-0001", kind="PoolNode", owner=owner, finalizers=("a/b",)))
        scene.server.seed(manifest(held))
        await scene.server.delete(POOL_NODES, NAMESPACE, "demo-0001", uid=held.metadata.uid)
        (refusal,) = await scene.do(create())
        assert refusal.outcome == Outcome.TERMINATING

    play(story)


def test_a_name_that_becomes_free_while_we_look_is_asked_for_again_later() -> None:
    async def story(scene: Scene) -> None:
        scene.server.seed(manifest(node("demo-0001")))
        gate = scene.server.faults.hold("get", kind="PoolNode")
        doing = asyncio.create_task(scene.do(create()))
        await settle()
        scene.server.remove(POOL_NODES, NAMESPACE, "demo-0001")
        gate.set()
        (refusal,) = await doing
        assert refusal.outcome == Outcome.TERMINATING

    play(story)


@pytest.mark.parametrize(
    "error",
    [
        ForbiddenError('pods "x" is forbidden: exceeded quota: small', 403, "Forbidden"),
        InvalidError('Pod "x" is invalid: spec.containers: Required value', 422, "Invalid"),
    ],
    ids=["quota", "invalid"],
)
def test_what_the_api_server_refuses_comes_back_in_its_own_words(error: KubeError) -> None:
    async def story(scene: Scene) -> None:
        scene.server.faults.fail("create", error, kind="PoolNode")
        (refusal,) = await scene.do(create(), status=PoolStatus(selector="a=b"))
        assert (refusal.outcome, refusal.sentence) == (Outcome.REFUSED, error.sentence)
        assert scene.pool()["status"]["selector"] == "a=b"

    play(story)


# ---------------------------------------------------------------- delete, finalizers


def test_only_the_meant_life_is_deleted_and_gone_is_success() -> None:
    async def story(scene: Scene) -> None:
        await scene.do(Delete(KEY, "former"))
        assert scene.pool()
        await scene.do(Delete(KEY, UID))
        await scene.do(Delete(KEY, UID))
        assert scene.server.object(POOLS, NAMESPACE, "demo") is None

    play(story)


def test_what_has_changed_since_it_was_decided_is_not_deleted() -> None:
    """S5.1: a leader that was replaced, or whose cache is late, decided about something else."""

    async def story(scene: Scene) -> None:
        seen = scene.pool()["metadata"]["resourceVersion"]
        scene.server.set_status(POOLS, NAMESPACE, "demo", state="Active", selector="changed")
        (refused,) = await scene.do(Delete(KEY, UID, seen))
        assert (refused.outcome, refused.only_needs_time) == (Outcome.CHANGED, True)
        assert await scene.do(Delete(KEY, UID, scene.pool()["metadata"]["resourceVersion"])) == ()
        assert scene.server.object(POOLS, NAMESPACE, "demo") is None

    play(story)


def test_finalizers_of_others_stay() -> None:
    async def story(scene: Scene) -> None:
        scene.server.seed(manifest(pool("demo", metadata=meta("demo", kind="Pool", finalizers=("them/theirs",)))))
        await scene.do(AddFinalizer(KEY, UID, "us/ours"))
        assert scene.pool()["metadata"]["finalizers"] == ["them/theirs", "us/ours"]
        await scene.do(RemoveFinalizer(KEY, UID, "us/ours"))
        assert scene.pool()["metadata"]["finalizers"] == ["them/theirs"]

    play(story)


def test_a_finalizer_that_somebody_adds_between_our_read_and_our_write_is_not_lost() -> None:
    async def story(scene: Scene) -> None:
        gate = scene.server.faults.hold("patch", kind="Pool")
        doing = asyncio.create_task(scene.do(AddFinalizer(KEY, UID, "us/ours")))
        await settle()
        scene.server.seed(manifest(pool("demo", metadata=meta("demo", kind="Pool", finalizers=("them/theirs",)))))
        gate.set()
        await doing
        assert scene.pool()["metadata"]["finalizers"] == ["them/theirs", "us/ours"]

    play(story)


def test_a_status_that_changes_meanwhile_does_not_disturb_a_finalizer() -> None:
    async def story(scene: Scene) -> None:
        gate = scene.server.faults.hold("patch", kind="Pool")
        doing = asyncio.create_task(scene.do(AddFinalizer(KEY, UID, "us/ours")))
        await settle()
        scene.server.set_status(POOLS, NAMESPACE, "demo", selector="x=y")
        gate.set()
        await doing
        assert scene.server.count("patch") == 1

    play(story)


def test_finalizers_that_never_stand_still_are_given_up_for_now() -> None:
    async def story(scene: Scene) -> None:
        restless = 0

        async def disturb() -> None:
            nonlocal restless
            while True:
                restless += 1
                finalizers = (f"them/n{restless}",)
                scene.server.seed(manifest(pool("demo", metadata=meta("demo", kind="Pool", finalizers=finalizers))))
                await asyncio.sleep(0)

        disturbing = asyncio.create_task(disturb())
        with pytest.raises(ConflictError):
            await scene.do(AddFinalizer(KEY, UID, "us/ours"))
        disturbing.cancel()

    play(story)


def test_a_finalizer_of_another_life_or_of_nothing_is_done() -> None:
    async def story(scene: Scene) -> None:
        await scene.do(
            RemoveFinalizer(KEY, "former", "us/ours"), RemoveFinalizer(Key("Pool", NAMESPACE, "x"), "y", "z")
        )
        assert scene.server.count("patch") == 0

    play(story)


# ---------------------------------------------------------------- events


def test_an_event_names_its_object() -> None:
    async def story(scene: Scene) -> None:
        await scene.do(events=(Event(KEY, UID, "AllocationFailed", "no room", warning=True),))
        (event,) = scene.server.objects(EVENTS)
        assert event["involvedObject"] == {
            "apiVersion": names.API_VERSION,
            "kind": "Pool",
            "name": "demo",
            "namespace": NAMESPACE,
            "uid": UID,
        }
        assert (event["type"], event["reason"], event["message"]) == ("Warning", "AllocationFailed", "no room")

    play(story)


def test_an_event_that_cannot_be_published_is_passed_over() -> None:
    async def story(scene: Scene) -> None:
        scene.server.faults.fail("create", ForbiddenError("no", 403), kind="Event")
        await scene.do(events=(Event(KEY, UID, "A", "b"), Event(KEY, UID, "C", "d")))
        assert [event["reason"] for event in scene.server.objects(EVENTS)] == ["C"]

    play(story)


@pytest.mark.parametrize(("before", "first"), [({}, True), ({"their": "own"}, False), ({"a/b~c": "old"}, False)])
async def test_an_annotation_is_set_beside_others(before: dict[str, str], first: bool) -> None:
    kube = FakeKube()
    view = pool("demo", metadata=meta("demo", kind="Pool", annotations=before))
    kube.seed(manifest(view))
    applier = Applier(kube, FakeClock(), lambda: 1, Ledger())  # type: ignore[arg-type]
    effect = Annotate(KEY, UID, "a/b~c", "new", first=first)
    for _ in range(2):
        await applier.apply(KEY, UID, Plan((effect,)))
    held = kube.object(POOLS, NAMESPACE, "demo")
    assert held is not None
    assert held["metadata"]["annotations"] == {**before, "a/b~c": "new"}


async def test_an_annotation_for_another_life_is_not_set() -> None:
    kube = FakeKube()
    kube.seed(manifest(POOL))
    applier = Applier(kube, FakeClock(), lambda: 1, Ledger())  # type: ignore[arg-type]
    gone = Key("Pool", NAMESPACE, "gone")
    for effect in (Annotate(KEY, "another", "a", "b", first=True), Annotate(gone, UID, "a", "b")):
        await applier.apply(KEY, UID, Plan((effect,)))
    held = kube.object(POOLS, NAMESPACE, "demo")
    assert held is not None
    assert "annotations" not in held["metadata"]
