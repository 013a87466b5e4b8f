"""What `kubectl describe bpool` tells: one Event for each change that a person may want to know of, none for a task."""

from msgspec.structs import replace
from tests.core.pools.situations import NOW, node, pool
from tests.core.pools.test_allocation import REFUSED, Story, idle

from batchpools.core.pools.pool_plan import plan_pool
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.views import NodeError


def told(story: Story, seconds: float = 0) -> list[str]:
    """What the next look tells, which then is written."""
    situation = PoolSituation(story.view, story.nodes, used_slots=story.used)
    events = plan_pool(situation, now=story.now).events
    story.look(seconds)
    return [f"{'! ' if one.warning else ''}{one.reason}: {one.message}" for one in events]


def test_a_resize_is_told_when_it_begins_and_when_it_ends() -> None:
    story = Story(2, target_low_priority_nodes=1)
    assert told(story) == ["ResizeStarted: From 0 to 3 nodes, 1 of them low-priority."]
    assert told(story) == []
    story.nodes = (*idle(0, 1), node(0, state="Idle", is_dedicated=False))
    assert told(story) == ["ResizeCompleted: The pool has its 3 nodes, 1 of them low-priority."]
    story.ask(1, target_low_priority_nodes=0)
    assert told(story) == ["ResizeStarted: From 3 to 1 node."]


def test_an_error_is_told_once_and_so_is_a_stop() -> None:
    story = Story(2, *idle(0), node(1, state="Unusable", errors=REFUSED))
    assert told(story) == [
        "ResizeStarted: From 2 to 2 nodes.",
        "! AccountCoreQuotaReached: pods is forbidden: exceeded quota: compute",
        "! NodesFaulty: 1 Unusable. pods is forbidden: exceeded quota: compute",
    ]
    assert told(story) == []
    story.nodes = idle(0)
    story.ask(stop="a")
    told(story)
    assert told(story) == ["ResizeStopped: The resize was stopped as spec.stopResize asked."]


def test_tasks_and_slots_are_not_told() -> None:
    story = Story(1, *idle(0))
    told(story)
    story.used = {"p-0000": 1}
    assert told(story) == []


def test_broken_nodes_are_told_when_the_first_one_breaks() -> None:
    story = Story(2, *idle(0, 1))
    story.look()
    broken = (NodeError(code="ImagePullFailed", message="no such image"),)
    story.nodes = (*idle(0), node(1, state="Unusable", errors=broken))
    assert told(story) == ["! NodesFaulty: 1 Unusable. no such image"]
    story.nodes = tuple(node(number, state="Unusable", errors=broken) for number in (0, 1))
    assert told(story) == []


def test_a_pool_that_goes_says_so_once() -> None:
    doomed = pool(1, deleted=True)
    first = plan_pool(PoolSituation(doomed, idle(0)), now=NOW)
    assert [one.reason for one in first.events] == ["PoolDeleting"]
    assert first.status is not None
    again = plan_pool(PoolSituation(replace(doomed, status=first.status), idle(0)), now=NOW)
    assert again.events == ()
