"""Decides whether a token is a node's: TokenReview with our audience; the bound pod is the node's identity (safety rule S9.2)."""

import asyncio
import hashlib
from dataclasses import dataclass

import msgspec

from batchpools.api import names
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import TOKEN_REVIEWS
from batchpools.telemetry.clock import Clock

_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_REMEMBERED = 60.0
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class BoundPod:
    """The pod that a token is bound to."""

    namespace: str
    name: str
    uid: str


class _User(msgspec.Struct):
    username: str = ""
    extra: dict[str, list[str]] = {}


class _Status(msgspec.Struct):
    authenticated: bool = False
    user: _User = msgspec.field(default_factory=_User)
    audiences: list[str] = []
    error: str = ""


class _Review(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


class TokenReviewer:
    """Asks the API server; a good answer is remembered for a minute."""

    def __init__(self, api: KubeApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._known: dict[bytes, tuple[float, BoundPod]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def authenticate(self, token: str) -> BoundPod | None:
        """The pod a token is bound to, or None when it is no token for us; KubeError when nobody answers."""
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock.monotonic()
        known = self._known.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        async with self._slots:
            pod = await self._review(token)
        if pod is not None:
            self._known = {one: entry for one, entry in self._known.items() if entry[0] > now}
            self._known[digest] = (now + _REMEMBERED, pod)
        return pod

    async def _review(self, token: str) -> BoundPod | None:
        manifest = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "metadata": {},
            "spec": {"token": token, "audiences": [names.TOKEN_AUDIENCE]},
        }
        raw = await self._api.create(TOKEN_REVIEWS, "", manifest)
        status = msgspec.json.decode(raw, type=_Review).status
        parts = status.user.username.split(":")
        extra = status.user.extra
        if not status.authenticated or names.TOKEN_AUDIENCE not in status.audiences:
            return None
        if parts[:2] != ["system", "serviceaccount"] or not extra.get(_POD_NAME) or not extra.get(_POD_UID):
            return None
        return BoundPod(parts[2], extra[_POD_NAME][0], extra[_POD_UID][0])
