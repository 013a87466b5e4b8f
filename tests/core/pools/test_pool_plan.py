"""What happens to a pool next: growing, shrinking, leaving, and what its status says."""

from cProfile import Profile

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.core.pools.situations import NOW, node, pool

from batchpools.api import names
from batchpools.core.conditions import find_condition
from batchpools.core.identity import Key
from batchpools.core.plan import Create, Delete, Plan, RemoveFinalizer
from batchpools.core.pools.order import in_order
from batchpools.core.pools.pool_plan import plan_pool
from batchpools.core.pools.resize import names_to_make
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.views import NodeError, PoolSpec, PoolStatus, PoolView

KEY = Key("Pool", "ns", "p")


def status_of(situation: PoolSituation) -> PoolStatus:
    status = plan_pool(situation, now=NOW).status
    assert status is not None
    return status


def test_a_pool_grows_by_the_lowest_free_names() -> None:
    plan = plan_pool(PoolSituation(pool(4), (node(1, state="Idle"),)), now=NOW)
    assert [effect.key.name for effect in plan.effects if isinstance(effect, Create)] == ["p-0000", "p-0002", "p-0003"]


def test_the_name_of_a_node_that_still_leaves_is_not_given_again() -> None:
    plan = plan_pool(PoolSituation(pool(1), (node(0, deleted=True),)), now=NOW)
    assert [effect.key.name for effect in plan.effects if isinstance(effect, Create)] == ["p-0001"]


def test_nodes_leave_broken_first_then_starting_then_idle_then_least_busy() -> None:
    nodes = [node(n, state=state) for n, state in enumerate(["Running", "Idle", "Starting", "Unusable", "Running"])]
    used = {"p-0000": 2, "p-0004": 1}
    order = [one.metadata.name for one in in_order(nodes, used)]
    assert order == ["p-0003", "p-0002", "p-0001", "p-0004", "p-0000"]


def test_a_deleted_pool_deletes_its_nodes_and_goes_when_none_is_left() -> None:
    first = plan_pool(PoolSituation(pool(deleted=True), (node(0), node(1, deleted=True))), now=NOW)
    assert first.effects == (Delete(Key("PoolNode", "ns", "p-0000"), "node-uid-0", "5"),)
    last = plan_pool(PoolSituation(pool(deleted=True)), now=NOW)
    assert last == Plan(effects=(RemoveFinalizer(KEY, "pool-uid", names.FINALIZER_POOL),))


def test_the_status_counts_nodes_by_state_and_names_what_is_wrong() -> None:
    broken = node(1, state="Unusable", errors=(NodeError(code="ImagePullFailed", message="no such image"),))
    status = status_of(PoolSituation(pool(2), (node(0, state="Idle"), broken), slots=(4, 0)))
    assert status.node_counts == {"idle": 1, "unusable": 1}
    degraded, ready = find_condition(status.conditions, "Degraded"), find_condition(status.conditions, "Ready")
    assert degraded is not None
    assert ready is not None
    assert (degraded.status, ready.status) == ("True", "True"), "one bad node of many does not make a pool unready"
    assert "no such image" in degraded.message


def test_the_status_names_the_image_of_the_task_container_in_either_form() -> None:
    tool = {"name": "tool", "image": "tool"}
    long = {"spec": {"containers": [tool, {"name": "task", "image": "work"}]}}
    for spec, image in ((PoolSpec(image="short"), "short"), (PoolSpec(template=long), "work")):
        assert status_of(PoolSituation(replace(pool(), spec=spec))).image == image


def test_a_pod_refused_by_quota_is_a_resize_error_and_one_refused_by_admission_stalls_the_pool() -> None:
    quota = node(0, state="Unusable", errors=(NodeError(code="AllocationFailed", message="exceeded quota: x"),))
    assert [error.code for error in status_of(PoolSituation(pool(), (quota,))).resize_errors] == [
        "AccountCoreQuotaReached"
    ]
    sentence = 'violates PodSecurity "restricted:latest"'
    refused = node(0, state="Unusable", errors=(NodeError(code="AllocationFailed", message=sentence),))
    stalled = find_condition(status_of(PoolSituation(pool(), (refused,))).conditions, "Stalled")
    assert stalled is not None
    assert (stalled.status, stalled.message) == ("True", sentence)


def test_a_bad_template_makes_no_nodes_and_says_why() -> None:
    container = {"name": "task", "image": "x"}
    bad = pool(image="", template={"spec": {"containers": [container], "securityContext": {"runAsUser": 64500}}})
    plan = plan_pool(PoolSituation(bad), now=NOW)
    assert plan.effects == ()
    stalled = find_condition(status_of(PoolSituation(bad)).conditions, "Stalled")
    assert stalled is not None
    assert "agent" in stalled.message


