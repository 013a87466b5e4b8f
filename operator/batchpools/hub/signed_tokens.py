"""Decides whether a token is a node's without asking the API server: by its signature and its claims (safety rule S9.2).

For namespaced mode, which may not review tokens. That the pod lives and is a node's present pod is decided by the caller, from
the cache: a token outlives its pod by an hour at most, and nobody is admitted under a pod that is gone.
"""

from typing import Any

import jwt
import msgspec
from jwt.types import Options

from batchpools.api import names
from batchpools.hub.authentication import BoundPod
from batchpools.hub.published_keys import PublishedKeys
from batchpools.telemetry.clock import Clock

_MOST = 16 << 10  # bytes; tokens have about 1 KiB
_LEEWAY = 10.0  # seconds that our clock may be beside the API server's
_OPTIONS: Options = {
    "require": ["exp", "iss", "aud", "sub"],
    "verify_exp": False,  # times are checked by our own clock
    "verify_nbf": False,
    "verify_iat": False,
}


class _Named(msgspec.Struct):
    name: str
    uid: str


class _Kubernetes(msgspec.Struct):
    namespace: str
    pod: _Named


class _Claims(msgspec.Struct):
    sub: str
    exp: float
    bound: _Kubernetes = msgspec.field(name="kubernetes.io")
    nbf: float = 0.0


class SignedTokens:
    """Verifies tokens by the cluster's published keys."""

    def __init__(self, keys: PublishedKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    async def authenticate(self, token: str) -> BoundPod | None:
        """The pod a token is bound to, or None when it is no token for us; KubeError when no keys are known."""
        key_id = _key_id(token)
        if not key_id:
            return None
        published = await self._keys.with_key(key_id)
        key = published.keys.get(key_id)
        if key is None:
            return None
        try:
            told: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=names.TOKEN_AUDIENCE,
                issuer=published.issuer,
                options=_OPTIONS,
            )
            claims = msgspec.convert(told, _Claims)
        except (jwt.PyJWTError, msgspec.ValidationError):
            return None
        return self._bound_pod(claims)

    def _bound_pod(self, claims: _Claims) -> BoundPod | None:
        now = self._clock.now().timestamp()
        if not claims.nbf - _LEEWAY <= now < claims.exp + _LEEWAY:
            return None
        bound = claims.bound
        if claims.sub.split(":")[:3] != ["system", "serviceaccount", bound.namespace]:
            return None
        return BoundPod(bound.namespace, bound.pod.name, bound.pod.uid) if bound.pod.uid and bound.pod.name else None


def _key_id(token: str) -> str:
    """The key that a token names; empty when it is no token at all."""
    if len(token) > _MOST:
        return ""
    try:
        named = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        return ""
    return named if isinstance(named, str) else ""
