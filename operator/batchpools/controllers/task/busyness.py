"""Which pods are busy, as people who drain machines should see it: after 2 s of work, until 30 s without (safety rule S9.4)."""

import asyncio
from collections.abc import Callable

from batchpools.controllers.task.book import RunBook
from batchpools.core.pools.disruption import BUSY_AFTER, IDLE_AFTER, is_marked_busy
from batchpools.hub.port import NodeIdentity

LOOK_EVERY = 1.0
_ROUNDING = 0.1  # of the loop's timers


class Busyness:
    """Looks at every node now and then. `on_change(node)` when one became busy or idle."""

    def __init__(self, book: RunBook, monotonic: Callable[[], float]) -> None:
        self._book = book
        self._monotonic = monotonic
        self._since: dict[str, float] = {}  # pod uid -> when its work began
        self._last: dict[str, float] = {}  # pod uid -> when it was last seen at work
        self._busy: set[str] = set()
        self.on_change: Callable[[NodeIdentity], None] = lambda _: None

    def begin(self) -> None:
        """We lead: what a former leader called busy stays so for a while, until its node was heard."""
        now = self._monotonic()
        self._since.clear()
        self._busy = {pod.metadata.uid for pod in self._book.cache.pods if is_marked_busy(pod)}
        self._last = dict.fromkeys(sorted(self._busy), now)

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look()

    def is_busy(self, pod_uid: str) -> bool:
        """Whether a pod is kept from voluntary disruption."""
        return pod_uid in self._busy

    def look(self) -> None:
        """One look at all nodes."""
        now = self._monotonic()
        there = set()
        for page in self._book.nodes:
            uid = page.identity.pod_uid
            there.add(uid)
            if self._judge(uid, now, works=page.used > 0) != (uid in self._busy):
                self._busy ^= {uid}
                self.on_change(page.identity)
        for uid in [one for one in self._last if one not in there and now - self._last[one] >= IDLE_AFTER]:
            self._forget(uid)

    def _judge(self, uid: str, now: float, *, works: bool) -> bool:
        if works:
            self._last[uid] = now
            return uid in self._busy or now - self._since.setdefault(uid, now) >= BUSY_AFTER - _ROUNDING
        self._since.pop(uid, None)
        if uid in self._last and now - self._last[uid] >= IDLE_AFTER:
            self._forget(uid, keep_busy=True)
            return False
        return uid in self._busy

    def _forget(self, uid: str, *, keep_busy: bool = False) -> None:
        self._since.pop(uid, None)
        self._last.pop(uid, None)
        if not keep_busy:
            self._busy.discard(uid)
