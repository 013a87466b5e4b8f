"""Who leads: one Lease, taken by compare-and-swap. Its leaseTransitions, raised at every acquisition, is the epoch (rule S2.1)."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.core.views import Meta, View
from batchpools.kube.errors import AlreadyExistsError, ConflictError, KubeError, NotFoundError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import LEASES, api_version
from batchpools.telemetry.clock import Clock
from batchpools.telemetry.logs import bound
from batchpools.telemetry.seldom import Seldom

_log = logging.getLogger(__name__)

_BELIEVED_AGAIN = 3600.0
_LARGEST_LEAP = 100_000  # leaseTransitions has 31 bits: whoever makes an epoch up must not use them up


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; retry < renew < lease."""

    lease: float = 15.0
    renew: float = 10.0
    retry: float = 2.0


class _LeaseSpec(View, frozen=True):
    holder_identity: str = ""
    lease_duration_seconds: int = 0
    lease_transitions: int = 0
    renew_time: datetime | None = None
    acquire_time: datetime | None = None


class _Lease(View, frozen=True):
    metadata: Meta
    spec: _LeaseSpec = _LeaseSpec()


class _Name(msgspec.Struct):
    name: str = ""


class _Named(msgspec.Struct):
    metadata: _Name


_NAMED = msgspec.json.Decoder(_Named)
_LEASE = msgspec.json.Decoder(_Lease)


