"""Which nodes a pool makes, takes back and lets go, under each option."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.pools.situations import NOW, node, pool

from batchpools.api import names
from batchpools.api.states import NodeDeallocationOption
from batchpools.core.plan import Annotate, CordonNodes, Create, Delete
from batchpools.core.pools.order import in_order
from batchpools.core.pools.pool_plan import plan_pool
from batchpools.core.pools.resize import Moves, next_step
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.target import Target
from batchpools.core.views import NodeAction, PoolNodeSpec, PoolNodeView

REQUEUE, TERMINATE, TASK_COMPLETION, RETAINED_DATA = NodeDeallocationOption


def there(number: int, state: str = "Idle", **more: Any) -> PoolNodeView:
    return node(number, state=state, pod_uid=f"pod-{number}", **more)


def step(situation: PoolSituation, target: Target) -> dict[str, list[str]]:
    found: Moves = next_step(situation, target)
    told = {"keep": found.keep, "mark": found.mark, "delete": found.delete}
    words = {word: [one.metadata.name[-1] for one in nodes] for word, nodes in told.items()}
    return {**words, "make": [f"{name[-1]}{'' if dedicated else ' low'}" for name, dedicated in found.make]}


def nothing(**more: list[str]) -> dict[str, list[str]]:
    return {"keep": [], "mark": [], "delete": [], "make": [], **more}


def test_the_order_is_broken_offline_starting_idle_least_busy_and_of_equals_the_newest() -> None:
    states = ["Running", "Idle", "Starting", "Offline", "Unusable", "Running", "Idle", "Preempted", "StartTaskFailed"]
    nodes = [there(number, state) for number, state in enumerate(states)]
    used = {"p-0000": 2, "p-0005": 1}
    assert [int(one.metadata.name[-1]) for one in in_order(nodes, used)] == [8, 7, 4, 3, 2, 6, 1, 5, 0]


def test_a_node_whose_removal_is_asked_for_leaves_first() -> None:
    action = NodeAction(type="Remove", request_id="1")
    asked = there(0, "Running", spec=PoolNodeSpec(pool_name="p", action=action))
    order = in_order([asked, there(1, "Unusable"), there(2, "Idle")], {"p-0000": 2})
    assert [one.metadata.name[-1] for one in order] == ["0", "1", "2"]


def test_nodes_with_a_job_manager_leave_last_by_whatever_option_and_stay_first_when_a_pool_grows_again() -> None:
    nodes = (there(0, "Running"), there(1, "Running"), there(2, "Running"), there(3, "Idle"))
    facts: dict[str, Any] = {"used_slots": {"p-0000": 4, "p-0001": 4, "p-0002": 1}, "managing": frozenset({"p-0002"})}
    assert [one.metadata.name[-1] for one in in_order(nodes, **facts)] == ["3", "1", "0", "2"]
    for option in NodeDeallocationOption:
        found = next_step(PoolSituation(pool(), nodes, **facts), Target(1, 0, option))
        assert sorted(one.metadata.name[-1] for one in (*found.delete, *found.mark)) == ["0", "1", "3"]
    marked = {node.metadata.uid: True for node in nodes}
    assert step(PoolSituation(pool(), nodes, marks=marked, **facts), Target(1, 0, TASK_COMPLETION))["keep"] == ["2"]


def test_what_the_book_says_counts_and_not_what_status_says() -> None:
    nodes = [there(0, "Idle"), there(1, "Running"), there(2, "Unusable")]
    order = in_order(nodes, {"p-0000": 1, "p-0002": 1})
    assert [one.metadata.name[-1] for one in order] == ["1", "2", "0"]


@pytest.mark.parametrize("option", [REQUEUE, TERMINATE])
def test_what_is_killed_is_deleted_at_once(option: NodeDeallocationOption) -> None:
    situation = PoolSituation(pool(), (there(0), there(1)), used_slots={"p-0000": 1, "p-0001": 1})
    assert step(situation, Target(0, 0, option)) == nothing(delete=["1", "0"])


def test_what_is_awaited_is_marked_and_the_idle_goes_at_once() -> None:
    situation = PoolSituation(pool(), (there(0), there(1)), used_slots={"p-0001": 1})
    assert step(situation, Target(0, 0, TASK_COMPLETION)) == nothing(delete=["0"], mark=["1"])
    assert step(situation, Target(0, 0, RETAINED_DATA)) == nothing(mark=["0", "1"])


def test_a_marked_node_goes_when_its_tasks_have_ended_or_when_they_are_killed_after_all() -> None:
    marks = {"node-uid-0": True, "node-uid-1": True}
    busy = PoolSituation(pool(), (there(0), there(1)), used_slots={"p-0001": 1}, marks=marks)
    assert step(busy, Target(0, 0, TASK_COMPLETION)) == nothing(delete=["0"])
    assert step(busy, Target(0, 0, RETAINED_DATA)) == nothing(), "the node itself waits for what is retained"
    assert step(busy, Target(0, 0, REQUEUE)) == nothing(delete=["0", "1"])


def test_growing_takes_marked_nodes_back_first_the_busiest_of_them() -> None:
    marks = {"node-uid-0": True, "node-uid-1": True}
    situation = PoolSituation(pool(), (there(0), there(1)), used_slots={"p-0000": 1, "p-0001": 2}, marks=marks)
    assert step(situation, Target(1, 0, TASK_COMPLETION)) == nothing(keep=["1"])
    assert step(situation, Target(3, 0, TASK_COMPLETION)) == nothing(keep=["0", "1"], make=["2"])


def test_the_sorts_are_counted_apart() -> None:
    situation = PoolSituation(pool(), (there(0), there(1, is_dedicated=False), there(2, is_dedicated=False)))
    assert step(situation, Target(2, 1)) == nothing(make=["1"], delete=["2"])
    assert step(situation, Target(0, 3)) == nothing(make=["0 low"], delete=["0"])


def test_the_first_effect_of_leaving_keeps_new_tasks_away() -> None:
    situation = PoolSituation(
        pool(0, node_deallocation_option="TaskCompletion"), (there(0), there(1)), used_slots={"p-0001": 1}
    )
    plan = plan_pool(situation, now=NOW)
    assert plan.effects[0] == CordonNodes("ns", "p", frozenset({"pod-0", "pod-1"}))
    delete, mark = plan.effects[1:]
    assert isinstance(delete, Delete)
    assert isinstance(mark, Annotate)
    assert (mark.key.name, mark.name, mark.value) == ("p-0001", names.ANNOTATION_LEAVING, "true")


def test_what_is_taken_back_gets_tasks_again() -> None:
    leaving = PoolSituation(
        pool(1, node_deallocation_option="TaskCompletion"),
        (there(0),),
        used_slots={"p-0000": 1},
        marks={"node-uid-0": True},
        cordoned=frozenset({"pod-0"}),
    )
    cordon, keep = plan_pool(leaving, now=NOW).effects
    assert cordon == CordonNodes("ns", "p", frozenset())
    assert isinstance(keep, Annotate)
    assert keep.value == "false"


def test_a_mark_that_was_written_counts_although_the_cache_shows_it_later() -> None:
    situation = PoolSituation(pool(), (there(0), there(1)), marks={"node-uid-1": True}, used_slots={"p-0001": 1})
    assert step(situation, Target(1, 0, TASK_COMPLETION)) == nothing()


@st.composite
def pools(draw: st.DrawFn) -> tuple[PoolSituation, Target]:
    count = draw(st.integers(0, 8))
    states = st.sampled_from(["Idle", "Running", "Starting", "Unusable", "Creating", "Preempted"])
    nodes = tuple(
        node(
            number,
            deleted=draw(st.booleans()) and draw(st.booleans()),
            state=draw(states),
            pod_uid=draw(st.sampled_from(["", f"pod-{number}"])),
            is_dedicated=draw(st.booleans()),
        )
        for number in range(count)
    )
    used = {one.metadata.name: draw(st.integers(0, 3)) if one.status.pod_uid else 0 for one in nodes}
    marks = {one.metadata.uid: draw(st.booleans()) for one in nodes}
    target = Target(draw(st.integers(0, 6)), draw(st.integers(0, 6)), draw(st.sampled_from(NodeDeallocationOption)))
    return PoolSituation(pool(), nodes, used_slots=used, marks=marks), target


@given(pools())
def test_a_step_reaches_the_target_spares_the_busy_and_kills_nothing_that_is_awaited(
    drawn: tuple[PoolSituation, Target],
) -> None:
    situation, target = drawn
    found = next_step(situation, target)
    going = {one.metadata.uid for one in (*found.mark, *found.delete)}
    for is_dedicated, wanted in ((True, target.dedicated), (False, target.low_priority)):
        before = situation.staying_of(is_dedicated)
        stay = [one for one in before if one.metadata.uid not in going]
        kept = [one for one in found.keep if one.spec.is_dedicated == is_dedicated]
        made = [name for name, sort in found.make if sort == is_dedicated]
        assert len(stay) + len(kept) + len(made) == wanted
        assert not made or len(kept) == len(situation.marked_of(is_dedicated)), "what leaves is taken back first"
        left = [one for one in before if one.metadata.uid in going]
        idle = [one for one in stay if not situation.used_slots[one.metadata.name]]
        assert not idle or not any(situation.used_slots[one.metadata.name] for one in left)
    if target.option in {TASK_COMPLETION, RETAINED_DATA}:
        assert not any(situation.used_slots[one.metadata.name] for one in found.delete)
    made_names = [name for name, _ in found.make]
    assert len(set(made_names)) == len(made_names)
    assert not set(made_names) & {one.metadata.name for one in situation.nodes}


def test_a_late_cache_has_the_same_nodes_made_again_and_no_others() -> None:
    """What was made comes back as AlreadyExists, whichever sort is shown first."""
    asked, empty = Target(2, 2), PoolSituation(pool())
    first = next_step(empty, asked).make
    shown = next_step(PoolSituation(pool(), (there(0),)), asked).make
    assert set(shown) < set(first)


def test_a_low_priority_node_is_made_as_one() -> None:
    (create,) = plan_pool(PoolSituation(pool(0, target_low_priority_nodes=1)), now=NOW).effects
    assert isinstance(create, Create)
    assert (create.key.name, create.manifest["spec"]) == ("p-l0000", {"poolName": "p", "isDedicated": False})
