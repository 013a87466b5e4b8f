"""Puts into messages what the machine wants the leader to know. Ends go at once, since they free a slot.

News of a start waits a few milliseconds: a run that ends meanwhile is told by its end alone, which halves what is said of
short tasks. An inventory with many ids goes in parts.
"""

import asyncio
from collections.abc import Callable

from batchpools.core.execution_events import TellFinished, TellInventory, TellRejected, TellStarted, TellUnknown
from batchpools.link import messages as link
from batchpools.link.bounds import IDS_PER_PART, MAX_ACKNOWLEDGED, clip, clip_duration, clip_time

HOLD = 0.005  # seconds

Tell = TellInventory | TellStarted | TellFinished | TellUnknown | TellRejected


class Reports:
    """`send(message, epoch)` sends to the replica that leads with this epoch, if there is one."""

    def __init__(self, send: Callable[[link.Message, int], None]) -> None:
        self._send = send
        self._starts: dict[str, tuple[link.Started, int]] = {}

    def tell(self, told: Tell, epoch: int) -> None:
        """Say it to the leader of `epoch`."""
        match told:
            case TellStarted(one, started_at):
                self._hold(link.Started(one, clip_time(started_at)), epoch)
            case TellFinished(one):
                self._starts.pop(one, None)
                self._send(finished_message(told), epoch)
            case TellInventory():
                self._starts.clear()  # the inventory has them
                self._tell_inventory(told, epoch)
            case TellUnknown(one):
                self._send(link.Unknown(one), epoch)
            case TellRejected(one, reason):
                self._send(link.Rejected(one, clip(reason)), epoch)

    def _hold(self, started: link.Started, epoch: int) -> None:
        if not self._starts:
            asyncio.get_running_loop().call_later(HOLD, self._tell_starts)
        self._starts[started.execution_id] = (started, epoch)

    def _tell_starts(self) -> None:
        held, self._starts = self._starts, {}
        for started, epoch in held.values():
            self._send(started, epoch)

    def _tell_inventory(self, told: TellInventory, epoch: int) -> None:
        ids = list(told.acknowledged[-MAX_ACKNOWLEDGED:])
        while len(ids) > IDS_PER_PART:
            self._send(link.InventoryPart(ids[:IDS_PER_PART]), epoch)
            ids = ids[IDS_PER_PART:]
        live = [link.RunState(one, clip_time(started_at), task_name) for one, task_name, started_at in told.live]
        self._send(link.Inventory(told.epoch, told.boot_id, live, ids), epoch)


def finished_message(told: TellFinished) -> link.Finished:
    """The link's words for an end."""
    outcome = told.outcome
    return link.Finished(
        execution_id=told.execution_id,
        task_name=told.task_name,
        boot_id=told.boot_id,
        cause=outcome.cause,
        exit_code=outcome.exit_code,
        started_at=clip_time(outcome.started_at),
        ended_at=clip_time(outcome.ended_at),
        user_cpu=clip_duration(outcome.user_cpu),
        kernel_cpu=clip_duration(outcome.kernel_cpu),
        max_memory_bytes=outcome.max_memory_bytes,
        code=outcome.code,
        message=clip(outcome.message),
    )