class LeaderElector:
    """Tries to lead until stopped. on_lead(epoch) and on_follow() are awaited, one after the other.

    They must return well within a retry period (what takes longer they start as a task), for nothing is renewed meanwhile.
    `on_follow` comes after each `on_lead` before the next one; `on_renewed(began)` after each confirmed request, the first too,
    with the monotonic time at which it began. `identity` is new in each process; `address` is published with the Lease, for
    standbys that have a question.
    `deadline()` is the monotonic time until which we may act as the leader: the start of the last successful renewal
    plus the renew deadline, which leaves the rest of the lease for clocks and messages on their way.
    """

    def __init__(  # noqa: PLR0913 (composed in one place)
        self,
        api: KubeApi,
        clock: Clock,
        *,
        namespace: str,
        identity: str,
        timing: Timing,
        on_lead: Callable[[int], Awaitable[None]],
        on_follow: Callable[[], Awaitable[None]],
        on_renewed: Callable[[float], None] = lambda _: None,
        address: str = "",
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._clock = clock
        self._namespace = namespace
        self._identity = identity
        self._timing = timing
        self._address = address
        self._on_lead = on_lead
        self._on_follow = on_follow
        self._on_renewed = on_renewed
        self._pause = pause
        self._version = ""  # of the Lease, as this try has seen it
        self._known: _Lease | None = None  # as we have written it, or were shown that it is free: it need not be read
        self._observed: tuple[str, float] = ("", 0.0)  # resourceVersion of another's lease, when we first saw it
        self._runs_out = 0.0  # when that lease will have run out, unless it is renewed
        self._deadline = 0.0
        self._epoch: int | None = None
        self._leader_address = ""
        self._witnesses = Seldom(clock, _BELIEVED_AGAIN)
        self._floor = 0  # the highest epoch that we know to have been used

    @property
    def epoch(self) -> int | None:
        """Our epoch while we lead and our deadline has not passed, else None."""
        return self._epoch if self._clock.monotonic() < self._deadline else None

    def deadline(self) -> float:
        """Monotonic time until which we may act; 0 when we do not lead."""
        return self._deadline if self._epoch is not None else 0.0

    @property
    def leader_address(self) -> str:
        """`host:port` where the holder of the Lease answers for others, as last read; empty when nobody holds it."""
        return self._leader_address

    def raise_above(self, epoch: int, witness: str = "") -> None:
        """An agent or an object has seen this epoch: the next acquisition goes above it, and it comes at once.

        One that no history of elections explains is made up, and not believed: the Lease could soon be raised no more. A
        witness (the uid of an agent's pod) is believed once an hour against a leader: else a single node that lies would
        have it elected anew all the time.
        """
        if epoch > self._floor + _LARGEST_LEAP:
            _log.error("an epoch of %d is not believed: %d is the highest that is known", epoch, self._floor)
            return
        if witness and self._epoch is not None and epoch > self._epoch and not self._witnesses.is_worth_saying(witness):
            bound(_log, epoch=self._epoch).error("pod %s speaks of epoch %d once more: not believed", witness, epoch)
            return
        self._floor = max(self._floor, epoch)
        if self._epoch is not None and epoch > self._epoch:
            self._deadline = 0.0

    async def run(self) -> None:
        """Acquire, renew, lose, try again; until cancelled."""
        while True:
            began = self._clock.monotonic()
            held: int | None = None
            try:
                held = await asyncio.wait_for(self._try_once(began), self._patience(began))
            except (KubeError, TimeoutError) as error:
                _log.warning("the Lease could not be renewed or taken: %r", error)
            await self._follow_outcome(held, began)
            await self._rest(self._until_next())

    async def release(self) -> None:
        """Give the Lease back, so that a standby leads within a retry period. To be called after `run` was cancelled."""
        await self._step_down()
        lease, self._known = self._known, None
        try:
            lease = lease or await self._read()
            while lease is not None and lease.spec.holder_identity == self._identity:
                if await self._write(lease, holder="", transitions=lease.spec.lease_transitions):
                    return
                lease = await self._read()  # a renewal of ours came in between: it was cut off, not undone
        except KubeError as error:
            _log.info("the Lease was not given back: %s", error.sentence)

    async def _follow_outcome(self, held: int | None, began: float) -> None:
        """held: the epoch that the Lease says we hold, 0 = somebody else holds it, None = not known."""
        if held and held == self._epoch:
            self._deadline = began + self._timing.renew if held >= self._floor else 0.0
            if self._deadline:
                self._on_renewed(began)
        elif held:
            await self._step_down()
            self._floor = max(self._floor, held)
            self._epoch, self._deadline = held, began + self._timing.renew
            bound(_log, epoch=held).info("leading with epoch %d", held)
            await self._on_lead(held)
            self._on_renewed(began)
        elif held == 0 or self._clock.monotonic() >= self._deadline:
            await self._step_down()

    async def _step_down(self) -> None:
        if self._epoch is None:
            return
        bound(_log, epoch=self._epoch).warning("no longer leading")
        self._epoch, self._deadline = None, 0.0
        await self._on_follow()

    def _patience(self, began: float) -> float:
        """Seconds that a try may take: a leader has to know by its deadline."""
        longest = self._timing.renew - self._timing.retry
        return longest if self._epoch is None else max(min(longest, self._deadline - began), self._timing.retry / 2)

    def _until_next(self) -> float:
        """Seconds until the next try; a candidate is there when the Lease runs out, a leader in trouble at its deadline."""
        now = self._clock.monotonic()
        if self._epoch is not None:
            return max(min(self._timing.retry, self._deadline - now), 0.0)
        spread = self._timing.retry * random.uniform(1.0, 1.2)  # noqa: S311 (spreads load, guards nothing)
        left = self._runs_out - now
        return min(spread, left) if left > 0 else spread

    async def _rest(self, seconds: float) -> None:
        """Until the next try. A candidate watches meanwhile: a Lease that was given back is taken at once, not a retry later.

        What the watch shows is a reason to try again, and nothing is concluded from it: it may be late, and then the write
        is a conflict.
        """
        if self._epoch is not None or not self._version:
            await self._pause(seconds)
            return
        end = self._clock.monotonic() + seconds
        changes = self._api.watch(LEASES, self._namespace, resource_version=self._version)
        try:
            async with asyncio.timeout(seconds), aclosing(changes):
                async for event in changes:
                    if event.type != "BOOKMARK" and _NAMED.decode(event.object).metadata.name == names.LEASE_NAME:
                        shown = _LEASE.decode(event.object)
                        is_free = event.type == "MODIFIED" and not shown.spec.holder_identity
                        self._known = shown if is_free else None
                        return
        except (KubeError, TimeoutError, msgspec.DecodeError):
            pass  # the next try comes all the same
        await self._pause(max(end - self._clock.monotonic(), 0.0))

    async def _try_once(self, now: float) -> int:
        """Renew or take the Lease if it is free; our epoch, or 0. Only what is not known, or not true any more, is read."""
        self._version, self._runs_out = "", 0.0
        known, self._known = self._known, None
        if known is not None and (epoch := await self._take(known, now)):
            return epoch
        lease = await self._read()
        return await self._create() if lease is None else await self._take(lease, now)

    async def _take(self, lease: _Lease, now: float) -> int:
        self._learn(lease)
        spec = lease.spec
        ours = spec.holder_identity == self._identity
        if ours and spec.lease_transitions == self.epoch and self.epoch >= self._floor:
            return await self._write(lease, holder=self._identity, transitions=self.epoch)
        if ours or not spec.holder_identity or self._expired(lease, now):
            return await self._write(lease, holder=self._identity, transitions=self._floor + 1)
        return 0

    def _expired(self, lease: _Lease, now: float) -> bool:
        """Whether a foreign Lease has not changed for its duration, by our own clock."""
        version = lease.metadata.resource_version
        if self._observed[0] != version:
            self._observed = (version, now)
        self._runs_out = self._observed[1] + max(lease.spec.lease_duration_seconds, 1)
        return now >= self._runs_out

    async def _read(self) -> _Lease | None:
        try:
            raw = await self._api.get(LEASES, self._namespace, names.LEASE_NAME)
        except NotFoundError:
            return None
        lease = _LEASE.decode(raw)
        self._learn(lease)
        return lease

    def _learn(self, lease: _Lease) -> None:
        self._version = lease.metadata.resource_version
        held = bool(lease.spec.holder_identity)
        self._leader_address = lease.metadata.annotations.get(names.ANNOTATION_OPS_ADDRESS, "") if held else ""
        self._floor = max(self._floor, lease.spec.lease_transitions)  # also should the Lease be deleted later

    async def _create(self) -> int:
        transitions = self._floor + 1
        try:
            manifest = self._manifest(_Lease(Meta()), self._identity, transitions)
            made = await self._api.create(LEASES, self._namespace, manifest)
        except AlreadyExistsError:
            return 0
        self._known = _LEASE.decode(made)
        return transitions

    async def _write(self, lease: _Lease, *, holder: str, transitions: int) -> int:
        """Compare-and-swap. With the uid a Lease that is gone is a conflict; without it the PUT would make it again."""
        try:
            manifest = self._manifest(lease, holder, transitions)
            written = await self._api.replace(LEASES, self._namespace, names.LEASE_NAME, manifest)
        except ConflictError:
            return 0  # somebody else was quicker; the next try sees what is there
        self._known = _LEASE.decode(written)
        return transitions

    def _manifest(self, before: _Lease, holder: str, transitions: int) -> dict[str, Any]:
        now = self._clock.now()
        renewal = holder == before.spec.holder_identity and transitions == before.spec.lease_transitions
        acquired = before.spec.acquire_time if renewal and before.spec.acquire_time is not None else now
        life = {"resourceVersion": before.metadata.resource_version, "uid": before.metadata.uid}
        return {
            "apiVersion": api_version(LEASES),
            "kind": LEASES.kind,
            "metadata": {
                "name": names.LEASE_NAME,
                "namespace": self._namespace,
                "annotations": {names.ANNOTATION_OPS_ADDRESS: self._address if holder else ""},
                **{key: value for key, value in life.items() if value},
            },
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": max(1, round(self._timing.lease)) if holder else 1,
                "leaseTransitions": transitions,
                "renewTime": _micro_time(now),
                "acquireTime": _micro_time(acquired),
            },
        }


def _micro_time(moment: datetime) -> str:
    """Kubernetes' MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
