"""Keeps one store like the API server's: list, then watch, for ever. An unreadable object is named once and passed over."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Generic

import msgspec

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.kube.cache import Store, ViewT
from batchpools.kube.errors import GoneError, KubeError
from batchpools.kube.port import KubeApi, Resource, WatchEvent
from batchpools.telemetry.clock import Clock
from batchpools.telemetry.logs import about

_log = logging.getLogger(__name__)

STALE_AFTER = 90.0  # seconds without event or bookmark (safety rule S2.1)
_FIRST_DELAY = 0.2
_LAST_DELAY = 10.0


class _Name(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Named(msgspec.Struct):
    """As little as possible: what is wrong in the rest of an object must not hide its name."""

    metadata: _Name


_NAMED = msgspec.json.Decoder(_Named)


class Informer(Generic[ViewT]):
    """One kind, in one namespace or (empty) in all. `synced` is set after the first list; `relists` counts lists.

    The barrier's objects never reach the store: `on_mark(namespace, name, mark)` is told of them, once everything that a
    list or the watch holds before them is in the store.
    """

    def __init__(  # noqa: PLR0913 (composed in one place)
        self,
        api: KubeApi,
        resource: Resource,
        store: Store[ViewT],
        view: type[ViewT],
        clock: Clock,
        *,
        namespace: str = "",
        label_selector: str = "",
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self.resource = resource
        self._store = store
        self._decoder = msgspec.json.Decoder(view)
        self._clock = clock
        self.namespace = namespace
        self._selector = label_selector
        self._pause = pause
        self._unreadable: set[tuple[str, str]] = set()
        self._last_heard = clock.monotonic()
        self._version = ""
        self._barren = 0  # rounds in a row that brought nothing
        self.synced = asyncio.Event()
        self.relists = 0
        self.on_mark: Callable[[str, str, str], None] = lambda *_: None

    @property
    def age(self) -> float:
        """Seconds since the API server last said anything."""
        return self._clock.monotonic() - self._last_heard

    @property
    def stale(self) -> bool:
        """Whether the store may no longer be like the API server's: no negative conclusion may be drawn from it."""
        return self.age > STALE_AFTER

    async def run(self) -> None:
        """List and watch until cancelled; back off, with jitter, while nothing comes of it."""
        while True:
            try:
                await self._round()
            except GoneError as gone:
                _log.info("watch of %s begins anew: %s", self.resource.plural, gone.sentence)
                self._version = ""
            except KubeError as error:
                _log.warning("watch of %s failed: %s", self.resource.plural, error.sentence)
            self._barren += 1
            if self._barren > 1:
                delay = min(_FIRST_DELAY * 2 ** min(self._barren - 2, 10), _LAST_DELAY)
                await self._pause(delay * random.uniform(0.5, 1.0))  # noqa: S311 (spreads load, guards nothing)

    async def _round(self) -> None:
        """One watch, after a list if there is none to go on from."""
        if not self._version:
            self._version = await self._relist()
        async for event in self._api.watch(
            self.resource, self.namespace, resource_version=self._version, label_selector=self._selector
        ):
            self._barren = 0
            self._last_heard = self._clock.monotonic()
            self._take(event)

    async def _relist(self) -> str:
        """Take the whole list; what it does not hold is gone. The resourceVersion to watch from."""
        seen: set[tuple[str, str]] = set()
        marks: list[_Name] = []
        page = ""
        while True:
            found = await self._api.list(self.resource, self.namespace, label_selector=self._selector, page=page)
            for raw in found.items:
                named = _name_of(raw)
                if named is not None and _is_barrier(named):
                    marks.append(named)
                elif named is not None:
                    seen.add((named.namespace, named.name))
                    self._put(raw, named)
            page = found.next_page
            if not page:
                break
        for view in self._store:
            place = (view.metadata.namespace, view.metadata.name)
            if place not in seen and self.namespace in {"", place[0]}:
                self._store.remove(*place)
        self._last_heard = self._clock.monotonic()
        self.relists += 1
        self.synced.set()
        for mark in marks:
            self._tell_mark(mark)
        return found.resource_version

    def _take(self, event: WatchEvent) -> None:
        named = _name_of(event.object)
        if named is None:
            return
        if event.type == "DELETED":
            self._unreadable.discard((named.namespace, named.name))
            self._store.remove(named.namespace, named.name)
        elif event.type in {"ADDED", "MODIFIED"} and _is_barrier(named):
            self._tell_mark(named)
        elif event.type in {"ADDED", "MODIFIED"}:
            self._put(event.object, named)
        self._version = named.resource_version

    def _tell_mark(self, named: _Name) -> None:
        self.on_mark(named.namespace, named.name, named.annotations.get(names.ANNOTATION_EPOCH, ""))

    def _put(self, raw: bytes, named: _Name) -> None:
        """Decode and store. An object that cannot be read stays as it was: to take it away would be a false deletion."""
        place = (named.namespace, named.name)
        try:
            view = self._decoder.decode(raw)
        except msgspec.DecodeError as error:
            if place not in self._unreadable:
                self._unreadable.add(place)
                key = Key(self.resource.kind, *place)
                about(_log, key).error("%s %s/%s cannot be read and is passed over: %s", *key, error)
            return
        self._unreadable.discard(place)
        self._store.put(view)


def _is_barrier(named: _Name) -> bool:
    return named.labels.get(names.LABEL_INTERNAL) == "barrier"


def _name_of(raw: bytes) -> _Name | None:
    try:
        return _NAMED.decode(raw).metadata
    except msgspec.DecodeError as error:
        _log.error("something without a name came from a watch: %s", error)
        return None
