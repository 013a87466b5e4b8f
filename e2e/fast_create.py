"""Creates many Tasks as quickly as the API server takes them: kubectl holds itself to 50 a second."""

import asyncio
import os
from collections.abc import Sequence

import msgspec

from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import load_credentials
from batchpools.kube.resources import TASKS
from e2e.stories import Manifest, Namespace


def create_tasks(space: Namespace, manifests: Sequence[Manifest]) -> list[Manifest]:
    """The created objects, in the same order."""
    return asyncio.run(_create(space, manifests))


async def _create(space: Namespace, manifests: Sequence[Manifest]) -> list[Manifest]:
    os.environ["KUBECONFIG"] = str(space.kubeconfig)
    client = KubeClient(load_credentials(), at_once=64)
    try:
        made = await asyncio.gather(*(client.create(TASKS, space.name, one) for one in manifests))
    finally:
        await client.close()
    return [msgspec.json.decode(one) for one in made]
