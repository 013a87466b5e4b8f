"""One node between its API server and a cache that is late; sessions that come and go; names that are taken."""

import pytest
from tests.controllers.node_stage import NODE, NS, Stage, play

from batchpools.api import names
from batchpools.core.ledger import Contact
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.kube.errors import ForbiddenError, InvalidError, ServerError
from batchpools.kube.resources import PODS, POOL_NODES, POOLS
from batchpools.testing import builders

FIRST = f"{NODE}-1"


async def standing(stage: Stage) -> str:
    """A node whose first pod runs and whose agent is connected; the uid of the pod."""
    pod = stage.pod(1)
    stage.seed(stage.node(pod_generation=1, pod_name=FIRST), pod)
    stage.connect(pod.metadata.uid)
    stage.show()
    await stage.look()
    stage.show()
    assert (stage.status()["state"], stage.status()["podUID"]) == ("Idle", pod.metadata.uid)
    return pod.metadata.uid


async def ask_to_leave(stage: Stage) -> None:
    """`kubectl delete bnode`."""
    held = stage.kube.object(POOL_NODES, NS, NODE)
    assert held is not None
    await stage.kube.delete(POOL_NODES, NS, NODE, uid=held["metadata"]["uid"])


def test_a_deleted_node_is_drained_then_loses_its_pod_then_goes() -> None:
    async def story(stage: Stage) -> None:
        uid = await standing(stage)
        await ask_to_leave(stage)
        stage.show()
        await stage.look()
        assert (stage.ledger.draining, stage.pods()) == ({uid}, {FIRST: False}), "first its runs end"
        assert stage.status()["state"] == "LeavingPool"
        await stage.look()
        assert stage.pods() == {FIRST: True}
        stage.show()
        await stage.look(3)
        assert stage.kube.object(POOL_NODES, NS, NODE) is not None, "nobody has said that the pod is dead"
        stage.end(FIRST)
        for _ in range(3):
            stage.show()
            await stage.look()
        assert stage.pods() == {}
        stage.show()
        await stage.look()
        assert stage.kube.object(POOL_NODES, NS, NODE) is None

    play(story)


def test_a_node_does_not_go_while_the_cache_has_not_seen_its_pod() -> None:
    async def story(stage: Stage) -> None:
        stage.seed(stage.node(pod_generation=1, pod_name=FIRST))
        await ask_to_leave(stage)
        stage.show()
        stage.seed(stage.pod(1))  # its create was under way when the node was deleted
        await stage.look(2)
        assert stage.kube.object(POOL_NODES, NS, NODE) is not None
        assert stage.pods() == {FIRST: True}, "the pod is found, and goes first"

    play(story)


def test_a_cache_that_shows_a_former_state_of_the_node_costs_its_living_pod_nothing() -> None:
    async def story(stage: Stage) -> None:
        stage.seed(stage.node(pod_generation=1, pod_name=FIRST, pod_uid="uid-of-the-first"))
        stage.show()
        third = stage.pod(3)
        now = stage.node(pod_generation=3, pod_name=f"{NODE}-3", pod_uid=third.metadata.uid)
        stage.seed(now, third)
        stage.connect(third.metadata.uid)
        stage.cache.pods.put(third)  # pods are seen, the node is not: each kind has a watch of its own
        stage.cache.pools.put(builders.pool("demo", target_dedicated_nodes=1))
        await stage.look(3)
        assert stage.pods() == {f"{NODE}-3": False}
        assert stage.status()["podGeneration"] == 3

    play(story)


def test_its_own_write_is_not_undone_by_a_cache_that_has_not_seen_it() -> None:
    async def story(stage: Stage) -> None:
        uid = await standing(stage)
        stage.end(FIRST, phase="Failed")
        stage.show()
        await stage.look()  # delete and release
        stage.show()
        former = stage.cache.pods.get(NS, FIRST)
        await stage.look()  # the next number
        assert stage.ledger.released == [uid]
        assert stage.status()["podGeneration"] == 2
        stage.show()
        await stage.look()  # the object goes
        assert former is not None
        stage.cache.pods.put(former)  # both watches are late from here on
        stage.ledger.busy = {uid}  # something to write, made from what the cache shows
        await stage.look(4)
        assert (stage.status()["podGeneration"], stage.status()["podName"]) == (2, f"{NODE}-2")
        stage.show()
        await stage.look()
        assert stage.pods() == {f"{NODE}-2": False}

    play(story)


