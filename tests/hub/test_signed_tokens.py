"""Tokens without the API server: the right signature, issuer, audience, time and bound pod, or nobody (safety rule S9.2)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from batchpools.api import names
from batchpools.hub.authentication import BoundPod
from batchpools.hub.published_keys import AT_MOST_EVERY, OLD, PublishedKeys, by_api_server, by_files
from batchpools.hub.signed_tokens import SignedTokens
from batchpools.kube.errors import ForbiddenError, KubeError, UnreachableError
from batchpools.testing.clock import EPOCH, FakeClock

ISSUER = "https://kubernetes.default.svc.cluster.local"
NOW = EPOCH.timestamp()
RSA, STRANGER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
CURVE = ec.generate_private_key(ec.SECP256R1())
BOUND: dict[str, Any] = {
    "namespace": "ns",
    "pod": {"name": "demo-0-1", "uid": "uid-1"},
    "serviceaccount": {"name": "default", "uid": "sa-uid"},
}
CLAIMS: dict[str, Any] = {
    "aud": [names.TOKEN_AUDIENCE],
    "exp": NOW + 3600,
    "iat": NOW - 60,
    "iss": ISSUER,
    "kubernetes.io": BOUND,
    "nbf": NOW - 60,
    "sub": "system:serviceaccount:ns:default",
}


def published(**keys: Any) -> bytes:
    """A key set as the API server publishes it."""
    entries = []
    for key_id, key in keys.items():
        algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
        entry = json.loads(algorithm.to_jwk(key.public_key()))
        entries.append({**entry, "kid": key_id, "use": "sig", "alg": "RS256" if algorithm is RSAAlgorithm else "ES256"})
    return json.dumps({"keys": entries}).encode()


def token(key: Any = RSA, key_id: str | None = "a", algorithm: str = "RS256", **claims: Any) -> str:
    told = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode(told, key, algorithm, headers={"kid": key_id} if key_id is not None else None)


class Cluster:
    """What publishes keys, and counts how often it is asked."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keys = published(a=RSA, b=CURVE)
        self.trouble: Exception | None = None
        self.asked = 0
        self.tokens = SignedTokens(PublishedKeys(self._fetch, self.clock), self.clock)

    async def _fetch(self) -> tuple[str, bytes]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        return ISSUER, self.keys

    async def who(self, one: str) -> BoundPod | None:
        return await self.tokens.authenticate(one)


@pytest.mark.parametrize("one", [token(), token(CURVE, "b", "ES256"), token(aud=["x", names.TOKEN_AUDIENCE])])
async def test_a_token_that_the_cluster_signed_for_us_names_its_pod(one: str) -> None:
    assert await Cluster().who(one) == BoundPod("ns", "demo-0-1", "uid-1")


def without(path: str) -> dict[str, Any]:
    """The claim about what a token is bound to, without one of its parts."""
    bound = {**BOUND, "pod": {key: value for key, value in BOUND["pod"].items() if key != path}}
    return {key: value for key, value in bound.items() if key != path}


@pytest.mark.parametrize(
    ("wrong", "claims"),
    [
        ("audience", {"aud": ["https://kubernetes.default.svc"]}),
        ("no audience", {"aud": None}),
        ("issuer", {"iss": "https://elsewhere"}),
        ("no issuer", {"iss": None}),
        ("over", {"exp": NOW - 11}),
        ("without end", {"exp": None}),
        ("not yet", {"nbf": NOW + 11}),
        ("nobody's", {"sub": None}),
        ("a person's", {"sub": "admin"}),
        ("of another namespace's account", {"sub": "system:serviceaccount:other:default"}),
        ("bound to nothing", {"kubernetes.io": None}),
        ("bound to no pod", {"kubernetes.io": without("pod")}),
        ("bound to a pod without a uid", {"kubernetes.io": without("uid")}),
        ("bound to a pod without a name", {"kubernetes.io": without("name")}),
        ("bound to no namespace", {"kubernetes.io": without("namespace")}),
        ("bound to a Secret", {"kubernetes.io": {"namespace": "ns", "secret": {"name": "x", "uid": "y"}}}),
        ("empty uid", {"kubernetes.io": {"namespace": "ns", "pod": {"name": "x", "uid": ""}}}),
        ("a list for a pod", {"kubernetes.io": {"namespace": "ns", "pod": []}}),
    ],
)
async def test_each_wrong_claim_makes_it_nobodys(wrong: str, claims: dict[str, Any]) -> None:
    assert await Cluster().who(token(**claims)) is None, wrong


