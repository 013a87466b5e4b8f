"""Where a pool is in its resize: what is told follows from what is there, what was told, and how long ago."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.pools.situations import NOW, node, pool

from batchpools.core.plan import Create, Delete
from batchpools.core.pools.pool_plan import plan_pool
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.views import NodeError, PoolNodeView, PoolStatus, PoolView, StopResize

REFUSED = (NodeError(code="AllocationFailed", message="pods is forbidden: exceeded quota: compute"),)


class Story:
    """A pool over time: `look` writes what the plan says of it."""

    def __init__(self, target: int, *nodes: PoolNodeView, **spec: Any) -> None:
        self.now = NOW
        self.view: PoolView = pool(target, **spec)
        self.nodes = nodes
        self.used: dict[str, int] = {}
        self.made: list[str] = []
        self.deleted: list[str] = []
        self.again: float | None = None

    def look(self, seconds: float = 0) -> PoolStatus:
        """The pool's status after a while."""
        self.now += timedelta(seconds=seconds)
        plan = plan_pool(PoolSituation(self.view, self.nodes, used_slots=self.used), now=self.now)
        self.made = [one.key.name for one in plan.effects if isinstance(one, Create)]
        self.deleted = [one.key.name for one in plan.effects if isinstance(one, Delete)]
        self.again = plan.requeue_after
        if plan.status is not None:
            self.view = replace(self.view, status=plan.status)
        return self.view.status

    def ask(self, target: int | None = None, stop: str = "", **spec: Any) -> None:
        """The user changes the spec."""
        more = {"target_dedicated_nodes": target} if target is not None else {}
        request = {"stop_resize": StopResize(request_id=stop)} if stop else {}
        self.view = replace(self.view, spec=replace(self.view.spec, **more, **request, **spec))


def codes(status: PoolStatus) -> list[str]:
    return [one.code for one in status.resize_errors]


def idle(*numbers: int) -> tuple[PoolNodeView, ...]:
    return tuple(node(number, state="Idle") for number in numbers)


def test_a_pool_resizes_until_every_node_has_a_machine() -> None:
    story = Story(2)
    assert (story.look().allocation_state, story.view.status.allocation_state_transition_time) == ("Resizing", NOW)
    story.nodes = (*idle(0), node(1, state="Creating"))
    assert story.look(10).allocation_state == "Resizing"
    assert story.again == 890.0, "it is looked at when its time is over"
    story.nodes = (*idle(0), node(1, state="Starting"))
    status = story.look(10)
    assert (status.allocation_state, status.resize_errors) == ("Steady", ())
    assert status.allocation_state_transition_time == NOW + timedelta(seconds=20)


def test_a_resize_that_takes_too_long_has_failed_and_goes_on_trying() -> None:
    story = Story(2, *idle(0), resize_timeout="1m")
    story.look()
    assert story.look(59).allocation_state == "Resizing"
    status = story.look(1)
    assert (status.allocation_state, codes(status)) == ("Steady", ["AllocationTimedOut"])
    assert status.resize_errors[0].message == "After 1m 1 of 2 nodes are there."
    assert story.made == ["p-0001"]
    assert story.look(600).allocation_state == "Steady"
    story.nodes = idle(0, 1)
    status = story.look()
    assert (status.allocation_state, codes(status)) == ("Steady", [])


def test_another_target_begins_the_time_anew_and_forgets_the_failure() -> None:
    story = Story(2, *idle(0), resize_timeout="1m")
    story.look()
    story.look(30)
    story.ask(3)
    assert story.look(20).allocation_state_transition_time == NOW + timedelta(seconds=50)
    assert story.look(50).allocation_state == "Resizing"
    assert codes(story.look(20)) == ["AllocationTimedOut"]
    story.ask(1)
    status = story.look()
    assert (status.allocation_state, codes(status), story.deleted) == ("Steady", [], [])


def test_a_refused_pod_is_an_error_at_once_and_its_sentence_stays_when_the_time_is_over() -> None:
    story = Story(2, *idle(0), node(1, state="Unusable", errors=REFUSED), resize_timeout="1m")
    status = story.look()
    assert (status.allocation_state, codes(status)) == ("Resizing", ["AccountCoreQuotaReached"])
    assert codes(story.look(60)) == ["AccountCoreQuotaReached", "AllocationTimedOut"]


