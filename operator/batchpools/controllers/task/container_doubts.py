"""Fails tasks whose container their pool does not have, once the API server has said so: the cache may lag behind (rule S2.2).

A task may be shown before the change of the pool that it was written for. So the pool is asked for, once for all its tasks; if
it has the container after all, the cache will show it, and they look again by themselves.
"""

from batchpools.api.reasons import FailureCode
from batchpools.controllers.task.book import RunBook
from batchpools.controllers.task.entry import Entry, PoolKey
from batchpools.controllers.task.live import Live
from batchpools.controllers.task.settler import Settler
from batchpools.core.scheduling.fit import container_exists
from batchpools.core.tasks.lifecycle import Waiting
from batchpools.core.views import PoolView


class ContainerDoubts:
    """The tasks that wait for the API server's word on their pool, by pool."""

    def __init__(self, book: RunBook, settler: Settler, live: Live) -> None:
        self._book = book
        self._settler = settler
        self._live = live
        self._waiting: dict[PoolKey, dict[str, None]] = {}
        book.on_no_container = self.doubt

    def clear(self) -> None:
        """We lead no longer."""
        self._waiting.clear()

    def doubt(self, entry: Entry) -> None:
        """As the cache has it, the task's pool does not have its container."""
        pool = self._book.pool_of(entry.job_key)
        if pool is None:
            return
        asked = pool in self._waiting
        self._waiting.setdefault(pool, {})[entry.uid] = None
        if not asked:
            self._live.ask_pool(*pool, lambda view: self._answered(pool, view))

    def _answered(self, pool: PoolKey, view: PoolView | None) -> None:
        """A pool that is gone is waited for like any that is not there."""
        for uid in self._waiting.pop(pool, {}):
            entry = self._book.entries.get(uid)
            if view is None or entry is None or not isinstance(entry.state, Waiting) or entry.deleted:
                continue
            if entry.refusal is None or self._book.pool_of(entry.job_key) != pool:
                continue  # it has looked again meanwhile
            refusal = container_exists(self._book.question(entry, view))
            if refusal is not None:
                self._settler.fail(entry, FailureCode.CONTAINER_INVALID_SETTINGS, refusal.sentence, tell=True)
