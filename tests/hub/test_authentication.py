"""Tokens: only one that is bound to a pod and meant for us names a node, and the API server is asked no more than needed."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from batchpools.api import names
from batchpools.hub.authentication import BoundPod, TokenReviewer
from batchpools.kube.errors import KubeError
from batchpools.kube.port import Resource
from batchpools.testing.clock import FakeClock
from batchpools.testing.fake_kube import FakeKube

EXTRA = {
    "authentication.kubernetes.io/pod-name": ["demo-0-1"],
    "authentication.kubernetes.io/pod-uid": ["uid-1"],
}
USER: dict[str, Any] = {"username": "system:serviceaccount:ns:default", "extra": EXTRA}
GOOD: dict[str, Any] = {"authenticated": True, "user": USER, "audiences": [names.TOKEN_AUDIENCE]}


class Reviews(FakeKube):
    """An API server that answers TokenReviews with a status of the test's choice."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__()
        self.status = status
        self.asked: list[Mapping[str, Any]] = []
        self.present = self.most = 0

    async def create(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> bytes:
        assert (resource.kind, resource.group, namespace) == ("TokenReview", "authentication.k8s.io", "")
        self.asked.append(manifest["spec"])
        self.present += 1
        self.most = max(self.most, self.present)
        await asyncio.sleep(0)
        self.present -= 1
        if "error" in self.status:
            raise KubeError(self.status["error"])
        return msgspec.json.encode({**manifest, "status": self.status})


async def test_a_bound_token_of_our_audience_names_its_pod() -> None:
    reviews = Reviews(GOOD)
    pod = await TokenReviewer(reviews, FakeClock()).authenticate("token")
    assert pod == BoundPod("ns", "demo-0-1", "uid-1")
    assert reviews.asked == [{"token": "token", "audiences": [names.TOKEN_AUDIENCE]}]


@pytest.mark.parametrize(
    "status",
    [
        {**GOOD, "authenticated": False},
        {**GOOD, "audiences": ["https://kubernetes.default.svc"]},
        {**GOOD, "audiences": []},
        {**GOOD, "user": {**USER, "extra": {}}},
        {**GOOD, "user": {**USER, "username": "admin"}},
        {},
    ],
)
async def test_any_other_token_names_none(status: dict[str, Any]) -> None:
    assert await TokenReviewer(Reviews(status), FakeClock()).authenticate("token") is None


async def test_a_good_answer_is_remembered_for_a_minute_and_a_bad_one_is_not() -> None:
    clock = FakeClock()
    reviews = Reviews(GOOD)
    reviewer = TokenReviewer(reviews, clock)
    for _ in range(3):
        await reviewer.authenticate("token")
    assert len(reviews.asked) == 1
    clock.advance(60.0)
    reviews.status = {}
    assert await reviewer.authenticate("token") is None
    assert await reviewer.authenticate("token") is None
    assert len(reviews.asked) == 3


async def test_many_hellos_at_once_do_not_flood_the_api_server() -> None:
    reviews = Reviews(GOOD)
    reviewer = TokenReviewer(reviews, FakeClock())
    await asyncio.gather(*(reviewer.authenticate(f"token-{number}") for number in range(50)))
    assert len(reviews.asked) == 50
    assert reviews.most <= 8


async def test_an_api_server_that_does_not_answer_is_no_verdict() -> None:
    with pytest.raises(KubeError, match="unavailable"):
        await TokenReviewer(Reviews({"error": "unavailable"}), FakeClock()).authenticate("token")
