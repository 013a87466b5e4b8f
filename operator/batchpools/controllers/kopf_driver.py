"""kopf drives Pool, Job and JobSchedule on the leader: login, watching, resuming. Its handlers wake the work queue, no more.

kopf runs in a thread and a loop of its own, from winning the Lease to losing it. It keeps no state on objects (no
annotations, no finalizers of its own), so that a standby which takes over finds nothing to undo (safety rule S2.4).
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import kopf
from kopf._core.engines.peering import Identity

from batchpools.api import names
from batchpools.core.identity import Key

_log = logging.getLogger(__name__)

Wake = Callable[[Key], None]

_DRIVEN = (("Pool", "pools"), ("Job", "jobs"), ("JobSchedule", "jobschedules"))


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last-handled copy: the annotation would break objects above 256 KiB, and costs a deep copy an event."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:  # noqa: ARG002 (kopf's signature)
        """An empty essence: every state looks alike, and none is needed."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002 (kopf's signature)
        """Nothing was stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing."""


class KopfDriver:
    """Starts and stops kopf. `wake` is called on `loop`, for each event of a kind that kopf drives. namespaces: empty = all."""

    def __init__(self, wake: Wake, loop: asyncio.AbstractEventLoop, namespaces: Sequence[str] = ()) -> None:
        self._namespaces = namespaces
        self._wake = wake
        self._loop = loop
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run kopf in a thread of its own; a second call does nothing."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name="kopf", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask kopf to end. It does so by itself; what its handlers still say only wakes a queue."""
        self._stop.set()
        self._thread = None

    @property
    def alive(self) -> bool:
        """Whether kopf runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self, stop: threading.Event) -> None:
        registry = self._registry()
        asyncio.run(
            kopf.operator(
                registry=registry,
                settings=_settings(),
                identity=Identity("batchpools"),  # else it looks for a user name, and a container has none
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=stop,
            )
        )
        if not stop.is_set():
            _log.error("kopf ended by itself; the informers go on")

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(_login)
        for kind, plural in _DRIVEN:
            kopf.on.event(names.GROUP, names.VERSION, plural, registry=registry, param=kind)(self._on_event)
        return registry

    async def _on_event(self, *, name: str, namespace: str | None, param: Any = None, **_: Any) -> None:
        key = Key(param, namespace or "", name)
        self._loop.call_soon_threadsafe(self._wake, key)


def _login(**arguments: Any) -> Any:
    """The credentials that the `kubernetes` package finds: in the cluster, else the kubeconfig."""
    return kopf.login_via_client(**arguments)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    return settings
