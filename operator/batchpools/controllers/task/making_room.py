"""Makes a node free for a job manager that must run again and finds no room: ends what was chosen, keeps the node for it meanwhile.

What is chosen is `core.scheduling.displacement`'s. A node is kept in memory alone: a next leader chooses anew.
"""

from collections.abc import Callable, Sequence
from math import inf

from batchpools.api.reasons import RequeueReason
from batchpools.controllers.task.book import RunBook
from batchpools.controllers.task.entry import PoolKey
from batchpools.controllers.task.nodes import NodePage
from batchpools.controllers.task.settler import Settler
from batchpools.core.scheduling.book import JobQueue, PoolBook
from batchpools.core.scheduling.displacement import Displacement, Holder, Occupied, displace
from batchpools.core.scheduling.placement import Room
from batchpools.core.tasks.lifecycle import Bound, Ending, Running, Waiting, Why


class MakingRoom:
    """Looked at after each cycle of a pool, and as often as it is woken."""

    def __init__(self, book: RunBook, settler: Settler, wake: Callable[[PoolKey], None]) -> None:
        self._book = book
        self._settler = settler
        self._wake = wake
        self._kept: dict[str, str] = {}  # pod uid -> uid of the manager that it is kept for

    def clear(self) -> None:
        """We begin to lead, or do no longer."""
        self._kept.clear()

    def kept_for(self, pod_uid: str) -> str:
        """Uid of the only task that may be sent there; empty when any may."""
        uid = self._kept.get(pod_uid, "")
        if uid and not self._waits(uid):
            del self._kept[pod_uid]
            return ""
        return uid

    def make(self, pool: PoolKey, queue: PoolBook, rooms: Callable[[], Sequence[Room]]) -> None:
        """For each manager of the pool that waits to run again. rooms: the nodes that take tasks, after the cycle."""
        for pod_uid in list(self._kept):
            if self._kept.get(pod_uid) and not self.kept_for(pod_uid):
                self._wake(pool)  # it was not needed after all
        for job in queue.managed():
            if job.manager is not None and job.manager.again:
                self._make_for(job, pool, queue, [self._occupied(room) for room in rooms()])

    def _make_for(self, job: JobQueue, pool: PoolKey, queue: PoolBook, nodes: Sequence[Occupied]) -> None:
        manager = job.manager.uid if job.manager is not None else ""
        kept = next((pod for pod, uid in self._kept.items() if uid == manager), "")
        begun = [one for one in nodes if one.room.pod_uid == kept]
        found = displace(queue, job, begun) or displace(queue, job, nodes)
        if kept and (found is None or found.pod_uid != kept):
            del self._kept[kept]
            self._wake(pool)
        if found is not None:
            self._carry_out(found, manager)

    def _carry_out(self, found: Displacement, manager: str) -> None:
        self._kept[found.pod_uid] = manager
        for uid in found.ended:
            self._settler.end_run(self._book.entries[uid], Why.DISPLACED, RequeueReason.DISPLACED_BY_JOB_MANAGER)

    def _waits(self, uid: str) -> bool:
        entry = self._book.entries.get(uid)
        return entry is not None and isinstance(entry.state, Waiting) and entry.queued_in is not None

    def _occupied(self, room: Room) -> Occupied:
        page = self._book.nodes.get(room.pod_uid)
        if page is None:
            return Occupied(room)
        return Occupied(room, tuple(self._holder(page, uid, slots) for uid, slots in sorted(page.holding.items())))

    def _holder(self, page: NodePage, uid: str, slots: int) -> Holder:
        """One that goes on in any case: it manages a job itself, or nobody knows which job it is of."""
        entry = self._book.entries.get(uid)
        job = self._book.cache.jobs.get(*entry.job_key) if entry is not None else None
        if entry is None or job is None:
            return Holder(uid, slots, "", 0, is_fixed=True)
        state = entry.state
        runs = isinstance(state, Bound | Running)
        return Holder(
            uid,
            slots,
            job.metadata.name,
            job.spec.priority,
            attempt_began=state.started_at if isinstance(state, Running) else inf,
            is_ending=isinstance(state, Ending),
            is_fixed=not runs or uid in page.managers,
        )
