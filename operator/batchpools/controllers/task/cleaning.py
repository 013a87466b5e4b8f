"""Now and then: has directories of tasks removed from nodes, when they were kept for their retentionTime, or their task is gone.

What is due follows from the tasks and nodes as the cache has them, so a new leader, a runner that began anew or an agent that was
not heard are asked again; removing what is not there is no harm. The directory of a run that may be live, of a task that will run
again, or of another task of the same id is never asked for, and the runner refuses it besides.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable

from batchpools.controllers.task.book import RunBook
from batchpools.controllers.task.entry import directory_of
from batchpools.core.pools.retention import may_be_cleaned
from batchpools.core.tasks.lifecycle import Done
from batchpools.core.tasks.retention import is_over
from batchpools.core.views import PoolNodeView, TaskView
from batchpools.hub.port import HubPort
from batchpools.telemetry.clock import Clock

CLEAN_EVERY = 30.0
ASKED_AGAIN = 6 * 3600.0  # seconds until what was asked for is asked for once more: nobody says whether it was done
_LOOKED_AT_ONCE = 500  # tasks, between two turns of the loop
_ASKED_AT_ONCE = 200  # directories of one node in a round


class Cleaning:
    """`deleted` is for tasks that are gone: their files go at once, or when their node is heard again."""

    def __init__(self, book: RunBook, hub: HubPort, clock: Clock) -> None:
        self._book = book
        self._hub = hub
        self._clock = clock
        self._asked: dict[tuple[str, str], set[str]] = {}  # by pod uid and boot id: uids of tasks
        self._since = 0.0
        self._owed: dict[str, dict[str, TaskView]] = {}  # by pod uid and directory

    async def run(self) -> None:
        """Until cancelled."""
        self._asked.clear()
        self._owed.clear()
        self._since = self._clock.monotonic()
        while True:
            await asyncio.sleep(CLEAN_EVERY)
            await self.once()

    def deleted(self, view: TaskView, pod_uid: str) -> None:
        """A task is gone, and nothing of it runs: what it left there goes, and what it had left before on other nodes."""
        former = [node.status.pod_uid for node in self._nodes_of(view)] if view.status.requeue_count else []
        for pod in sorted({pod_uid, *former} - {""}):
            if not (self._is_up(pod) and self._hub.remove_directory(pod, directory_of(view), view.spec.container)):
                self._owed.setdefault(pod, {})[directory_of(view)] = view

    async def once(self) -> None:
        """One round."""
        self._forget()
        self._pay()
        sent: Counter[str] = Counter()
        for number, view in enumerate(list(self._book.cache.tasks), start=1):
            if is_over(view, self._clock.now()):
                self._clean(view, sent)
            if number % _LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)

    # ---------------------------------------------------------------- inside

    def _clean(self, seen: TaskView, sent: Counter[str]) -> None:
        uid = seen.metadata.uid
        view, entry = self._book.cache.tasks.by_uid(uid), self._book.entries.get(uid)
        ends = entry is not None and not isinstance(entry.state, Done)
        if view is None or ends or not self._book.claims.has_directory(view):
            return
        for node in self._nodes_of(view):
            pod = node.status.pod_uid
            if not self._is_up(pod) or not may_be_cleaned(view, node, self._clock.now()):
                continue
            asked = self._asked.setdefault((pod, self._boot_id(pod)), set())
            if uid in asked or sent[pod] >= _ASKED_AT_ONCE:
                continue
            if self._hub.remove_directory(pod, directory_of(view), view.spec.container):
                asked.add(uid)
                sent[pod] += 1

    def _nodes_of(self, view: TaskView) -> Iterable[PoolNodeView]:
        """Where it may have left files: where it ran last, and if it was requeued any node of its pool."""
        namespace, nodes = view.metadata.namespace, self._book.cache.nodes
        last = nodes.get(namespace, view.status.pool_node_name) if view.status.pool_node_name else None
        found = {last.metadata.name: last} if last is not None else {}
        pool = self._book.pool_of((namespace, view.spec.job_name)) if view.status.requeue_count else None
        if pool is not None:
            found |= {node.metadata.name: node for node in nodes.indexed("by_pool", pool)}
        return [found[name] for name in sorted(found)]

    def _pay(self) -> None:
        """What a node was not there to hear, unless another task has the directory by now, or the node's pod is gone."""
        pods = {node.status.pod_uid for node in self._book.cache.nodes} if self._owed else set()
        for pod, views in list(self._owed.items()):
            if pod in pods and not self._is_up(pod):
                continue
            for view in views.values() if pod in pods else ():
                if self._book.claims.has_directory(view):
                    self._hub.remove_directory(pod, directory_of(view), view.spec.container)
            del self._owed[pod]

    def _forget(self) -> None:
        now = self._clock.monotonic()
        if now - self._since >= ASKED_AGAIN:
            self._asked.clear()
            self._since = now
        gone = [key for key in self._asked if self._boot_id(key[0]) != key[1]]
        for key in gone:
            del self._asked[key]

    def _is_up(self, pod_uid: str) -> bool:
        """Whether its runner serves, and its account has come: all that may run there is in the book."""
        page = self._book.nodes.get(pod_uid)
        return page is not None and page.ready and page.heard

    def _boot_id(self, pod_uid: str) -> str:
        session = self._hub.session(pod_uid)
        return session.report.boot_id if session is not None and session.report is not None else ""
