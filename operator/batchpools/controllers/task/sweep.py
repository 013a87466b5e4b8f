"""Now and then: tells tasks that wait for what may never come why they wait, and asks again for what was not answered."""

import asyncio
from dataclasses import replace

from batchpools.api.reasons import Reason
from batchpools.controllers.task.book import RunBook
from batchpools.controllers.task.entry import Entry, PoolKey
from batchpools.controllers.task.settler import Settler
from batchpools.controllers.task.takeover import Takeover
from batchpools.controllers.task.writer import StatusWriter
from batchpools.core.scheduling.fit import MANAGER_CHECKS, Refusal, first_refusal, nodes_exist
from batchpools.core.tasks import status as statuses
from batchpools.core.tasks.lifecycle import Ending, Waiting
from batchpools.kube.applier import NotLeadingError
from batchpools.telemetry.clock import Clock

SWEEP_EVERY = 10.0
TELL_AFTER = 30.0  # seconds that a task waits before its status says why
_TOLD = {
    Reason.JOB_NOT_FOUND,
    Reason.POOL_NOT_FOUND,
    Reason.REQUIRED_SLOTS_TOO_LARGE,
    Reason.NO_NODES,
    Reason.NO_DEDICATED_NODE,
    Reason.NO_EMPTY_NODE,
}


class Sweep:
    """One round looks at every task that has not ended; nothing urgent depends on it."""

    def __init__(self, book: RunBook, settler: Settler, writer: StatusWriter, takeover: Takeover, clock: Clock) -> None:
        self._book = book
        self._settler = settler
        self._writer = writer
        self._takeover = takeover
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            await self.once()

    async def once(self) -> None:
        """One round."""
        self._takeover.ask_for_silent()
        self._takeover.release()
        without_nodes: dict[PoolKey, Refusal | None] = {}
        tellable: list[tuple[Entry, Refusal | None]] = []
        now = self._clock.monotonic()
        for page in self._book.nodes:
            for execution_id in sorted(page.strangers):
                self._settler.kill(page.identity.pod_uid, execution_id)
        for entry in list(self._book.entries.values()):
            for execution_id, pod_uid in entry.losers.items():
                self._settler.kill(pod_uid, execution_id)
            if isinstance(entry.state, Ending):
                self._settler.kill(entry.state.pod_uid, str(entry.state.execution))
            elif isinstance(entry.state, Waiting) and now - entry.since >= TELL_AFTER:
                tellable.append((entry, entry.refusal or self._in_queue(entry, without_nodes)))
        for entry, refusal in tellable:
            await self._tell(entry, refusal)

    def _in_queue(self, entry: Entry, known: dict[PoolKey, Refusal | None]) -> Refusal | None:
        """What one in the queue waits for, but its turn."""
        pool = entry.queued_in
        if pool is None or self._book.manager(entry) is None:
            return self._without_nodes(entry, known)
        question = replace(self._book.question(entry), rooms=self._book.nodes.rooms(pool))
        return first_refusal(question, MANAGER_CHECKS)

    def _without_nodes(self, entry: Entry, known: dict[PoolKey, Refusal | None]) -> Refusal | None:
        """The refusal of a queue whose pool has no node that takes tasks; asked once per pool and round."""
        pool = entry.queued_in
        if pool is None:
            return None
        if pool not in known:
            question = self._book.question(entry)
            known[pool] = nodes_exist(question) if not self._book.nodes.rooms(pool) else None
        return known[pool]

    async def _tell(self, entry: Entry, refusal: Refusal | None) -> None:
        """Once per change, and only what a person may have to act upon."""
        said = refusal.sentence if refusal is not None and refusal.reason in _TOLD else ""
        if said == entry.refusal_told or not isinstance(entry.state, Waiting):
            return
        generation, now = entry.view.metadata.generation, self._clock.now()
        if refusal is not None and said:
            status = statuses.unschedulable(entry.status, refusal.reason, said, generation=generation, now=now)
        else:
            status = statuses.schedulable(entry.status, "It waits for its turn.", generation=generation, now=now)
        try:
            await self._writer.put_last(entry.key, entry.uid, status)
        except NotLeadingError:
            return
        entry.refusal_told = said
        entry.status = status
