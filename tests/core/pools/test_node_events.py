"""What is told of a node in Events: that local data is lost with a pod that nobody asked to be replaced."""

from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.pools.situations import DEAD, NOW, node, pod, pool, situation

from batchpools.api import names
from batchpools.core.plan import Plan
from batchpools.core.pools.node_events import pod_lost
from batchpools.core.pools.node_plan import plan_node
from batchpools.core.pools.pod_hash import pod_hash
from batchpools.core.views import (
    LastNodeAction,
    NodeAction,
    PodCondition,
    PodView,
    PoolNodeSpec,
    PoolNodeStatus,
    PoolNodeView,
)

BEGAN: dict[str, Any] = {"pod_generation": 1, "pod_name": "p-0000-1", "pod_uid": "uid-p-0000-1", "boot_id": "boot"}
LOST = "Pod p-0000-1 has ended{}: what tasks had left on the node is lost. It keeps its name and gets another pod."


def ended(*conditions: PodCondition, message: str = "") -> PodView:
    view = pod(task=DEAD, deleted=True, phase="Failed")
    return replace(view, status=replace(view.status, conditions=conditions, message=message))


def told(plan: Plan[PoolNodeStatus]) -> list[str]:
    return [one.message for one in plan.events if one.reason == "LocalDataLost" and one.warning]


@pytest.mark.parametrize(
    ("present", "why"),
    [
        (ended(message="The node was low on resource: memory."), " (The node was low on resource: memory.)"),
        (
            ended(PodCondition("DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting")),
            " (Eviction API: evicting)",
        ),
        (ended(), ""),
    ],
    ids=["the kubelet evicts it", "it is drained", "somebody deletes it"],
)
def test_that_a_pod_was_taken_is_told_once_when_the_next_one_is_due(present: PodView, why: str) -> None:
    waits = plan_node(situation(node(**BEGAN), present), now=NOW)
    assert told(waits) == []
    due = plan_node(situation(node(**BEGAN), present, released=True), now=NOW)
    assert told(due) == [LOST.format(why)]
    assert due.status is not None
    view = replace(node(), status=due.status)
    assert told(plan_node(situation(view, other_pods=(present,)), now=NOW)) == []
    assert told(plan_node(situation(view), now=NOW)) == []


def test_that_somebody_took_its_object_away_is_told_too() -> None:
    plan = plan_node(situation(node(**BEGAN), None, released=True, drained=True), now=NOW)
    assert told(plan) == [LOST.format("")]


def acting(type_: str) -> PoolNodeView:
    spec = PoolNodeSpec(pool_name="p", action=NodeAction(type=type_, request_id="1"))
    return node(spec=spec, last_action=LastNodeAction(request_id="1", type=type_, result="InProgress"), **BEGAN)


def test_of_what_was_asked_for_nobody_is_told_but_of_a_reboot_that_had_to_be_a_new_pod() -> None:
    renewed = pool(image="new")
    marked = node(template_hash="old", **BEGAN)
    mark = {names.ANNOTATION_RENEW: pod_hash(renewed.spec)}
    marked = replace(marked, metadata=replace(marked.metadata, annotations=mark))
    assert pod_lost(marked, renewed, ended()) == ()
    assert pod_lost(acting("Reimage"), pool(), ended()) == ()
    assert pod_lost(node(marked=True, **BEGAN), pool(), ended()) == ()
    assert pod_lost(node(deleted=True, **BEGAN), pool(), ended()) == ()
    assert len(pod_lost(acting("Reboot"), pool(), ended())) == 1


def test_a_pod_that_never_began_had_nothing() -> None:
    assert pod_lost(node(**{**BEGAN, "boot_id": ""}), pool(), ended()) == ()