async def test_a_signature_of_another_key_an_unsigned_token_and_garbage_are_nobodys() -> None:
    public = jwt.PyJWK(json.loads(published(a=RSA))["keys"][0]).key.public_numbers().n
    unsigned = jwt.encode(CLAIMS, "", "none", headers={"kid": "a"})
    with_public_key = jwt.encode(CLAIMS, str(public) * 2, "HS256", headers={"kid": "a"})
    head, body, _ = token().split(".")
    foreign = [
        token(STRANGER), token(key_id=None), token(CURVE, "a", "ES256"), token(RSA, "b"), unsigned, with_public_key,
        f"{head}.{body}.", f"{head}.{body}.AAAA", "", "a.b.c", "x" * 20_000, "ü",
    ]  # fmt: skip
    cluster = Cluster()
    assert [await cluster.who(one) for one in foreign] == [None] * len(foreign)
    assert await cluster.who(token()) is not None


async def test_a_clock_that_is_a_little_beside_does_no_harm() -> None:
    cluster = Cluster()
    for one in (token(exp=NOW - 9), token(nbf=NOW + 9)):
        assert await cluster.who(one) is not None


async def test_keys_are_asked_for_once_also_by_many_at_once() -> None:
    cluster = Cluster()
    await asyncio.gather(*(cluster.who(token()) for _ in range(20)))
    assert cluster.asked == 1


async def test_an_unknown_key_has_them_asked_for_again_at_most_once_a_minute() -> None:
    cluster = Cluster()
    await cluster.who(token())
    cluster.keys = published(a=RSA, new=STRANGER)
    fresh = token(STRANGER, "new")
    for _ in range(50):
        assert await cluster.who(fresh) is None
    assert cluster.asked == 1
    cluster.clock.advance(AT_MOST_EVERY)
    assert await cluster.who(fresh) is not None
    for _ in range(50):
        await cluster.who(token(STRANGER, "never"))
    assert cluster.asked == 2


async def test_a_key_that_is_withdrawn_is_not_believed_for_ever() -> None:
    cluster = Cluster()
    assert await cluster.who(token(exp=NOW + 7200)) is not None
    cluster.keys = published(b=CURVE)
    cluster.clock.advance(OLD - 1)
    assert await cluster.who(token(exp=NOW + 7200)) is not None
    cluster.clock.advance(1)
    assert await cluster.who(token(exp=NOW + 7200)) is None


async def test_without_keys_there_is_no_verdict_and_what_was_known_outlives_an_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster()
    cluster.trouble = ForbiddenError("jwks is forbidden", 403)
    for _ in range(5):
        with pytest.raises(KubeError, match="jwks is forbidden"):
            await cluster.who(token())
    assert cluster.asked == 1, "a flood of hellos is no flood of questions"
    cluster.clock.advance(1)
    with pytest.raises(KubeError, match="jwks is forbidden"):
        await cluster.who(token())
    assert (cluster.asked, len(caplog.records)) == (2, 1), "and is said once"
    cluster.clock.advance(1)
    cluster.trouble = None
    assert await cluster.who(token()) is not None
    cluster.trouble = UnreachableError("refused")
    cluster.clock.advance(OLD)
    assert await cluster.who(token(exp=NOW + 7200)) is not None


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"keys": [{"kty": "RSA", "kid": "a"}]}'])
async def test_a_key_set_that_makes_no_sense_gives_nobody_entry(answer: bytes) -> None:
    cluster = Cluster()
    cluster.keys = answer
    try:
        assert await cluster.who(token()) is None
    except KubeError as error:
        assert "cannot be read" in error.sentence  # noqa: PT017 (either will do)


async def test_keys_without_an_id_and_shared_secrets_are_passed_over() -> None:
    cluster = Cluster()
    entries = json.loads(published(a=RSA))["keys"]
    secret = {"kty": "oct", "kid": "s", "k": "c2VjcmV0LXRoYXQtaXMtcHVibGlzaGVkLWZvci1hbGw"}
    cluster.keys = json.dumps({"keys": [{**entries[0], "kid": ""}, secret, *entries]}).encode()
    assert await cluster.who(token()) is not None
    forged = jwt.encode(CLAIMS, "secret-that-is-published-for-all", "HS256", headers={"kid": "s"})
    assert await cluster.who(forged) is None


async def test_where_keys_come_from(tmp_path: Path) -> None:
    keys = published(a=RSA)
    pages = {"/.well-known/openid-configuration": json.dumps({"issuer": ISSUER}).encode(), "/openid/v1/jwks": keys}

    async def raw(path: str) -> bytes:
        return pages[path]

    (tmp_path / "issuer").write_text(f"{ISSUER}\n")
    (tmp_path / "jwks.json").write_bytes(keys)
    assert await by_api_server(raw)() == await by_files(tmp_path)() == (ISSUER, keys)