def test_applied_twice_the_second_plan_is_empty() -> None:
    nodes = (node(0, state="Idle"),)
    status = status_of(PoolSituation(pool(), nodes))
    assert plan_pool(PoolSituation(pool(status=status), nodes), now=NOW) == Plan()


@given(st.integers(0, 20), st.sets(st.integers(0, 15)), st.sets(st.integers(0, 15)))
def test_any_pool_reaches_its_target_and_never_has_more_than_that_staying(
    target: int, there: set[int], leaving: set[int]
) -> None:
    view: PoolView = pool(target)
    nodes = {n: node(n, state="Idle", deleted=n in leaving) for n in there}
    for _ in range(3):
        plan = plan_pool(PoolSituation(view, tuple(nodes.values())), now=NOW)
        for effect in plan.effects:
            assert isinstance(effect, Create | Delete)
            number = int(effect.key.name[-4:])
            if isinstance(effect, Create):
                assert number not in nodes, "a name is not given twice"
                nodes[number] = node(number, state="Idle")
            else:
                nodes.pop(number)
        assert sum(one.metadata.deletion_timestamp is None for one in nodes.values()) <= max(target, len(there))
    staying = [one for one in nodes.values() if one.metadata.deletion_timestamp is None]
    assert len(staying) == target


def test_names_are_the_lowest_that_are_free() -> None:
    assert names_to_make("p", {"p-0000", "p-0002"}, 3) == ["p-0001", "p-0003", "p-0004"]


def test_a_node_whose_deletion_the_cache_does_not_show_yet_is_not_there_any_more() -> None:
    nodes = (node(0, state="Idle"), node(1, state="Idle"))
    asked = frozenset({"node-uid-1"})
    plan = plan_pool(PoolSituation(pool(1), nodes, used_slots={"p-0001": 1}, leaving=asked), now=NOW)
    assert plan.effects == (), "the other one is not deleted as well, although it is the idle one now"
    assert plan.status is not None
    assert plan.status.node_counts == {"idle": 1, "leavingPool": 1}


def test_a_node_that_is_refused_is_a_resize_error_and_tried_again() -> None:
    plan = plan_pool(PoolSituation(pool(1), refusal="exceeded quota: nodes"), now=NOW)
    assert [type(effect) for effect in plan.effects] == [Create]
    assert plan.requeue_after == 15.0
    assert plan.status is not None
    assert [(one.code, one.message) for one in plan.status.resize_errors] == [
        ("AccountCoreQuotaReached", "exceeded quota: nodes")
    ]
    assert status_of(PoolSituation(pool(0), refusal="exceeded quota: nodes")).resize_errors == (), "nothing is wanted"


def test_a_pool_that_did_not_reach_its_target_is_not_ready_although_a_node_is_usable() -> None:
    refused = node(1, state="Unusable", errors=(NodeError(code="AllocationFailed", message="no room"),))
    status = status_of(PoolSituation(pool(2), (node(0, state="Idle"), refused)))
    ready = find_condition(status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason, ready.message) == ("False", "AllocationFailed", "no room")


def test_slots_alone_wait_for_their_turn_to_be_written() -> None:
    """S5.4: counters every 5 s, everything else at once."""
    nodes = (node(0, state="Idle"),)
    told = pool(1, status=status_of(PoolSituation(pool(1), nodes, slots=(4, 0))))
    early = plan_pool(PoolSituation(told, nodes, slots=(4, 1), used_slots={"p-0000": 1}, counts_due=False), now=NOW)
    assert (early.status, early.requeue_after) == (None, 5.0)
    due = plan_pool(PoolSituation(told, nodes, slots=(4, 1), used_slots={"p-0000": 1}), now=NOW)
    assert due.status is not None
    assert (due.status.task_slots.used, due.urgent) == (1, False)
    worse = (node(0, state="Unusable"),)
    at_once = plan_pool(PoolSituation(told, worse, slots=(4, 0), counts_due=False), now=NOW)
    assert at_once.status is not None
    assert (at_once.status.node_counts, at_once.urgent) == ({"unusable": 1}, True)


def test_a_large_pool_grows_in_steps() -> None:
    plan = plan_pool(PoolSituation(pool(120)), now=NOW)
    assert len(plan.effects) == 50
    assert plan.requeue_after == 1.0


def test_the_cost_of_a_plan_grows_with_the_nodes_and_not_with_their_square() -> None:
    def calls(count: int) -> int:
        nodes = tuple(node(n, state="Creating" if n % 2 else "Idle") for n in range(count))
        profile = Profile()
        profile.runcall(plan_pool, PoolSituation(pool(count), nodes), now=NOW)
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(400) < 6 * calls(100)
