"""An API server in memory behind `KubeApi`. One contract suite (tests/kube) holds it to the real one.

Tests seed it and look into it with plain calls (`seed`, `object`, `set_status`, ...), which are not counted in `calls`;
`faults` says what goes wrong. It never acts by itself: no kubelet, no garbage collector, no time but the clock's.
"""

import asyncio
from bisect import bisect_right, insort
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from batchpools.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    GoneError,
    InvalidError,
    NotFoundError,
)
from batchpools.kube.port import ListPage, PatchOperation, Resource, WatchEvent
from batchpools.kube.resources import BY_KIND
from batchpools.telemetry.clock import Clock
from batchpools.testing import object_rules
from batchpools.testing.clock import FakeClock
from batchpools.testing.faults import Faults
from batchpools.testing.fresh_status import filled
from batchpools.testing.json_patch import apply_patch
from batchpools.testing.object_rules import Object, as_json
from batchpools.testing.selection import fields_match, labels_match

_PAGE = 500
_REVIEWS = ("TokenReview", "SubjectAccessReview")

Place = tuple[str, str, str]  # kind, namespace, name
Review = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Sink = Callable[[WatchEvent | GoneError | None], None]  # an event, or how the watch ends
Observer = Callable[[str, Object | None, Object | None], None]  # kind, before, after


class Call(msgspec.Struct, frozen=True):
    """A request that came in; body is the manifest or the patch's operations."""

    verb: str
    kind: str
    namespace: str
    name: str = ""
    subresource: str = ""
    body: Any = None


class _Change:
    """One line of history; old is what was there before, new is None when it was deleted: the line then carries `last`."""

    __slots__ = ("_encoded", "_events", "kind", "last", "namespace", "new", "old", "version")

    def __init__(
        self, version: int, kind: str, namespace: str, old: Object | None, new: Object | None, last: Object
    ) -> None:
        self.version = version
        self.kind = kind
        self.namespace = namespace
        self.old = old
        self.new = new
        self.last = last
        self._encoded = b""
        self._events: dict[str, WatchEvent] = {}

    @property
    def encoded(self) -> bytes:
        """The object as it travels; encoded once, however many read it."""
        if not self._encoded:
            self._encoded = _encode(self.last)
        return self._encoded

    def event(self, word: str) -> WatchEvent:
        """What watches send of it; the same for all of them."""
        if word not in self._events:
            self._events[word] = WatchEvent(word, self.encoded)
        return self._events[word]


@dataclass(frozen=True, slots=True, eq=False)
class _Watch:
    """Somebody who watches a kind."""

    resource: Resource
    namespace: str
    labels: str
    sink: Sink

    def tell(self, change: _Change) -> None:
        """Send what it sees of a change."""
        event = _event(change, self.resource, self.namespace, self.labels)
        if event is not None:
            self.sink(event)


