"""The keys with which the cluster signs tokens of service accounts, as it publishes them, and who the issuer is.

It decides when they are asked for again: when a token names an unknown key, but at most once a minute, and when they are old,
for a key that was withdrawn must not be believed for ever. It judges no token.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from jwt import PyJWK, PyJWTError

from batchpools.kube.errors import KubeError, UnreachableError
from batchpools.telemetry.clock import Clock

_log = logging.getLogger(__name__)

AT_MOST_EVERY = 60.0
OLD = 600.0
_AFTER_FAILURE = 1.0
_ASYMMETRIC = {"RSA", "EC", "OKP"}


@dataclass(frozen=True, slots=True)
class Published:
    """issuer: what `iss` must be. keys: public keys by their id."""

    issuer: str
    keys: dict[str, PyJWK]


Fetch = Callable[[], Awaitable[tuple[str, bytes]]]


def by_api_server(raw: Callable[[str], Awaitable[bytes]]) -> Fetch:
    """Issuer and key set from the API server: what every service account may read where the cluster has its defaults."""

    async def fetch() -> tuple[str, bytes]:
        discovery = json.loads(await raw("/.well-known/openid-configuration"))
        return str(discovery["issuer"]), await raw("/openid/v1/jwks")

    return fetch


def by_files(folder: Path) -> Fetch:
    """Issuer and key set from the files `issuer` and `jwks.json`: a ConfigMap, for clusters that hide what they publish."""

    async def fetch() -> tuple[str, bytes]:
        return (folder / "issuer").read_text().strip(), (folder / "jwks.json").read_bytes()

    return fetch


class PublishedKeys:
    """A cache of what `fetch` finds."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._held: Published | None = None
        self._at = 0.0  # monotonic, of the last try
        self._trouble: KubeError | None = None
        self._said = ""
        self._one = asyncio.Lock()

    async def with_key(self, key_id: str) -> Published:
        """What is published, asked for anew if that key is not in it and it is time; KubeError when nothing is known yet."""
        async with self._one:
            now = self._clock.monotonic()
            if self._is_due(key_id, now):
                await self._ask(now)
            if self._held is None:
                raise self._trouble or UnreachableError("no keys are known yet")
            return self._held

    def _is_due(self, key_id: str, now: float) -> bool:
        if self._held is None:
            return self._trouble is None or now - self._at >= _AFTER_FAILURE
        return now - self._at >= (OLD if key_id in self._held.keys else AT_MOST_EVERY)

    async def _ask(self, now: float) -> None:
        self._at = now
        try:
            issuer, key_set = await self._fetch()
            self._held = Published(issuer, _read(key_set))
            self._trouble = None
        except KubeError as error:
            self._trouble = error
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._trouble = UnreachableError(f"the cluster's keys cannot be read: {error!r}")
        told = self._trouble.sentence if self._trouble is not None else ""
        if told and told != self._said:
            _log.warning("the keys that sign tokens cannot be had, those known stay: %s", told)
        self._said = told


def _read(key_set: bytes) -> dict[str, PyJWK]:
    """Public keys by id; what is none, or has no id, is passed over."""
    keys = {}
    for entry in json.loads(key_set)["keys"]:
        if entry.get("kty") not in _ASYMMETRIC or not entry.get("kid"):
            continue
        try:
            keys[entry["kid"]] = PyJWK(entry)
        except PyJWTError as error:
            _log.warning("key %s is published and cannot be used: %s", entry["kid"], error)
    return keys
