"""A changed template rolls the nodes of a pool: which, when, how many at a time, and what takes it back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.core.pools.situations import NOW, READY, RUNNING, SETTINGS, node, pod, pool, situation

from batchpools.api import names
from batchpools.api.reasons import RequeueReason
from batchpools.api.states import NodeDeallocationOption
from batchpools.core.conditions import find_condition
from batchpools.core.identity import Key
from batchpools.core.plan import Annotate, Delete, DrainNode, ResumeNode
from batchpools.core.pools.emptying import emptied_by
from batchpools.core.pools.node_plan import plan_node
from batchpools.core.pools.node_pod import create_pod
from batchpools.core.pools.pod_hash import pod_hash
from batchpools.core.pools.pool_plan import plan_pool
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.upgrade import is_outdated, nodes_to_renew
from batchpools.core.views import PodView, PoolNodeView, PoolView, StartTask, UpgradePolicy

OLD = pool(3)
NEW = pool(3, image="y")
SEEN: dict[str, Any] = {"pod_generation": 1, "pod_name": "p-0000-1", "pod_uid": "uid-p-0000-1"}


def old_node(number: int = 0, state: str = "Idle", *, marked_for: PoolView | None = None) -> PoolNodeView:
    """A node with a pod of the old template."""
    view = node(number, pod_uid=f"uid-p-{number:04d}-1", state=state, template_hash=pod_hash(OLD.spec))
    if marked_for is None:
        return view
    marks = {names.ANNOTATION_RENEW: pod_hash(marked_for.spec)}
    return replace(view, metadata=replace(view.metadata, annotations=marks))


def old_pod() -> PodView:
    return pod(task=RUNNING, ca={names.ANNOTATION_CA: SETTINGS.ca, names.ANNOTATION_TEMPLATE_HASH: pod_hash(OLD.spec)})


def renewed(view: PoolView, *nodes: PoolNodeView, **used: int) -> list[str]:
    return [one.metadata.name for one in nodes_to_renew(view, nodes, used)]


def test_a_node_with_a_job_manager_is_renewed_after_those_of_the_same_use() -> None:
    nodes = [old_node(0, "Running"), old_node(1, "Running")]
    used = {"p-0000": 1, "p-0001": 2}
    assert [one.metadata.name for one in nodes_to_renew(NEW, nodes, used)] == ["p-0000"]
    assert [one.metadata.name for one in nodes_to_renew(NEW, nodes, used, managing={"p-0000"})] == ["p-0001"]


@pytest.mark.parametrize(
    ("changed", "rolls"),
    [
        ({"image": "y"}, True),
        ({"resources": {"limits": {"cpu": "1"}}}, True),
        ({"node_disk_size": "1Gi"}, True),
        ({"task_slots_per_node": 2}, True),
        ({"start_task": StartTask(command=("true",))}, False),
        ({"drain_timeout": "1m"}, False),
        ({"node_unreachable_timeout": "1m"}, False),
    ],
    ids=str,
)
def test_what_makes_the_pod_rolls_nodes_and_a_changed_start_task_does_not(changed: dict[str, Any], rolls: bool) -> None:
    view = pool(1, **changed)
    assert is_outdated(old_node(), view) == rolls
    stamp = create_pod(view, node(), 1, SETTINGS).manifest["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_HASH]
    assert stamp == pod_hash(view.spec)


def test_one_node_at_a_time_idle_ones_first() -> None:
    nodes = [old_node(0, "Running"), old_node(1), old_node(2)]
    assert renewed(NEW, *nodes, **{"p-0000": 1}) == ["p-0002"]
    assert renewed(NEW, *nodes[:2], old_node(2, marked_for=NEW)) == [], "one is on its way"
    assert renewed(NEW, *nodes[:2], node(2, state="Starting", pod_uid="u", template_hash=pod_hash(NEW.spec))) == []
    assert nodes_to_renew(NEW, nodes, {}, {"node-uid-1"}) == [], "nor before the cache shows its mark"


def test_a_broken_node_is_renewed_at_once_so_that_a_corrected_template_reaches_it() -> None:
    broken = [old_node(0, "Unusable"), old_node(1, "StartTaskFailed")]
    assert renewed(NEW, *broken, old_node(2)) == ["p-0000", "p-0001"]


def test_nodes_that_are_silent_are_left_alone_and_count_as_out_of_use() -> None:
    """A leader that hears nobody must not renew everybody."""
    assert renewed(NEW, old_node(0, "Disconnected"), old_node(1, "Unknown"), old_node(2)) == []


def test_a_manual_pool_leaves_its_nodes_as_they_are_and_says_so() -> None:
    manual = pool(1, image="y", upgrade_policy=UpgradePolicy(mode="Manual"))
    assert renewed(manual, old_node()) == []
    status = plan_pool(PoolSituation(manual, (old_node(),)), now=NOW).status
    assert status is not None
    told = find_condition(status.conditions, "Reconciling")
    assert told is not None
    assert (told.status, "Manual" in told.message) == ("False", True)


def test_the_pool_marks_a_node_and_says_that_it_is_upgrading() -> None:
    plan = plan_pool(PoolSituation(pool(1, image="y"), (old_node(),)), now=NOW)
    key = Key("PoolNode", "ns", "p-0000")
    assert plan.effects == (Annotate(key, "node-uid-0", names.ANNOTATION_RENEW, pod_hash(NEW.spec), first=True),)
    assert plan.status is not None
    told = find_condition(plan.status.conditions, "Reconciling")
    assert told is not None
    assert (told.status, told.reason) == ("True", "Upgrading")


def test_a_template_that_is_refused_rolls_nobody() -> None:
    bad = pool(1, image="", template={"spec": {"containers": [{"name": "task", "image": "y"}], "hostPID": True}})
    assert plan_pool(PoolSituation(bad, (old_node(),)), now=NOW).effects == ()


@pytest.mark.parametrize("option", list(NodeDeallocationOption))
def test_a_marked_node_is_emptied_by_the_pools_option_and_then_its_pod_goes(option: NodeDeallocationOption) -> None:
    view = pool(1, image="y", node_deallocation_option=option)
    marked = replace(old_node(marked_for=view), status=replace(old_node().status, **SEEN))
    assert emptied_by(marked, view) == option, "a next leader judges the runs alike"
    first = plan_node(situation(marked, old_pod(), pool=view, report=READY), now=NOW)
    assert first.effects == (DrainNode("uid-p-0000-1", RequeueReason.NODE_UPGRADED, option),)
    assert first.status is not None
    assert first.status.state == "UpgradingOS"
    then = plan_node(situation(marked, old_pod(), pool=view, report=READY, draining=True, drained=True), now=NOW)
    assert [type(one) for one in then.effects] == [Delete]


def test_a_template_that_is_changed_back_takes_the_mark_back() -> None:
    marked = replace(old_node(marked_for=NEW), status=replace(old_node().status, **SEEN))
    assert emptied_by(marked, OLD) is None
    plan = plan_node(situation(marked, old_pod(), pool=OLD, report=READY, draining=True), now=NOW)
    assert plan.effects == (ResumeNode("uid-p-0000-1"),)


def test_a_new_pod_is_never_taken_for_an_outdated_one() -> None:
    """Between the number of the next pod and that pod nothing is known of it."""
    fresh = node(0, pod_generation=2, pod_name="p-0000-2", state="Creating")
    assert not is_outdated(fresh, NEW)


@given(
    states=st.lists(
        st.sampled_from(["Idle", "Running", "Unusable", "Starting", "UpgradingOS"]), min_size=1, max_size=12
    ),
    new=st.sets(st.integers(0, 11)),
    most=st.integers(1, 4),
)
def test_no_working_node_is_taken_beyond_what_may_be_out_of_use(states: list[str], new: set[int], most: int) -> None:
    view = pool(len(states), image="y", upgrade_policy=UpgradePolicy(max_unavailable=most))
    wanted = {True: pod_hash(view.spec), False: pod_hash(OLD.spec)}
    nodes = [node(n, state=state, pod_uid="u", template_hash=wanted[n in new]) for n, state in enumerate(states)]
    chosen = nodes_to_renew(view, nodes, {})
    away = sum(one.status.state not in {"Idle", "Running"} for one in nodes)
    assert sum(one.status.state == "Starting" for one in chosen) <= most
    working = [one for one in chosen if one.status.state in {"Idle", "Running"}]
    assert len(working) <= max(most - away, 0)
    assert all(is_outdated(one, view) for one in chosen)
    left = [one for one in nodes if is_outdated(one, view) and one not in chosen and one.status.state == "Idle"]
    assert not left or away + len(working) >= most, "nobody waits without need"
