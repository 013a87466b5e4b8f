"""Certificates of the operator's own CA: each replica issues its own; the leader replaces the CA (safety rule S9.1).

It decides when it issues anew; the steps of a replacement are decided in `core.trust`. A standby follows by reading the Secret.
"""

from datetime import datetime, timedelta

from batchpools.api import names
from batchpools.core.trust import Settling, Step, next_step
from batchpools.hub.ca_store import CaStore, Held
from batchpools.hub.certificates import LEAF_LIFE, Issued, issue, issue_client, validity_of
from batchpools.hub.shown import Shown, Surroundings
from batchpools.telemetry.clock import Clock


class OwnCertificates:
    """A source. server_names: of every server certificate."""

    def __init__(
        self,
        store: CaStore,
        server_names: list[str],
        surroundings: Surroundings,
        clock: Clock,
        life: timedelta = LEAF_LIFE,
    ) -> None:
        self._store = store
        self._names = server_names
        self._surroundings = surroundings
        self._clock = clock
        self._life = life
        self._held: Held | None = None
        self._settling = Settling()
        self._shown: Shown | None = None
        self._issuer = ""

    async def look(self) -> Shown:
        """Read the Secret, on the leader take a step if one is due, and issue what is due."""
        now = self._clock.now()
        held = await self._store.load(now, self._held)
        step = self._step(held, now)
        if self._surroundings.leads() or step is Step.START_OVER:  # who has nothing valid cannot wait for a leader
            held = await self._store.carry_out(step, held, now)
        self._held = held
        self._shown = self._show(held, now)
        return self._shown

    def _step(self, held: Held, now: datetime) -> Step:
        settled = self._settling.measure(
            held.version, self._clock.monotonic(), known=self._surroundings.trusted(held.newest)
        )
        spread = self._surroundings.spread
        return next_step(held.authorities(), now, asked=held.asked, settled=settled, spread=spread)

    def _show(self, held: Held, now: datetime) -> Shown:
        shown = self._shown
        same = shown is not None and self._issuer == held.current.certificate
        if shown is not None and same and not _is_due(shown.server, now):
            return Shown(held.bundle, shown.server, shown.client)
        self._issuer = held.current.certificate
        server = issue(held.current, self._names, now, self._life)
        return Shown(held.bundle, server, issue_client(held.current, names.REPLICA_CLIENT_NAME, now, self._life))


def _is_due(issued: Issued, now: datetime) -> bool:
    return validity_of(issued.certificate).is_due(now)
