"""The real API server for the contract suite: our CRDs under a group of its own, where no operator of the cluster touches them."""

import asyncio
import os
import uuid
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from batchpools.api import names
from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import load_credentials
from batchpools.kube.errors import NotFoundError
from batchpools.kube.port import Resource
from batchpools.kube.resources import CONFIG_MAPS, NAMESPACES, PODS, POOLS, TASKS

_ROOT = Path(__file__).parents[2]
_LOCAL = _ROOT / ".cluster" / "kubeconfig"
_SERVICE_ACCOUNTS = Resource("ServiceAccount", "", "v1", "serviceaccounts")
_CRDS = Resource(
    "CustomResourceDefinition", "apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False
)


class ApartClient(KubeClient):
    """A KubeClient that says another group wherever we say ours."""

    def __init__(self, group: str) -> None:
        super().__init__(load_credentials())
        self._group = group

    async def _send(
        self,
        method: str,
        path: str,
        plural: str,
        verb: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> bytes:
        """Owner references too: the garbage collector deletes the children of what it does not find."""
        ours, other = (f'"{group}/{names.VERSION}"'.encode() for group in (names.GROUP, self._group))
        told = None if body is None else msgspec.json.decode(msgspec.json.encode(body).replace(ours, other))
        return await super()._send(method, self._apart(path), plural, verb, query=query, body=told)

    def _stream(
        self, verb: str, path: str, plural: str, query: Mapping[str, str], *, pieces: bool = False
    ) -> AsyncGenerator[bytes, None]:
        return super()._stream(verb, self._apart(path), plural, query, pieces=pieces)

    def _apart(self, path: str) -> str:
        return path.replace(f"/apis/{names.GROUP}/", f"/apis/{self._group}/")


@contextmanager
def own_group() -> Iterator[str]:
    """A group with our CRDs, for one run of the tests; the run is skipped where there is no cluster."""
    with pytest.MonkeyPatch.context() as patch:
        if "KUBECONFIG" not in os.environ:
            if not _LOCAL.exists():
                pytest.skip("no cluster: neither KUBECONFIG nor .cluster/kubeconfig is there (make up)")
            patch.setenv("KUBECONFIG", str(_LOCAL))
        group = f"contract-{uuid.uuid4().hex[:8]}.{names.GROUP}"
        crds = [yaml.safe_load(path.read_text()) for path in sorted((_ROOT / "crds").glob("*.yaml"))]
        asyncio.run(_install(group, crds))
        try:
            yield group
        finally:
            asyncio.run(_remove(group, crds))


@asynccontextmanager
async def own_namespace(group: str) -> AsyncGenerator[tuple[KubeClient, str], None]:
    """A client that speaks of this group, and a namespace of one test."""
    client = ApartClient(group)
    namespace = f"contract-{uuid.uuid4().hex[:8]}"
    try:
        made = await client.create(NAMESPACES, "", {"metadata": {"name": namespace}})
        await _there(client.get(_SERVICE_ACCOUNTS, namespace, "default") for _ in count())  # pods are refused before
        yield client, namespace
        await _drop_finalizers(client, namespace)
        await client.delete(NAMESPACES, "", namespace, uid=_uid(made))
    finally:
        await client.close()


async def _drop_finalizers(client: KubeClient, namespace: str) -> None:
    """A test that failed may have left some, and they would hold namespace and CRDs for ever."""
    for resource in (POOLS, TASKS, PODS, CONFIG_MAPS):
        for raw in (await client.list(resource, namespace)).items:
            metadata = msgspec.json.decode(raw)["metadata"]
            if metadata.get("finalizers"):
                nothing = [{"op": "remove", "path": "/metadata/finalizers"}]
                await client.patch(resource, namespace, metadata["name"], nothing)


async def _install(group: str, crds: list[dict[str, Any]]) -> None:
    client = ApartClient(group)
    for crd in crds:
        plural = crd["spec"]["names"]["plural"]
        # short names belong to the real group: kubectl must not meet them twice
        spec = {**crd["spec"], "group": group, "names": {**crd["spec"]["names"], "shortNames": [], "categories": []}}
        await client.create(_CRDS, "", {**crd, "metadata": {"name": f"{plural}.{group}"}, "spec": spec})
    for crd in crds:
        resource = Resource(crd["spec"]["names"]["kind"], group, names.VERSION, crd["spec"]["names"]["plural"])
        await _there(client.list(resource, "default") for _ in count())
    await client.close()


async def _there(questions: Iterator[Awaitable[object]]) -> None:
    """Ask until the answer is something else than "not found"."""
    for question in questions:
        try:
            await question
        except NotFoundError:
            await asyncio.sleep(0.05)
        else:
            return


async def _remove(group: str, crds: list[dict[str, Any]]) -> None:
    client = ApartClient(group)
    for crd in crds:
        name = f"{crd['spec']['names']['plural']}.{group}"
        await client.delete(_CRDS, "", name, uid=_uid(await client.get(_CRDS, "", name)))
    await client.close()


def _uid(raw: bytes) -> str:
    return str(msgspec.json.decode(raw)["metadata"]["uid"])