def test_a_refused_low_priority_pod_has_the_code_of_its_quota() -> None:
    refused = node(0, state="Unusable", errors=REFUSED, is_dedicated=False)
    assert codes(Story(0, refused, target_low_priority_nodes=1).look()) == ["AccountLowPriorityCoreQuotaReached"]


def test_what_is_still_leaving_keeps_the_pool_resizing() -> None:
    story = Story(1, *idle(0), node(1, state="Running", pod_uid="pod-1", marked=True), resize_timeout="1m")
    story.used = {"p-0001": 1}
    story.ask(node_deallocation_option="TaskCompletion")
    status = story.look()
    assert (status.allocation_state, status.current_dedicated_nodes) == ("Resizing", 1)
    assert status.node_counts == {"idle": 1, "leavingPool": 1}
    assert story.look(60).resize_errors[0].message == "After 1m 1 of 1 nodes are there, and 1 are still leaving."
    assert story.deleted == [], "the time of a resize kills nothing"


def test_a_stopped_resize_keeps_what_is_there_and_is_answered_once() -> None:
    story = Story(4, *idle(0, 1), node(2, state="Creating"))
    story.look()
    story.ask(stop="a")
    status = story.look(5)
    assert (status.allocation_state, status.target_dedicated_nodes) == ("Stopping", 2)
    assert status.last_action is not None
    assert (status.last_action.request_id, status.last_action.result) == ("a", "Stopped")
    assert (story.made, story.deleted) == ([], ["p-0002"]), "what has no machine is given up"
    story.nodes = idle(0, 1)
    status = story.look()
    assert (status.allocation_state, codes(status), story.made) == ("Steady", ["ResizeStopped"], [])
    assert story.look(86400) == status, "it stays so"


def test_it_goes_on_when_the_target_changes() -> None:
    story = Story(4, *idle(0, 1))
    story.look()
    story.ask(stop="a")
    story.look()
    story.look()
    story.ask(3)
    status = story.look()
    assert (status.allocation_state, codes(status), status.stopped_resize) == ("Resizing", [], None)
    assert story.made == ["p-0002"]
    story.ask(4)
    story.look()
    assert story.made == ["p-0002", "p-0003"], "also back to the target that was given up"


def test_a_stopped_pool_replaces_a_node_that_goes() -> None:
    story = Story(4, *idle(0, 1))
    story.look()
    story.ask(stop="a")
    story.look()
    story.look()
    story.nodes = idle(1)
    status = story.look()
    assert (status.allocation_state, codes(status), story.made) == ("Resizing", ["ResizeStopped"], ["p-0000"])


def test_stopping_a_shrink_takes_back_what_was_to_finish_its_tasks() -> None:
    story = Story(1, *idle(0), node(1, state="Running", pod_uid="pod-1", marked=True))
    story.used = {"p-0001": 1}
    story.ask(node_deallocation_option="TaskCompletion")
    story.look()
    story.ask(stop="a")
    assert story.look().target_dedicated_nodes == 2
    story.nodes = idle(0, 1)
    assert story.look().allocation_state == "Steady"


@pytest.mark.parametrize("is_fresh", [True, False])
def test_where_nothing_resizes_a_stop_is_answered_and_does_nothing(is_fresh: bool) -> None:
    story = Story(1, *idle(0))
    if not is_fresh:
        story.look()
    story.ask(stop="a")
    story.nodes = () if is_fresh else story.nodes
    status = story.look()
    assert status.last_action is not None
    assert (status.last_action.result, status.target_dedicated_nodes) == ("NothingToStop", 1)
    assert status.stopped_resize is None


def test_a_target_that_comes_with_a_stop_is_newer_than_what_it_stops() -> None:
    story = Story(4, *idle(0, 1))
    story.look()
    story.ask(3, stop="a")
    status = story.look()
    assert (status.allocation_state, status.target_dedicated_nodes) == ("Resizing", 3)
    assert status.last_action is not None
    assert status.last_action.result == "NothingToStop"


def test_a_preempted_node_is_there_and_makes_no_resize() -> None:
    lost = node(0, state="Preempted", is_dedicated=False, errors=(NodeError(code="Preempted", message="it was"),))
    status = Story(0, lost, target_low_priority_nodes=1).look()
    assert (status.allocation_state, status.current_low_priority_nodes, codes(status)) == ("Steady", 1, [])
    assert (status.target_nodes, status.current_nodes, status.current_dedicated_nodes) == (1, 1, 0)
