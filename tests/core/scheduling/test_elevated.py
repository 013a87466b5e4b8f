"""Elevated tasks go to nodes that were made for them; nobody waits behind them for a node that takes everybody else."""

import pytest

from batchpools.api.states import NodeFillType
from batchpools.core.scheduling.book import Need, PoolBook, Space, WaitingTask
from batchpools.core.scheduling.cycle import schedule
from batchpools.core.scheduling.placement import Room


def book(*tasks: WaitingTask) -> PoolBook:
    made = PoolBook()
    for one in tasks:
        made.add("job", one, priority=0, created=0.0, job_uid="job")
    return made


def room(node: str, free: int, *, elevates: bool) -> Room:
    return Room(node, f"pod-{node}", 4, free, elevates)


@pytest.mark.parametrize("fill", list(NodeFillType))
def test_an_elevated_task_goes_where_it_may_be_and_others_anywhere(fill: NodeFillType) -> None:
    waiting = book(WaitingTask(0.0, "high", 1, elevated=True), WaitingTask(1.0, "low", 1))
    rooms = [room("old", 4, elevates=False), room("new", 1, elevates=True)]
    bound = {one.task.uid: one.node for one in schedule(waiting, rooms, fill)}
    assert bound == {"high": "new", "low": "old"}


def test_those_behind_an_elevated_task_that_has_to_wait_go_on() -> None:
    waiting = book(
        *[WaitingTask(float(n), f"high{n}", 1, elevated=True) for n in range(50)], WaitingTask(99.0, "low", 2)
    )
    rooms = [room("old", 4, elevates=False), room("new", 1, elevates=True)]
    assert [one.task.uid for one in schedule(waiting, rooms, NodeFillType.SPREAD)] == ["high0", "low"]
    assert len(waiting) == 49
    assert schedule(waiting, [room("old", 4, elevates=False)], NodeFillType.SPREAD) == []


def test_an_elevated_task_that_is_too_large_for_its_nodes_waits_too() -> None:
    waiting = book(WaitingTask(0.0, "high", 3, elevated=True))
    rooms = [room("old", 4, elevates=False), room("new", 2, elevates=True)]
    assert schedule(waiting, rooms, NodeFillType.SPREAD) == []
    assert Need(3, True).fits(Space(4, 2, 4)) is False
    assert Need(3).fits(Space(4, 2, 4)) is True
    assert waiting.slots == 3
