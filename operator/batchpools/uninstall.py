"""`python -m batchpools uninstall`: what the chart's pre-delete hook runs. It takes away what the operator made for itself."""

import asyncio
import os
from collections.abc import Sequence

from batchpools.kube.barrier import remove_barrier
from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import load_credentials
from batchpools.kube.errors import KubeError
from batchpools.settings import SettingError, read_settings


def main(_: Sequence[str] = ()) -> int:
    """Remove the barrier's objects; 1 with a sentence when the API server refuses, 2 when a setting is wrong."""
    try:
        settings = read_settings(os.environ)
        asyncio.run(_remove(settings.watch_namespaces or (settings.namespace,)))
    except SettingError as error:
        print(f"batchpools uninstall: {error}")
        return 2
    except KubeError as error:
        print(f"batchpools uninstall: {error.sentence}")
        return 1
    return 0


async def _remove(namespaces: Sequence[str]) -> None:
    client = KubeClient(load_credentials())
    try:
        for namespace in namespaces:
            await remove_barrier(client, namespace)
    finally:
        await client.close()
