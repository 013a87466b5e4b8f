"""The two API servers that the contract suite runs against: FakeKube, and the real one in a namespace of its own."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import load_credentials
from batchpools.kube.errors import KubeError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import NAMESPACES, TASKS
from batchpools.testing.fake_kube import FakeKube

ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """An API server and a namespace in it that belongs to the test."""

    api: KubeApi
    namespace: str


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
async def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    if request.param == "fake":
        yield Server(FakeKube(), "default")
        return
    async for real in _real(monkeypatch):
        yield real


async def _real(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    local = ROOT / ".cluster" / "kubeconfig"
    if "KUBECONFIG" not in os.environ:
        if not local.exists():
            pytest.skip("no cluster: neither KUBECONFIG nor .cluster/kubeconfig is there (make up)")
        monkeypatch.setenv("KUBECONFIG", str(local))
    client = KubeClient(load_credentials())
    namespace = f"contract-{uuid.uuid4().hex[:8]}"
    try:
        await _need_crds(client)
        made = await client.create(NAMESPACES, "", {"metadata": {"name": namespace}})
        yield Server(client, namespace)
        await client.delete(NAMESPACES, "", namespace, uid=decode(made)["metadata"]["uid"])
    finally:
        await client.close()


async def _need_crds(client: KubeClient) -> None:
    try:
        await client.list(TASKS, "default")
    except KubeError as error:
        pytest.skip(f"the CRDs are not installed in this cluster (kubectl apply -f crds): {error.sentence}")


def decode(raw: bytes) -> Any:
    return msgspec.json.decode(raw)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition; the test's own time limit ends a vain wait."""
    while not holds():  # noqa: ASYNC110 (any condition will do; in virtual time this costs nothing)
        await asyncio.sleep(0.01)
