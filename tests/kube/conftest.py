"""The two API servers that the contract suite runs against: FakeKube, and the real one in a namespace of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from tests.kube.real_server import own_group, own_namespace

from batchpools.kube.port import KubeApi
from batchpools.testing.fake_kube import FakeKube


@dataclass
class Server:
    """An API server and a namespace in it that belongs to the test."""

    api: KubeApi
    namespace: str


@pytest.fixture(scope="session")
def group_of_run() -> Iterator[str]:
    """Our CRDs under a group of this run, in the real cluster."""
    with own_group() as group:
        yield group


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def group(request: pytest.FixtureRequest) -> str:
    """Empty for FakeKube, else the group in the real cluster."""
    return str(request.getfixturevalue("group_of_run")) if request.param == "real" else ""


@pytest.fixture
async def server(group: str) -> AsyncIterator[Server]:
    if not group:
        yield Server(FakeKube(), "default")
        return
    async with own_namespace(group) as (client, namespace):
        yield Server(client, namespace)


def decode(raw: bytes) -> Any:
    return msgspec.json.decode(raw)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition; the test's own time limit ends a vain wait."""
    while not holds():  # noqa: ASYNC110 (any condition will do; in virtual time this costs nothing)
        await asyncio.sleep(0.01)