def test_a_lost_answer_of_the_create_is_made_good_with_the_same_pod() -> None:
    async def story(stage: Stage) -> None:
        stage.seed(stage.node(pod_generation=1, pod_name=FIRST))
        stage.show()
        stage.kube.faults.lose_answer("create", kind="Pod")
        with pytest.raises(Exception, match="the answer was lost"):
            await stage.look()
        await stage.look()
        held = stage.kube.object(PODS, NS, FIRST)
        assert held is not None
        assert stage.status()["podUID"] == held["metadata"]["uid"]
        assert stage.kube.count("create", "Pod") == 1

    play(story)


def test_a_pod_of_somebody_else_is_a_conflict_by_name_and_left_alone() -> None:
    async def story(stage: Stage) -> None:
        stage.kube.seed({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": FIRST, "namespace": NS}, "spec": {}})
        stage.seed(stage.node(pod_generation=1, pod_name=FIRST))
        stage.show()
        await stage.look(2)
        assert [error["code"] for error in stage.status()["errors"]] == ["NameConflict"]
        assert stage.status().get("podUID", "") == ""
        assert stage.pods() == {FIRST: False}

    play(story)


def test_an_agent_that_is_gone_for_some_seconds_is_not_written_down_and_one_that_stays_away_is() -> None:
    async def story(stage: Stage) -> None:
        uid = await standing(stage)
        before = stage.kube.count("patch")
        session = stage.hub.connected.pop(uid)
        assert await stage.look() == 1.0
        stage.ledger.contacts[uid] = Contact.SILENT
        assert await stage.look() == 1.0
        stage.ledger.contacts[uid] = Contact.IN_TOUCH
        stage.hub.connected[uid] = session
        await stage.look()
        assert stage.kube.count("patch") == before
        del stage.hub.connected[uid]
        stage.ledger.contacts[uid] = Contact.RECORDED
        await stage.look()
        assert (stage.status()["state"], stage.status()["errors"][0]["code"]) == ("Disconnected", "AgentSilent")
        assert stage.pods() == {FIRST: False}, "its tasks may well go on"
        assert stage.ledger.aside == {uid}

    play(story)


def test_a_node_that_is_heard_again_takes_tasks_only_once_its_status_says_so() -> None:
    """S3.4: what its status says is what a next leader believes. The cache is late here: it does not show the mark."""

    async def story(stage: Stage) -> None:
        uid = await standing(stage)
        session = stage.hub.connected.pop(uid)
        stage.ledger.contacts[uid] = Contact.RECORDED
        await stage.look()
        stage.hub.connected[uid] = session
        stage.ledger.contacts[uid] = Contact.IN_TOUCH
        stage.kube.faults.fail("patch", ServerError("etcd is away", 500))
        with pytest.raises(ServerError):
            await stage.look()
        assert (stage.status()["state"], stage.ledger.aside) == ("Disconnected", {uid})
        await stage.look()
        assert (stage.status()["state"], stage.ledger.aside) == ("Idle", set())

    play(story)


def test_a_node_that_nobody_hears_is_not_read_at_each_look() -> None:
    """A pool without room has many that are pending for hours; each is read live once it is heard, and takes tasks then."""

    async def story(stage: Stage) -> None:
        uid = await standing(stage)
        session = stage.hub.connected.pop(uid)
        stage.ledger.contacts[uid] = Contact.RECORDED
        stage.ledger.set_aside(uid)
        await stage.look()
        stage.show()
        before = stage.kube.count("get")
        assert await stage.look(20) is not None
        assert stage.kube.count("get") == before
        stage.hub.connected[uid] = session
        stage.ledger.contacts[uid] = Contact.IN_TOUCH
        await stage.look()
        assert stage.kube.count("get") == before + 2, "the node and its pod"
        assert stage.ledger.aside == set()
        stage.show()
        await stage.look(20)
        assert stage.kube.count("get") == before + 2

    play(story)


def test_a_pod_that_the_kubelet_rejects_is_replaced() -> None:
    async def story(stage: Stage) -> None:
        stage.seed(stage.node(pod_generation=1, pod_name=FIRST), stage.pod(1))
        stage.kube.set_status(PODS, NS, FIRST, phase="Failed", reason="OutOfcpu", containerStatuses=[])
        stage.show()
        for _ in range(6):
            await stage.look()
            stage.show()
        assert stage.pods() == {f"{NODE}-2": False}

    play(story)


def test_in_a_namespace_that_is_being_deleted_a_node_goes_without_another_pod() -> None:
    async def story(stage: Stage) -> None:
        stage.kube.close_namespace(NS)
        stage.seed(stage.node(pod_generation=1, pod_name=FIRST))
        stage.show()
        await stage.look(2)
        assert "being" in stage.status()["errors"][0]["message"]
        await ask_to_leave(stage)
        stage.show()
        await stage.look()
        assert stage.kube.object(POOL_NODES, NS, NODE) is None

    play(story)


def test_with_its_namespace_a_node_goes_at_once_and_nobody_is_drained_or_waited_for() -> None:
    """S7.1: the operator itself may be about to go, and then finalizers would hold the namespace for ever."""

    async def story(stage: Stage) -> None:
        await standing(stage)
        stage.kube.close_namespace(NS)
        held = stage.kube.object(PODS, NS, FIRST)
        assert held is not None
        await stage.kube.delete(PODS, NS, FIRST, uid=held["metadata"]["uid"], grace_seconds=0)
        await ask_to_leave(stage)
        stage.show()
        await stage.look()
        assert stage.kube.object(POOL_NODES, NS, NODE) is None
        assert stage.pods() == {}, "nobody has said that it is dead"
        assert stage.ledger.draining == set()

    play(story)


def test_a_namespace_that_nobody_lets_us_look_at_goes_the_slower_way() -> None:
    async def story(stage: Stage) -> None:
        uid = await standing(stage)
        stage.kube.close_namespace(NS)
        stage.kube.faults.fail("get", ForbiddenError("no", 403), kind="Namespace")
        await ask_to_leave(stage)
        stage.show()
        await stage.look()
        assert (stage.ledger.draining, stage.pods()) == ({uid}, {FIRST: False})

    play(story)


def test_a_pool_that_changes_wakes_its_nodes_and_one_whose_status_changes_does_not() -> None:
    async def story(stage: Stage) -> None:
        await standing(stage)
        woken: list[str] = []
        stage.controller.wire(lambda key: woken.append(key.name))
        stage.kube.set_status(POOLS, NS, "demo", currentDedicatedNodes=1)
        stage.show()
        assert woken == []
        await stage.kube.patch(POOLS, NS, "demo", [{"op": "add", "path": "/spec/image", "value": "other"}])
        stage.show()
        assert woken == [NODE]

    play(story)


def test_a_refusal_is_forgotten_once_the_pod_is_made() -> None:
    async def story(stage: Stage) -> None:
        stage.kube.faults.fail("create", ForbiddenError("exceeded quota: tight", 403), kind="Pod")
        stage.seed(stage.node(pod_generation=1, pod_name=FIRST))
        stage.show()
        await stage.look(2)
        assert stage.pods() == {FIRST: False}
        await stage.look()
        assert stage.status().get("errors", []) == []
        held = stage.kube.object(PODS, NS, FIRST)
        assert held is not None
        assert held["metadata"]["finalizers"] == [names.FINALIZER_POD]

    play(story)


def test_other_cas_wake_every_node_and_reach_its_pod_and_the_same_once_more_wakes_none() -> None:
    """S9.1: the pod's annotation is what its agent reads at the next connection."""

    async def story(stage: Stage) -> None:
        await standing(stage)
        woken: list[str] = []
        stage.controller.wire(lambda key: woken.append(key.name))
        for ca in ("CA", "CA+next", "CA+next"):
            stage.controller.use(NodePodSettings("image", "hub", 1, ca))
        assert woken == [NODE]
        await stage.look()
        held = stage.kube.object(PODS, NS, FIRST)
        assert held is not None
        assert held["metadata"]["annotations"][names.ANNOTATION_CA] == "CA+next"

    play(story)


def test_a_cluster_that_does_not_take_the_restart_rule_gets_pods_without_it() -> None:
    async def story(stage: Stage) -> None:
        sentence = (
            'Pod "demo-0000-1" is invalid: spec.containers[0].restartPolicyRules[0].action: '
            'Unsupported value: "RestartAllContainers": supported values: "Restart"'
        )
        stage.kube.faults.fail("create", InvalidError(sentence, 422), kind="Pod")
        stage.seed(stage.node(pod_generation=1, pod_name=FIRST))
        stage.show()
        await stage.look(2)
        pod = stage.kube.object(PODS, NS, FIRST)
        assert pod is not None
        assert not any("restartPolicyRules" in one for one in pod["spec"]["containers"])
        stage.controller.use(NodePodSettings("image", "hub", 1, "CA 2"))
        await stage.look()
        assert stage.status()["state"] == "Creating"

    play(story)
