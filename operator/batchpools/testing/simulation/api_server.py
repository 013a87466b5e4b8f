"""The way from one process to the API server, which is a process of its own: delays, errors, lost answers, slow watches.

The server is `FakeKube`, held to the real one by the contract suite. What is lost on the way depends on the door's `weather`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from batchpools.kube.errors import UnreachableError
from batchpools.kube.port import ListPage, PatchOperation, Resource, WatchEvent
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.simulation.loop import Process

AnswerT = TypeVar("AnswerT")
SILENCE = 20.0  # seconds after which a client gives up a watch that has died unnoticed (90 in the real client)


@dataclass
class Weather:
    """Between a process and the API server. Chances are per request; a cut way loses every request, in silence."""

    delay: float = 0.004
    watch_delay: float = 0.004
    refuse: float = 0.0  # the request does not arrive
    lose: float = 0.0  # it is carried out, the answer is lost
    cut: bool = False
    patience: float = 10.0  # seconds until the client gives up
    _wires: list["_Wire"] = field(default_factory=list)

    def set_cut(self, cut: bool) -> None:
        """Cut the way or open it. A watch outlives it and catches up, or has died unnoticed."""
        self.cut = cut
        self._wires = [one for one in self._wires if not one.over]
        for wire in self._wires:
            wire.cut() if cut else wire.healed()

    def reset(self) -> None:
        """Fine again."""
        self.watch_delay, self.refuse, self.lose = 0.004, 0.0, 0.0
        self.set_cut(False)

    def join(self, wire: "_Wire") -> None:
        """A watch on this way."""
        self._wires.append(wire)


class _Wire:
    """One watch between the two: it keeps its order."""

    def __init__(self, client: Process, weather: Weather, random: Random) -> None:
        self.over = False
        self.stop: Callable[[], None] = lambda: None
        self._client = client
        self._weather = weather
        self._random = random
        self._items: deque[WatchEvent | BaseException | None] = deque()
        self._held: list[WatchEvent | BaseException | None] = []
        self._arrives = 0.0
        self._news: asyncio.Future[None] | None = None

    def send(self, item: WatchEvent | BaseException | None) -> None:
        """From the server."""
        if self._client.dead:
            self.end()
        elif self._weather.cut:
            self._held.append(item)
        else:
            self._arrives = max(self._arrives, self._client.time() + self._weather.watch_delay)
            self._client.call_at(self._arrives, self._arrive, item)

    def cut(self) -> None:
        """The way is cut: some connections do not survive it."""
        if self._random.random() < 0.3:
            self.end()
            self._client.call_later(SILENCE, self._arrive, UnreachableError("the API server went silent"))

    def healed(self) -> None:
        """What was sent meanwhile arrives."""
        held, self._held = self._held, []
        for item in held:
            self.send(item)

    def end(self) -> None:
        """The server sends no more."""
        self.over = True
        self.stop()

    async def receive(self) -> WatchEvent | BaseException | None:
        """What comes next."""
        while not self._items:
            self._news = self._client.create_future()
            await self._news
        return self._items.popleft()

    def _arrive(self, item: WatchEvent | BaseException | None) -> None:
        self._items.append(item)
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class Door:
    """`KubeApi` for one process."""

    def __init__(self, kube: FakeKube, server: Process, client: Process, weather: Weather, random: Random) -> None:
        self._kube = kube
        self._server = server
        self._client = client
        self._weather = weather
        self._random = random

    async def get(self, resource: Resource, namespace: str, name: str) -> bytes:
        """One object."""
        return await self._ask(lambda: self._kube.get(resource, namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        page: str = "",
    ) -> ListPage:
        """A page."""
        selectors = {"label_selector": label_selector, "field_selector": field_selector, "page": page}
        return await self._ask(lambda: self._kube.list(resource, namespace, **selectors))

    async def rehearse(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> None:
        """What a create would answer."""
        await self._ask(lambda: self._kube.rehearse(resource, namespace, manifest))

    async def create(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> bytes:
        """Create."""
        return await self._ask(lambda: self._kube.create(resource, namespace, manifest))

    async def replace(self, resource: Resource, namespace: str, name: str, manifest: Mapping[str, Any]) -> bytes:
        """PUT."""
        return await self._ask(lambda: self._kube.replace(resource, namespace, name, manifest))

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        operations: Sequence[PatchOperation],
        *,
        subresource: str = "",
    ) -> bytes:
        """JSON Patch."""
        return await self._ask(lambda: self._kube.patch(resource, namespace, name, operations, subresource=subresource))

    async def delete(self, resource: Resource, namespace: str, name: str, **how: Any) -> None:
        """Delete one life of an object."""
        await self._ask(lambda: self._kube.delete(resource, namespace, name, **how))

    async def watch(
        self, resource: Resource, namespace: str = "", *, resource_version: str, label_selector: str = ""
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events, in order, late by the watch's delay; a watch that is cut off may end with an error, late."""
        wire = _Wire(self._client, self._weather, self._random)

        async def begin() -> None:
            wire.stop = self._kube.open_watch(resource, namespace, resource_version, label_selector, wire.send)
            self._weather.join(wire)

        await self._ask(begin)
        try:
            while True:
                item = await wire.receive()
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            wire.end()

    # ---------------------------------------------------------------- inside

    async def _ask(self, call: Callable[[], Coroutine[Any, Any, AnswerT]]) -> AnswerT:
        """Send, be carried out, hear the answer; UnreachableError when the weather or one's patience says so."""
        weather, client = self._weather, self._client
        if self._random.random() < weather.refuse:
            await asyncio.sleep(weather.delay)
            raise UnreachableError("the connection was refused")
        answer: asyncio.Future[AnswerT] = client.create_future()
        loses = self._random.random() < weather.lose
        if weather.cut:
            self._leave_waiting(answer)
        else:
            self._server.call_later(weather.delay, self._carry_out, call, answer, loses)
        return await answer

    def _carry_out(self, call: Callable[[], Coroutine[Any, Any, Any]], answer: Any, loses: bool) -> None:
        result, error = None, None
        try:
            result = _at_once(call())
        except Exception as refused:  # noqa: BLE001 (whatever the server says, the client hears)
            error = refused
        if loses or self._weather.cut:
            self._leave_waiting(answer)
        elif not self._client.dead:
            self._client.call_later(self._weather.delay, _settle, answer, result, error)

    def _leave_waiting(self, answer: Any) -> None:
        """No answer will come: the client gives up when its patience is over."""
        error = UnreachableError("no answer in time")
        self._client.call_later(self._weather.patience, _settle, answer, None, error)


def _settle(answer: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)


def _at_once(work: Coroutine[Any, Any, AnswerT]) -> AnswerT:
    """The result of a coroutine that waits for nothing but its turn."""
    while True:
        try:
            work.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
