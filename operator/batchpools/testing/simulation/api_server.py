"""The way from one process to the API server, which is a process of its own: delays, errors, lost answers, slow watches.

The server is `FakeKube`, held to the real one by the contract suite. What is lost on the way depends on the door's `weather`.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from batchpools.kube.errors import UnreachableError
from batchpools.kube.port import ListPage, PatchOperation, Resource, WatchEvent
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.simulation.loop import Process

AnswerT = TypeVar("AnswerT")


@dataclass
class Weather:
    """Between a process and the API server. Chances are per request; a cut way loses everything, in silence."""

    delay: float = 0.004
    watch_delay: float = 0.004
    refuse: float = 0.0  # the request does not arrive
    lose: float = 0.0  # it is carried out, the answer is lost
    cut: bool = False
    patience: float = 10.0  # seconds until the client gives up


class Door:
    """`KubeApi` for one process. `closed()` tells whether that process is gone: then nothing is answered."""

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
        """Events, in order, late by the watch's delay; a watch that is cut ends with an error."""
        queue: asyncio.Queue[WatchEvent | BaseException | None] = asyncio.Queue()
        arrives = 0.0
        closed = False

        def deliver(item: WatchEvent | BaseException | None) -> None:
            nonlocal arrives
            arrives = max(arrives, self._client.time() + self._weather.watch_delay)  # one connection keeps its order
            self._client.call_at(arrives, queue.put_nowait, item)

        async def pump() -> None:
            try:
                async for event in self._kube.watch(
                    resource, namespace, resource_version=resource_version, label_selector=label_selector
                ):
                    if closed or self._weather.cut or self._client.dead:
                        return
                    deliver(event)
                deliver(None)
            except Exception as error:  # noqa: BLE001 (whatever the server says, the client hears)
                deliver(error)

        self._send(pump)
        try:
            while True:
                item = await queue.get()
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            closed = True

    # ---------------------------------------------------------------- inside

    async def _ask(self, call: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        weather, answer = self._weather, self._client.create_future()
        if self._random.random() < weather.refuse:
            await asyncio.sleep(weather.delay)
            raise UnreachableError("the connection was refused")
        loses = self._random.random() < weather.lose

        def settle(result: Any, error: Exception | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)

        async def carry_out() -> None:
            result, error = None, None
            try:
                result = await call()
            except Exception as refused:  # noqa: BLE001 (whatever the server says, the client hears)
                error = refused
            if not (loses or weather.cut or self._client.dead):
                self._client.call_later(weather.delay, settle, result, error)

        if not weather.cut:
            self._send(carry_out)
        try:
            return await asyncio.wait_for(answer, weather.patience)
        except TimeoutError:
            raise UnreachableError("the API server does not answer") from None

    def _send(self, work: Callable[[], Awaitable[None]]) -> None:
        def begin() -> None:
            self._server.create_task(work())  # type: ignore[arg-type]

        self._server.call_later(self._weather.delay, begin)