class FakeKube:
    """The API server. `calls` is what was asked through KubeApi, `faults` what is to go wrong."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or FakeClock()
        self._objects: dict[Place, Object] = {}
        self._version = 1000
        self._history: list[_Change] = []
        self._oldest = 0
        self._pages: dict[str, tuple[list[bytes], str]] = {}
        self._made = 0
        self._places: dict[str, list[Place]] = {}  # by kind, sorted
        self._latest: dict[Place, _Change] = {}
        self._watches: dict[str, list[_Watch]] = {}  # by kind
        self._reviews: dict[str, Review] = {}
        self._closing: set[str] = set()
        self._observers: list[Observer] = []
        self.faults = Faults()
        self.calls: list[Call] = []

    # ---------------------------------------------------------------- KubeApi

    async def get(self, resource: Resource, namespace: str, name: str) -> bytes:
        """One object; NotFound."""
        async with self._call(Call("get", resource.kind, namespace, name)):
            return self._encoded(resource, self._held(resource, namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        page: str = "",
    ) -> ListPage:
        """A page of at most 500 objects, consistent over all pages; Gone when the page token is too old."""
        async with self._call(Call("list", resource.kind, namespace)):
            if page:
                if page not in self._pages:
                    raise GoneError("The provided continue parameter is too old", 410, "Expired")
                rest, version = self._pages.pop(page)
            else:
                rest, version = self._found(resource, namespace, label_selector, field_selector), str(self._version)
            token = ""
            if len(rest) > _PAGE:
                self._made += 1
                token = f"page-{self._made}"
                self._pages[token] = (rest[_PAGE:], version)
            return ListPage(tuple(rest[:_PAGE]), version, token)

    async def watch(
        self, resource: Resource, namespace: str = "", *, resource_version: str, label_selector: str = ""
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after resource_version; ends when the test ends it; Gone on 410."""
        async with self._call(Call("watch", resource.kind, namespace)):
            queue: asyncio.Queue[WatchEvent | GoneError | None] = asyncio.Queue()
            stop = self.open_watch(resource, namespace, resource_version, label_selector, queue.put_nowait)
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, GoneError):
                    raise item
                yield item
        finally:
            stop()

    def open_watch(
        self, resource: Resource, namespace: str, resource_version: str, label_selector: str, sink: Sink
    ) -> Callable[[], None]:
        """Have `sink` told of each event after resource_version as it happens, then None or the error that ends the watch.

        Returns what stops it; GoneError.
        """
        seen = int(resource_version)
        if seen < self._oldest:
            raise GoneError(f"too old resource version: {seen} ({self._oldest})", 410, "Expired")
        watch = _Watch(resource, namespace, label_selector, sink)
        for change in self._history[bisect_right(self._history, seen, key=lambda one: one.version) :]:
            watch.tell(change)
        watches = self._watches.setdefault(resource.kind, [])
        watches.append(watch)

        def stop() -> None:
            if watch in watches:
                watches.remove(watch)

        return stop

    async def create(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> bytes:
        """The created object; AlreadyExists, Invalid, Forbidden."""
        metadata = manifest.get("metadata") or {}
        name = str(metadata.get("name", ""))
        async with self._call(Call("create", resource.kind, namespace, name, body=manifest)):
            if resource.kind in _REVIEWS:
                answer = self._reviews.get(resource.kind, _answer_no)
                return _encode({**manifest, "status": dict(answer(manifest))})
            if namespace in self._closing:
                raise object_rules.forbidden_in(namespace, resource, name)
            if not name and metadata.get("generateName"):
                name = f"{metadata['generateName']}{self._made:05x}"
            if (resource.kind, namespace, name) in self._objects:
                raise AlreadyExistsError(f'{resource.plural} "{name}" already exists', 409, "AlreadyExists")
            return self._encoded(resource, self._add(resource, namespace, name, manifest))

    async def rehearse(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> None:
        """What a create would answer; nothing is made."""
        name = str(manifest["metadata"]["name"])
        async with self._call(Call("rehearse", resource.kind, namespace, name, body=manifest)):
            if namespace in self._closing:
                raise object_rules.forbidden_in(namespace, resource, name)
            if (resource.kind, namespace, name) in self._objects:
                raise AlreadyExistsError(f'{resource.plural} "{name}" already exists', 409, "AlreadyExists")

    async def replace(self, resource: Resource, namespace: str, name: str, manifest: Mapping[str, Any]) -> bytes:
        """PUT with the manifest's resourceVersion; Conflict."""
        async with self._call(Call("replace", resource.kind, namespace, name, body=manifest)):
            if resource.kind == "Lease" and (resource.kind, namespace, name) not in self._objects:
                if uid := as_json(manifest)["metadata"].get("uid"):
                    raise _conflict(resource, name, f"the life {uid} is over")
                # so does the real one, whatever the version
                return self._encoded(resource, self._add(resource, namespace, name, manifest))
            old = self._held(resource, namespace, name)
            return self._encoded(resource, self._change(resource, old, as_json(manifest), ""))

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        operations: Sequence[PatchOperation],
        *,
        subresource: str = "",
    ) -> bytes:
        """JSON Patch; NotFound, TestFailed, Invalid."""
        async with self._call(Call("patch", resource.kind, namespace, name, subresource, list(operations))):
            if subresource and not object_rules.has_status(resource):
                raise NotFoundError("the server could not find the requested resource", 404, "NotFound")
            old = self._held(resource, namespace, name)
            new = apply_patch(old, as_json(list(operations)))
            return self._encoded(resource, self._change(resource, old, new, subresource))

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str = "",
        grace_seconds: int | None = None,
    ) -> None:
        """Delete one life of an object; NotFound, Conflict when uid or resourceVersion differ."""
        async with self._call(Call("delete", resource.kind, namespace, name)):
            old = self._held(resource, namespace, name)
            metadata = old["metadata"]
            if metadata["uid"] != uid or resource_version not in {"", metadata["resourceVersion"]}:
                raise _conflict(resource, name, "a precondition does not match the record")
            self._store(resource, old, object_rules.doomed(resource, old, self._now(), grace_seconds))

    # ---------------------------------------------------------------- for tests

    def seed(self, manifest: Mapping[str, Any]) -> Object:
        """Put an object there as it stands, with its uid and status; what is missing is made up. Replaces one of that name."""
        resource = BY_KIND[manifest["kind"]]
        metadata = as_json(manifest["metadata"])
        namespace = metadata.get("namespace", "default") if resource.namespaced else ""
        item = object_rules.fresh(resource, manifest, metadata["name"], namespace, metadata.get("uid") or self._uid())
        item["metadata"] = {"creationTimestamp": self._now(), **item["metadata"], **metadata}
        if manifest.get("status"):
            item["status"] = filled(resource.kind, as_json(manifest["status"]))
        return self._store(resource, self._objects.get((resource.kind, namespace, metadata["name"])), item)

    def object(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """What is there now; not to be changed."""
        return self._objects.get((resource.kind, namespace, name))

    def objects(self, resource: Resource, namespace: str = "") -> tuple[Object, ...]:
        """All of a kind, by name."""
        places = self._places.get(resource.kind, ())
        return tuple([self._objects[place] for place in places if not namespace or place[1] == namespace])

    def observe(self, observer: Observer) -> None:
        """Have it told of every change at the moment that it is made."""
        self._observers.append(observer)

    def bind_pod(self, namespace: str, name: str, machine: str) -> Object:
        """What the scheduler does."""
        resource = BY_KIND["Pod"]
        old = self._held(resource, namespace, name)
        return self._store(resource, old, {**old, "spec": {**old["spec"], "nodeName": machine}})

    def set_status(self, resource: Resource, namespace: str, name: str, **status: Any) -> Object:
        """Change fields of a status, as a kubelet would."""
        old = self._held(resource, namespace, name)
        return self._store(resource, old, {**old, "status": {**old.get("status", {}), **status}})

    def end_pod(self, namespace: str, name: str) -> None:
        """What the kubelet does once a pod's containers are dead: delete it with no more grace. Finalizers still hold it."""
        resource = BY_KIND["Pod"]
        old = self._held(resource, namespace, name)
        self._store(resource, old, object_rules.doomed(resource, old, self._now(), 0))

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Take an object away at once, whatever holds it (force delete)."""
        self._forget(resource, self._held(resource, namespace, name))

    def collect_garbage(self) -> None:
        """Delete what has owners of which none is left, until nothing changes."""
        alive = {item["metadata"]["uid"] for item in self._objects.values()}
        orphans = [
            item
            for item in self._objects.values()
            if (owners := item["metadata"].get("ownerReferences"))
            and "deletionTimestamp" not in item["metadata"]
            and not any(owner["uid"] in alive for owner in owners)
        ]
        for item in orphans:
            resource = BY_KIND[item["kind"]]
            self._store(resource, item, object_rules.doomed(resource, item, self._now(), None))
        if orphans:
            self.collect_garbage()

    def close_namespace(self, namespace: str) -> None:
        """The namespace is being deleted: nothing can be created there any more."""
        self._closing.add(namespace)
        held = {"name": namespace, "deletionTimestamp": self._now(), "finalizers": ["content"]}
        self.seed({"kind": "Namespace", "metadata": held})

    def answer_reviews(self, kind: str, answer: Review) -> None:
        """How TokenReviews or SubjectAccessReviews are answered: manifest -> status."""
        self._reviews[kind] = answer

    def compact(self) -> None:
        """Forget all history and page tokens: who starts a watch from before now gets 410."""
        self._oldest = self._version
        self._history.clear()
        self._pages.clear()

    def end_watches(self, *, gone: bool = False) -> None:
        """End all running watches, as a server does after some minutes, or with 410."""
        error = GoneError("too old resource version", 410, "Expired") if gone else None
        for watches in self._watches.values():
            ended, watches[:] = tuple(watches), ()
            for watch in ended:
                watch.sink(error)

    def bookmark(self, resource: Resource) -> None:
        """Send a bookmark to the watches of a kind."""
        self._version += 1
        for watch in self._watches.get(resource.kind, ()):
            watch.sink(_bookmark(resource, self._version))

    def count(self, verb: str, kind: str = "", subresource: str | None = None) -> int:
        """How many calls came in."""
        return sum(
            one.verb == verb and kind in {"", one.kind} and subresource in {None, one.subresource} for one in self.calls
        )

    # ---------------------------------------------------------------- inside

    def _call(self, call: Call) -> "_Request":
        return _Request(self, call)

    def _held(self, resource: Resource, namespace: str, name: str) -> Object:
        item = self._objects.get((resource.kind, namespace, name))
        if item is None:
            raise NotFoundError(f'{resource.plural} "{name}" not found', 404, "NotFound")
        return item

    def _encoded(self, resource: Resource, item: Object) -> bytes:
        """An object as it travels: one that is there as its watches have it."""
        meta = item["metadata"]
        latest = self._latest.get((resource.kind, meta.get("namespace", ""), meta["name"]))
        return latest.encoded if latest is not None and latest.new is item else _encode(item)

    def _found(self, resource: Resource, namespace: str, labels: str, fields: str) -> "_Raw":
        fields_match(fields, resource.kind, {"metadata": {}})
        return [
            self._encoded(resource, item)
            for item in self.objects(resource, namespace)
            if labels_match(labels, item) and fields_match(fields, resource.kind, item)
        ]

    def _add(self, resource: Resource, namespace: str, name: str, manifest: Mapping[str, Any]) -> Object:
        item = object_rules.fresh(resource, manifest, name, namespace, self._uid())
        item["metadata"]["creationTimestamp"] = self._now()
        return self._store(resource, None, item)

    def _change(self, resource: Resource, old: Object, new: Object, subresource: str) -> Object:
        version = new["metadata"].get("resourceVersion")
        if version is None and resource.group:
            sentence = f"{resource.plural} is invalid: metadata.resourceVersion: must be specified for an update"
            raise InvalidError(sentence, 422, "Invalid")
        if version not in {None, old["metadata"]["resourceVersion"]}:
            raise _conflict(resource, old["metadata"]["name"], "the object has been modified")
        return self._store(resource, old, object_rules.changed(resource, old, new, subresource))

    def _store(self, resource: Resource, old: Object | None, item: Object) -> Object:
        """Keep an object and tell the watches; an unchanged one is no news, one that nothing holds any more is gone."""
        if old is not None and _is_same(old, item):
            return old
        if object_rules.is_over(item):
            return self._forget(resource, old or item)
        self._version += 1
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}
        place = (resource.kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
        if place not in self._objects:
            insort(self._places.setdefault(place[0], []), place)
        self._objects[place] = item
        self._latest[place] = change = _Change(self._version, place[0], place[1], old, item, item)
        self._tell(change)
        return item

    def _forget(self, resource: Resource, item: Object) -> Object:
        self._version += 1
        last = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}
        namespace = item["metadata"].get("namespace", "")
        place = (resource.kind, namespace, item["metadata"]["name"])
        self._places[resource.kind].remove(place)
        old = self._objects.pop(place)
        del self._latest[place]
        self._tell(_Change(self._version, resource.kind, namespace, old, None, last))
        return last

    def _tell(self, change: _Change) -> None:
        self._history.append(change)
        for watch in tuple(self._watches.get(change.kind, ())):
            watch.tell(change)
        for observer in self._observers:
            observer(change.kind, change.old, change.new)

    def _uid(self) -> str:
        self._made += 1
        return f"00000000-0000-4000-8000-{self._made:012x}"

    def _now(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


class _Request:
    """One call: counted, and met by what the test has told to go wrong, before it is carried out and after."""

    def __init__(self, server: FakeKube, call: Call) -> None:
        self._server = server
        self._told = call

    async def __aenter__(self) -> None:
        self._server.calls.append(self._told)
        await asyncio.sleep(0)  # a real call never answers in the same turn of the loop
        if self._server.faults.are_coming:
            await self._server.faults.meet(self._told.verb, self._told.kind, after=False)

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if error is None and self._server.faults.are_coming:
            await self._server.faults.meet(self._told.verb, self._told.kind, after=True)


_Raw = list[bytes]  # inside the class, `list` is a verb


def _event(change: _Change, resource: Resource, namespace: str, labels: str) -> WatchEvent | None:
    """What a watch with this selector sees of a change: who ceases to match is deleted for it."""
    if change.kind != resource.kind or namespace not in {"", change.namespace}:
        return None
    before = change.old is not None and labels_match(labels, change.old)
    after = change.new is not None and labels_match(labels, change.new)
    if not before and not after:
        return None
    return change.event("MODIFIED" if before and after else "ADDED" if after else "DELETED")


def _bookmark(resource: Resource, version: int) -> WatchEvent:
    told = {"kind": resource.kind, "metadata": {"resourceVersion": str(version), "creationTimestamp": None}}
    return WatchEvent("BOOKMARK", _encode(told))


def _answer_no(_: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"authenticated": False, "allowed": False}


def _conflict(resource: Resource, name: str, why: str) -> ConflictError:
    return ConflictError(f'Operation cannot be fulfilled on {resource.plural} "{name}": {why}', 409, "Conflict")


def _is_same(one: Object, other: Object) -> bool:
    """But for the version."""
    if one.keys() != other.keys() or any(one[key] != other[key] for key in one if key != "metadata"):
        return False
    version = other["metadata"].get("resourceVersion")
    return bool({**one["metadata"], "resourceVersion": version} == {**other["metadata"], "resourceVersion": version})


def _encode(item: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(item)
