"""Keeps one store like the API server's: list, then watch, for ever. An unreadable object is named once and passed over."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Generic

import msgspec

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.views import Meta
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
_Meta = Meta | _Name  # of an object that can be read whole, and of any other


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
        self._watch: asyncio.Timeout | None = None  # around the watch that is open now
        self._watch_began = 0.0
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

    def begin_anew(self, silence: float) -> bool:
        """Give up a watch that has said nothing for so many seconds, and watch again from there: it may have died unnoticed.

        Whether it was given up; one that speaks, or is only as old, is not, and a list is let finish.
        """
        since = max(self._last_heard, self._watch_began)
        if self._watch is None or self._clock.monotonic() - since < silence:
            return False
        self._watch.reschedule(0.0)
        self._watch = None
        return True

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
        self._watch_began = self._clock.monotonic()
        try:
            async with asyncio.timeout(None) as given_up:
                self._watch = given_up
                await self._follow()
        except TimeoutError:
            if not given_up.expired():
                raise
            _log.warning("watch of %s said nothing and begins anew", self.resource.plural)
        finally:
            self._watch = None

    async def _follow(self) -> None:
        async for event in self._api.watch(
            self.resource, self.namespace, resource_version=self._version, label_selector=self._selector
        ):
            self._barren = 0
            self._last_heard = self._clock.monotonic()
            self._take(event)

    async def _relist(self) -> str:
        """Take the whole list; what it does not hold is gone. The resourceVersion to watch from."""
        seen: set[tuple[str, str]] = set()
        marks: list[_Meta] = []
        page = ""
        while True:
            found = await self._api.list(self.resource, self.namespace, label_selector=self._selector, page=page)
            for raw in found.items:
                meta = self._put(raw)
                if meta is not None and _is_barrier(meta):
                    marks.append(meta)
                elif meta is not None:
                    seen.add((meta.namespace, meta.name))
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
        is_there = event.type in {"ADDED", "MODIFIED"}
        meta = self._put(event.object) if is_there else _name_of(event.object)
        if meta is None:
            return
        if event.type == "DELETED":
            self._unreadable.discard((meta.namespace, meta.name))
            self._store.remove(meta.namespace, meta.name)
        elif is_there and _is_barrier(meta):
            self._tell_mark(meta)
        self._version = meta.resource_version

    def _tell_mark(self, meta: _Meta) -> None:
        self.on_mark(meta.namespace, meta.name, meta.annotations.get(names.ANNOTATION_EPOCH, ""))

    def _put(self, raw: bytes) -> _Meta | None:
        """Decode and store, unless it is a barrier; its metadata, None when it has none that can be read.

        An object that cannot be read stays as it was: to take it away would be a false deletion.
        """
        try:
            view = self._decoder.decode(raw)
        except msgspec.DecodeError as error:
            return self._pass_over(raw, error)
        meta = view.metadata
        if not _is_barrier(meta):
            if self._unreadable:
                self._unreadable.discard((meta.namespace, meta.name))
            self._store.put(view)
        return meta

    def _pass_over(self, raw: bytes, error: msgspec.DecodeError) -> _Name | None:
        """Say once which object cannot be read."""
        named = _name_of(raw)
        if named is not None and not _is_barrier(named) and (named.namespace, named.name) not in self._unreadable:
            self._unreadable.add((named.namespace, named.name))
            key = Key(self.resource.kind, named.namespace, named.name)
            about(_log, key).error("%s %s/%s cannot be read and is passed over: %s", *key, error)
        return named


def _is_barrier(meta: _Meta) -> bool:
    return meta.labels.get(names.LABEL_INTERNAL) == "barrier"


def _name_of(raw: bytes) -> _Name | None:
    try:
        return _NAMED.decode(raw).metadata
    except msgspec.DecodeError as error:
        _log.error("something without a name came from a watch: %s", error)
        return None
