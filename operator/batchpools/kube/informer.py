"""Keeps one store like the API server's: list, then watch, for ever. An unreadable object is named once and passed over."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic

import msgspec

from batchpools.core.views import Meta
from batchpools.kube.cache import Store, ViewT
from batchpools.kube.errors import GoneError, KubeError
from batchpools.kube.port import KubeApi, Resource
from batchpools.telemetry.clock import Clock

_log = logging.getLogger(__name__)

STALE_AFTER = 90.0  # seconds without event or bookmark (safety rule S2.1)
_FIRST_DELAY = 0.2
_LAST_DELAY = 10.0


class _Named(msgspec.Struct):
    metadata: Meta


_NAMED = msgspec.json.Decoder(_Named)


class Informer(Generic[ViewT]):
    """One kind. `synced` is set after the first list; `relists` counts lists."""

    def __init__(  # noqa: PLR0913 (composed in one place)
        self,
        api: KubeApi,
        resource: Resource,
        store: Store[ViewT],
        view: type[ViewT],
        clock: Clock,
        *,
        label_selector: str = "",
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self.resource = resource
        self._store = store
        self._decoder = msgspec.json.Decoder(view)
        self._clock = clock
        self._selector = label_selector
        self._pause = pause
        self._unreadable: set[str] = set()
        self._last_heard = clock.monotonic()
        self.synced = asyncio.Event()
        self.relists = 0

    @property
    def age(self) -> float:
        """Seconds since the API server last said anything."""
        return self._clock.monotonic() - self._last_heard

    async def run(self) -> None:
        """List and watch until cancelled; back off while the API server fails."""
        delay = _FIRST_DELAY
        version = ""
        while True:
            try:
                if not version:
                    version = await self._relist()
                async for event in self._api.watch(
                    self.resource, resource_version=version, label_selector=self._selector
                ):
                    self._last_heard = self._clock.monotonic()
                    delay = _FIRST_DELAY
                    version = self._take(event.type, event.object)
            except GoneError:
                version = ""
            except KubeError as error:
                _log.warning("watch of %s failed: %s", self.resource.plural, error.sentence)
                await self._pause(delay)
                delay = min(delay * 2, _LAST_DELAY)

    async def _relist(self) -> str:
        """Take the whole list; what it does not hold is gone."""
        seen: set[tuple[str, str]] = set()
        page = ""
        while True:
            found = await self._api.list(self.resource, label_selector=self._selector, page=page)
            for raw in found.items:
                view = self._decode(raw)
                if view is not None:
                    seen.add((view.metadata.namespace, view.metadata.name))
                    self._store.put(view)
            page = found.next_page
            if not page:
                break
        for view in self._store:
            place = (view.metadata.namespace, view.metadata.name)
            if place not in seen:
                self._store.remove(*place)
        self._last_heard = self._clock.monotonic()
        self.relists += 1
        self.synced.set()
        return found.resource_version

    def _take(self, type_: str, raw: bytes) -> str:
        """Put one event into the store; the resourceVersion to go on from."""
        meta = _NAMED.decode(raw).metadata
        if type_ == "DELETED":
            self._store.remove(meta.namespace, meta.name)
        elif type_ in {"ADDED", "MODIFIED"}:
            view = self._decode(raw)
            if view is not None:
                self._store.put(view)
        return meta.resource_version

    def _decode(self, raw: bytes) -> ViewT | None:
        try:
            return self._decoder.decode(raw)
        except msgspec.ValidationError as error:
            name = _name_of(raw)
            if name not in self._unreadable:
                self._unreadable.add(name)
                _log.error("%s %s cannot be read and is passed over: %s", self.resource.kind, name, error)
            return None


def _name_of(raw: bytes) -> str:
    try:
        meta = _NAMED.decode(raw).metadata
    except msgspec.DecodeError:
        return "?"
    return f"{meta.namespace}/{meta.name}"
