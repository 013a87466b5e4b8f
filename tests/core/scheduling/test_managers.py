"""Job managers in the queue: first of their job, alone on a node if they ask for it, and what is ended for one that runs again."""

from typing import Any

import pytest

from batchpools.api.states import NodeFillType
from batchpools.core.scheduling.book import PoolBook, WaitingTask
from batchpools.core.scheduling.cycle import schedule
from batchpools.core.scheduling.displacement import Displacement, Holder, Occupied, displace
from batchpools.core.scheduling.ordering import MANAGER
from batchpools.core.scheduling.placement import Room

SPREAD, PACK = NodeFillType.SPREAD, NodeFillType.PACK


def manager(**how: Any) -> WaitingTask:
    told: dict[str, Any] = {"rank": MANAGER, "exclusive": True, **how}
    return WaitingTask(9.0, "boss", told.pop("slots", 1), **told)


def book(*tasks: WaitingTask, job: str = "j", priority: int = 0, into: PoolBook | None = None) -> PoolBook:
    made = into or PoolBook()
    for one in tasks:
        made.add(job, one, priority=priority, created=0.0, job_uid=job)
    return made


def ordinary(*uids: str) -> list[WaitingTask]:
    return [WaitingTask(float(age), uid, 1) for age, uid in enumerate(uids)]


def room(node: str, free: int, total: int = 2, **how: Any) -> Room:
    return Room(node, f"pod-{node}", total, free, **how)


def bound(waiting: PoolBook, *rooms: Room, fill: str = SPREAD) -> list[tuple[str, str]]:
    return [(one.task.uid, one.node) for one in schedule(waiting, rooms, fill)]


@pytest.mark.parametrize("fill", [SPREAD, PACK])
def test_it_goes_before_older_tasks_of_its_job_and_nothing_is_put_beside_it(fill: str) -> None:
    waiting = book(*ordinary("a", "b", "c"), manager())
    assert bound(waiting, room("n1", 2), room("n2", 2), fill=fill) == [("boss", "n1"), ("a", "n2"), ("b", "n2")]
    assert bound(waiting, room("n1", 0), room("n2", 0)) == []


def test_one_that_is_not_exclusive_is_a_task_like_others() -> None:
    waiting = book(*ordinary("a"), manager(exclusive=False))
    assert bound(waiting, room("n1", 2)) == [("boss", "n1"), ("a", "n1")]


def test_while_it_waits_for_an_empty_node_its_job_waits_and_others_do_not() -> None:
    waiting = book(*ordinary("a"), manager())
    book(*ordinary("x", "y"), job="other", priority=-1, into=waiting)
    assert bound(waiting, room("n1", 1)) == [("x", "n1")]
    assert (len(waiting), [one.name for one in waiting.managed()]) == (3, ["j"])
    assert bound(waiting, room("n1", 2), room("n2", 1)) == [("boss", "n1"), ("a", "n2")]


def test_when_it_goes_away_its_job_goes_on() -> None:
    waiting = book(*ordinary("a"), manager())
    assert bound(waiting, room("n1", 1)) == []
    waiting.remove("j", "boss")
    assert bound(waiting, room("n1", 1)) == [("a", "n1")]


def test_among_jobs_priority_is_as_ever() -> None:
    waiting = book(manager(exclusive=False))
    book(*ordinary("x"), job="other", priority=1, into=waiting)
    assert bound(waiting, room("n1", 1)) == [("x", "n1")]


def test_it_goes_to_a_dedicated_node_alone_if_it_says_so_and_holds_up_nobody_else() -> None:
    waiting = book(*ordinary("a"), manager(dedicated=True))
    book(*ordinary("x"), job="other", into=waiting)
    low = room("low", 2, is_dedicated=False)
    assert bound(waiting, low) == [("x", "low")]
    assert bound(waiting, room("n1", 2), low) == [("boss", "n1"), ("a", "low")]


def test_a_waiting_one_counts_with_a_whole_node() -> None:
    assert book(*ordinary("a"), manager(whole=4)).slots == 5
    assert book(manager(slots=4, whole=4)).slots == 4


def test_a_room_that_is_kept_for_it_is_for_nobody_else() -> None:
    waiting = book(*ordinary("x"), job="other")
    assert bound(waiting, room("n1", 2, kept_for="boss")) == []
    book(manager(), into=waiting)
    assert bound(waiting, room("n1", 2, kept_for="boss")) == [("boss", "n1")]


# ---------------------------------------------------------------- displacement


def holder(uid: str, job: str = "j", priority: int = 0, **how: Any) -> Holder:
    return Holder(uid, how.pop("slots", 1), job, priority, **how)


def node(name: str, *holders: Holder, total: int = 2, **how: Any) -> Occupied:
    return Occupied(room(name, total - sum(one.slots for one in holders), total, **how), holders)


def ended_for(waiting: PoolBook, *nodes: Occupied) -> tuple[str, ...] | None:
    (queue,) = [one for one in waiting.jobs() if one.name == "j"]
    found = displace(waiting, queue, nodes)
    return None if found is None else (found.pod_uid, *found.ended)


AGAIN = manager(again=True)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param([node("n1", holder("a")), node("n2", holder("b"), holder("c"))], ("pod-n1", "a"), id="least lost"),
        pytest.param(
            [node("n1", holder("x", "low", -1)), node("n2", holder("b"), holder("c"))],
            ("pod-n2", "b", "c"),
            id="its own job first",
        ),
        pytest.param(
            [node("n1", holder("x", "low", -1)), node("n2", holder("y", "high", 1))],
            ("pod-n1", "x"),
            id="then lower priority",
        ),
        pytest.param([node("n1", holder("x", "equal")), node("n2", holder("y", "high", 1))], None, id="never others"),
        pytest.param([node("n1", holder("a"), holder("x", "equal"))], None, id="not in part"),
        pytest.param([node("n1", holder("a", is_fixed=True))], None, id="what may not be ended"),
        pytest.param([node("n1", holder("x", "equal", is_ending=True))], ("pod-n1",), id="what ends anyway is awaited"),
        pytest.param([node("n1", holder("a"), kept_for="other")], None, id="another's node"),
    ],
)
def test_what_is_ended_for_an_exclusive_one_that_runs_again(nodes: Any, expected: Any) -> None:
    assert ended_for(book(AGAIN), *nodes) == expected


def test_for_one_that_is_not_exclusive_no_more_is_ended_than_it_needs_and_that_which_began_last() -> None:
    waiting = book(manager(exclusive=False, again=True))
    full = node("n1", holder("a", attempt_began=1.0), holder("b", attempt_began=2.0), holder("x", "equal"), total=3)
    assert ended_for(waiting, full) == ("pod-n1", "b")


def test_one_that_has_never_run_ends_nothing_nor_one_behind_a_higher_priority() -> None:
    assert ended_for(book(manager()), node("n1", holder("a"))) is None
    waiting = book(AGAIN)
    book(*ordinary("x"), job="high", priority=1, into=waiting)
    assert ended_for(waiting, node("n1", holder("a"))) is None


def test_a_node_where_it_could_not_run_is_spared() -> None:
    choosy = book(manager(again=True, dedicated=True, container="tool"))
    low = node("n1", holder("a"), is_dedicated=False, containers=frozenset({"tool"}))
    plain = node("n2", holder("b"))
    assert ended_for(choosy, low, plain) is None
    assert displace(
        choosy, choosy.jobs()[0], [node("n3", holder("c"), containers=frozenset({"tool"}))]
    ) == Displacement("pod-n3", ("c",))
