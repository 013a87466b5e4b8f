"""The witnesses: files that tasks append to, processes on the machine, and the watch of the Task objects. They record, no more."""

import asyncio
import contextlib
import os
import threading
from pathlib import Path
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import load_credentials
from batchpools.kube.errors import GoneError, KubeError
from batchpools.kube.resources import TASKS
from e2e.cluster.local import LocalCluster
from e2e.cluster.processes import PodProcesses, variable_of
from e2e.faults.history import Seen, boottime

_RUNS = f"volumes/kubernetes.io~empty-dir/{names.VOLUME_ROOT}/shared/runs"


class Machine:
    """Looks at all pods each `every` seconds: who runs, and where the files of runs are.

    A file is held open from when it was first seen, so that it can be read after its pod and its directory are gone.
    """

    def __init__(self, cluster: LocalCluster, every: float = 0.1) -> None:
        self._every = every
        self._pods = cluster.node_root / str(cluster.at.run / "kubelet/pods").lstrip("/")
        self._processes = PodProcesses(cluster.at)
        self._files: dict[str, int] = {}
        self._last = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_again, name="machine")
        self.sightings: dict[str, float] = {}  # execution id -> when it was last seen to have a process

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and let go of the files."""
        self._over.set()
        self._thread.join()
        for descriptor in self._files.values():
            os.close(descriptor)

    def files(self) -> dict[str, str]:
        """What tasks have written so far, by pod uid."""
        return {uid: _whole(descriptor) for uid, descriptor in list(self._files.items())}

    def alive(self) -> set[str]:
        """Execution ids that had a process at the last look; RuntimeError when nobody looks any more."""
        if not self._thread.is_alive():
            raise RuntimeError("the machine is not looked at")
        return {one for one, seen in list(self.sightings.items()) if seen >= self._last}

    def _look_again(self) -> None:
        while not self._over.wait(self._every):
            now = boottime()  # before the look: whoever is seen was alive at this moment or later
            for pid in self._processes.all():
                one = variable_of(pid, "AZ_BATCH_TASK_EXECUTION_ID")
                if one:
                    self.sightings[one] = now
            self._last = now
            for uid in os.listdir(self._pods):
                if uid not in self._files:
                    with contextlib.suppress(OSError):  # no task has run there yet
                        self._files[uid] = os.open(self._pods / uid / _RUNS, os.O_RDONLY)


def _whole(descriptor: int) -> str:
    pieces = []
    offset = 0
    while piece := os.pread(descriptor, 1 << 20, offset):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces).decode()


class TaskWatch:
    """Every event of the Tasks of a namespace, in a thread and a loop of its own; it goes on over outages of the API server."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        os.environ["KUBECONFIG"] = str(kubeconfig)
        self._credentials = load_credentials()
        self._namespace = namespace
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="watch")
        self._task: asyncio.Task[None] | None = None
        self.events: list[Seen] = []
        self.over: set[str] = set()  # uids of tasks that have ended

    def start(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._thread.join()

    def _run(self) -> None:
        self._task = self._loop.create_task(self._watch())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(asyncio.sleep(0.25))  # TLS connections take a moment to close
            self._loop.close()

    async def _watch(self) -> None:
        client = KubeClient(self._credentials)
        version = ""
        try:
            while True:
                try:
                    if not version:
                        version = await self._list(client)
                    async for event in client.watch(TASKS, self._namespace, resource_version=version):
                        version = self._take(event.type, event.object)
                except GoneError:
                    version = ""
                except KubeError:
                    await asyncio.sleep(0.2)
        finally:
            await client.close()

    async def _list(self, client: KubeClient) -> str:
        page = ""
        while True:
            found = await client.list(TASKS, self._namespace, page=page)
            for item in found.items:
                self._take("MODIFIED", item)
            page = found.next_page
            if not page:
                return found.resource_version

    def _take(self, kind: str, raw: bytes) -> str:
        item: dict[str, Any] = msgspec.json.decode(raw)
        metadata = item["metadata"]
        if kind != "BOOKMARK":
            seen = Seen(metadata["uid"], metadata["name"], kind, item.get("status", {}))
            self.events.append(seen)
            if seen.is_over:
                self.over.add(seen.uid)
        return str(metadata["resourceVersion"])
