"""The scheduling cycle on small pools: priority, equal chance, age, Spread and Pack."""

import pytest

from batchpools.api.states import NodeFillType
from batchpools.core.scheduling.book import PoolBook, WaitingTask
from batchpools.core.scheduling.cycle import schedule
from batchpools.core.scheduling.placement import Room, place

SPREAD, PACK = NodeFillType.SPREAD, NodeFillType.PACK


def room(node: str, free: int, total: int = 4) -> Room:
    return Room(node, f"pod-{node}", total, free)


def book(*tasks: tuple[str, str], priorities: dict[str, int] | None = None, slots: int = 1) -> PoolBook:
    """Tasks as (job, uid), each a second younger than the one before."""
    made = PoolBook()
    for age, (job, uid) in enumerate(tasks):
        priority = (priorities or {}).get(job, 0)
        made.add(job, WaitingTask(float(age), uid, slots), priority=priority, created=0.0, job_uid=job)
    return made


def bound(waiting: PoolBook, *rooms: Room, fill: str = SPREAD) -> list[tuple[str, str]]:
    return [(one.task.uid, one.node) for one in schedule(waiting, rooms, fill)]


def test_nothing_is_bound_where_nothing_is_free() -> None:
    waiting = book(("j", "a"))
    assert bound(waiting, room("n1", 0)) == []
    assert bound(waiting) == []
    assert len(waiting) == 1


def test_higher_priority_goes_first_and_older_tasks_before_younger() -> None:
    waiting = book(("low", "l1"), ("high", "h1"), ("high", "h2"), ("low", "l2"), priorities={"high": 10})
    assert [uid for uid, _ in bound(waiting, room("n", 3))] == ["h1", "h2", "l1"]


def test_a_task_goes_only_where_its_container_is_and_holds_nobody_up_meanwhile() -> None:
    """During an upgrade the pods of before do not have it."""
    waiting = PoolBook()
    for age, (uid, container) in enumerate([("a", "tool"), ("b", "task"), ("c", "tool"), ("d", "task")]):
        waiting.add("j", WaitingTask(float(age), uid, 1, container=container), priority=0, created=0.0, job_uid="j")
    old, new = room("old", 2), Room("new", "pod-new", 1, 1, containers=frozenset({"task", "tool"}))
    assert bound(waiting, old) == [("b", "old"), ("d", "old")]
    assert len(waiting) == 2, "those that were passed over wait on"
    assert bound(waiting, room("old", 4), new) == [("a", "new")]
    assert bound(waiting, room("old", 4)) == []
    assert bound(waiting, new) == [("c", "new")]


def test_not_more_than_so_many_tasks_are_passed_over_in_one_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchpools.core.scheduling.cycle.MOST_PASSED_OVER", 3)
    waiting = PoolBook()
    for age in range(10):
        task = WaitingTask(float(age), f"t{age}", 1, container="task" if age == 9 else "tool")
        waiting.add("j", task, priority=0, created=0.0, job_uid="j")
    assert bound(waiting, room("old", 4)) == []
    assert len(waiting) == 10


def test_jobs_of_equal_priority_take_turns() -> None:
    waiting = book(*[("a", f"a{n}") for n in range(4)], *[("b", f"b{n}") for n in range(4)])
    assert [uid for uid, _ in bound(waiting, room("n", 4))] == ["a0", "b0", "a1", "b1"]


def test_equal_chance_counts_slots_not_tasks() -> None:
    waiting = PoolBook()
    for number in range(4):
        waiting.add("big", WaitingTask(number, f"B{number}", 2), priority=0, created=0.0, job_uid="big")
        waiting.add("small", WaitingTask(number, f"s{number}", 1), priority=0, created=1.0, job_uid="small")
    order = [one.task.uid for one in schedule(waiting, [room("n", 8, 8)], SPREAD)]
    assert order == ["B0", "s0", "s1", "B1", "s2", "s3"]


def test_a_newcomer_starts_at_the_present_minimum_and_does_not_catch_up() -> None:
    waiting = book(*[("old", f"o{n}") for n in range(8)])
    bound(waiting, room("n", 4))
    for number in range(4):
        waiting.add("new", WaitingTask(50.0 + number, f"n{number}", 1), priority=0, created=9.0, job_uid="new")
    assert [uid for uid, _ in bound(waiting, room("n", 4))] == ["o4", "n0", "o5", "n1"]


def test_a_changed_priority_takes_effect_on_what_waits() -> None:
    waiting = book(("a", "a1"), ("b", "b1"))
    waiting.reprioritize("b", 5)
    assert [uid for uid, _ in bound(waiting, room("n", 1))] == ["b1"]


def test_a_large_task_does_not_keep_a_small_one_from_a_small_room() -> None:
    waiting = PoolBook()
    waiting.add("large", WaitingTask(0.0, "L", 4), priority=9, created=0.0, job_uid="large")
    waiting.add("small", WaitingTask(1.0, "s", 1), priority=0, created=0.0, job_uid="small")
    assert bound(waiting, room("n1", 2)) == [("s", "n1")]
    assert bound(waiting, room("n1", 4)) == [("L", "n1")]


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        pytest.param(SPREAD, ["n2", "n1", "n2", "n1"], id="Spread: fewest used slots, ties by name"),
        pytest.param(PACK, ["n1", "n1", "n2", "n2"], id="Pack: the fullest that fits"),
    ],
)
def test_tasks_are_placed_as_the_pool_says(fill: str, expected: list[str]) -> None:
    waiting = book(*[("j", f"t{n}") for n in range(4)])
    assert [node for _, node in bound(waiting, room("n1", 2), room("n2", 3), fill=fill)] == expected


def test_spread_looks_at_used_slots_not_at_free_ones() -> None:
    task = WaitingTask(0.0, "t", 1)
    assert place([room("big", 5, 8), room("small", 2, 2)], task, SPREAD) == room("small", 2, 2)


def test_the_given_rooms_are_not_changed() -> None:
    rooms = [room("n1", 2)]
    schedule(book(("j", "a")), rooms, SPREAD)
    assert rooms == [room("n1", 2)]
