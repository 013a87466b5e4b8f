"""Who is silent, and for how long: nodes that were not heard for a while are set aside, and given up when their time is over.

A node is heard each second. After SILENCE everything that was sent there is recorded, so that a next leader waits for those
tasks alone (safety rule S3.4). After its T and a margin its runner has ended everything (rules S3.1 to S3.3): its runs are
dead, which is the third of the three ways in which a run counts as dead (S4.1). It decides when; others do what follows.
"""

import asyncio
from collections.abc import Callable

from batchpools.api import names
from batchpools.api.names import UNREACHABLE_MARGIN
from batchpools.controllers.task.book import RunBook
from batchpools.controllers.task.entry import Entry
from batchpools.core.ledger import Contact
from batchpools.core.orphans import nodeless
from batchpools.core.pools.reach import timeout_of, unreachable_timeout
from batchpools.core.tasks.lifecycle import OnNode
from batchpools.core.tasks.status import says_running
from batchpools.hub.port import NodeIdentity

SILENCE = 3.0  # seconds
LOOK_EVERY = 0.5


class Silence:
    """Times at which pods were last heard, by the leader itself; a new leader counts from its election."""

    def __init__(self, book: RunBook, monotonic: Callable[[], float]) -> None:
        self._book = book
        self._monotonic = monotonic
        self._heard: dict[str, float] = {}
        self._silent: set[str] = set()
        self._given_up: set[str] = set()
        self._known: dict[str, NodeIdentity] = {}  # as of the last look
        self.is_waited_for: Callable[[str], bool] = lambda _: False  # also of a pod that nothing names any more
        self.on_silent: Callable[[NodeIdentity], None] = lambda _: None
        self.on_heard_again: Callable[[NodeIdentity], None] = lambda _: None
        self.on_given_up: Callable[[NodeIdentity], None] = lambda _: None

    def begin(self) -> None:
        """We lead from now on: nobody has been heard yet, and nobody counts as silent for what came before."""
        for held in (self._heard, self._silent, self._given_up, self._known):
            held.clear()
        self.look()

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look()

    def heard(self, node: NodeIdentity) -> None:
        """The node has said something."""
        self._heard[node.pod_uid] = self._monotonic()
        if node.pod_uid in self._silent:
            self._silent.discard(node.pod_uid)
            self._given_up.discard(node.pod_uid)
            self.on_heard_again(node)

    def contact(self, pod_uid: str) -> Contact:
        """How it stands with a pod."""
        if pod_uid in self._given_up:
            return Contact.GIVEN_UP
        if pod_uid not in self._silent:
            return Contact.IN_TOUCH
        return Contact.RECORDED if all(map(_is_recorded, self._book.on_pod(pod_uid))) else Contact.SILENT

    def look(self) -> None:
        """One look at all nodes."""
        now = self._monotonic()
        watched = {uid: node for uid, node in self._known.items() if self.is_waited_for(uid)} | self._watched()
        self._known = watched
        for pod_uid, node in watched.items():
            quiet = now - self._heard.setdefault(pod_uid, now)
            if quiet >= SILENCE and pod_uid not in self._silent:
                self._silent.add(pod_uid)
                self.on_silent(node)
            if quiet >= node.unreachable_timeout + UNREACHABLE_MARGIN and pod_uid not in self._given_up:
                self._given_up.add(pod_uid)
                self.on_given_up(node)
        for pod_uid in self._heard.keys() - watched.keys():
            del self._heard[pod_uid]
            self._silent.discard(pod_uid)
            self._given_up.discard(pod_uid)

    def _watched(self) -> dict[str, NodeIdentity]:
        """Pods that may run something: those of the nodes there are, and those that we have a page of."""
        found = {page.identity.pod_uid: page.identity for page in self._book.nodes}
        for node in self._book.cache.nodes:
            status = node.status
            if status.pod_uid:
                meta = node.metadata
                timeout = unreachable_timeout(status)
                who = (meta.namespace, node.spec.pool_name, meta.name, status.pod_name, status.pod_uid)
                found[status.pod_uid] = NodeIdentity(*who, timeout)
        for pod in nodeless(self._book.cache.pods, self._book.cache.nodes):
            meta = pod.metadata
            of_pool, of_node = (meta.labels.get(label, "") for label in (names.LABEL_POOL, names.LABEL_NODE))
            known = NodeIdentity(meta.namespace, of_pool, of_node, meta.name, meta.uid, timeout_of(pod))
            found.setdefault(meta.uid, known)
        return found


def _is_recorded(entry: Entry) -> bool:
    """Whether the API server has it: what came by the watch tells."""
    state = entry.state
    return not isinstance(state, OnNode) or entry.deleted or says_running(entry.view.status, state)
