"""What the leader is told, and when: ends at once, starts only of runs that last, long inventories in parts."""

import asyncio

from batchpools.agent.reports import Reports
from batchpools.core.ended import Ended
from batchpools.core.execution_events import (
    TellFinished,
    TellInventory,
    TellRejected,
    TellStarted,
    TellUnknown,
)
from batchpools.link import messages as link
from batchpools.link.framing import decode_from_agent, encode

END = TellFinished("a", "task", "boot", Ended("exit", 0, 1.0, 2.0, 0.1, 0.2, 3, "code", "text"))
TOLD_END = link.Finished("a", "task", "boot", "exit", 0, 1.0, 2.0, 0.1, 0.2, 3, "code", "text")


class Leader:
    """What was sent, with the epoch it was for."""

    def __init__(self) -> None:
        self.told: list[tuple[link.Message, int]] = []
        self.reports = Reports(lambda message, epoch: self.told.append((message, epoch)))

    async def all_told(self) -> list[tuple[link.Message, int]]:
        """Wait until nothing is held back."""
        while self.reports._starts:  # noqa: ASYNC110 (a timer of theirs ends it)
            await asyncio.sleep(0.001)
        return self.told


async def test_an_end_is_told_at_once() -> None:
    leader = Leader()
    leader.reports.tell(END, 3)
    assert leader.told == [(TOLD_END, 3)]


async def test_a_start_is_told_a_moment_later() -> None:
    leader = Leader()
    leader.reports.tell(TellStarted("a", 1.0), 3)
    leader.reports.tell(TellStarted("b", 2.0), 3)
    assert leader.told == []
    assert await leader.all_told() == [(link.Started("a", 1.0), 3), (link.Started("b", 2.0), 3)]


async def test_a_run_that_ends_at_once_is_told_by_its_end_alone() -> None:
    leader = Leader()
    leader.reports.tell(TellStarted("a", 1.0), 3)
    leader.reports.tell(TellStarted("b", 2.0), 3)
    leader.reports.tell(END, 3)
    assert await leader.all_told() == [(TOLD_END, 3), (link.Started("b", 2.0), 3)]


async def test_an_inventory_says_what_was_held_back() -> None:
    leader = Leader()
    leader.reports.tell(TellStarted("a", 1.0), 3)
    leader.reports.tell(TellInventory(4, "boot", (("a", "task", 1.0),), ("b",)), 4)
    assert await leader.all_told() == [(link.Inventory(4, "boot", [link.RunState("a", 1.0, "task")], ["b"]), 4)]


async def test_a_long_inventory_goes_in_parts_that_each_fit_a_frame() -> None:
    leader = Leader()
    ids = tuple(f"0b6a8d0e-7c1f-4a69-9f39-8f8f1c1d7e55:-:1:{number}" for number in range(30_000))
    leader.reports.tell(TellInventory(4, "boot", (), ids), 4)
    told = []
    for message, _ in leader.told:
        [arrived] = decode_from_agent(encode([message]))
        assert isinstance(arrived, link.InventoryPart | link.Inventory)
        told += arrived.acknowledged
    assert tuple(told) == ids
    assert [type(message) for message, _ in leader.told[-2:]] == [link.InventoryPart, link.Inventory]


async def test_refusals_are_told_at_once() -> None:
    leader = Leader()
    leader.reports.tell(TellUnknown("a"), 3)
    leader.reports.tell(TellRejected("b", "stopping"), 3)
    assert leader.told == [(link.Unknown("a"), 3), (link.Rejected("b", "stopping"), 3)]
