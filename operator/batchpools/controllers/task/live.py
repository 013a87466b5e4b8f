"""Asks the API server how things stand now: what the cache does not show may be there all the same (safety rule S2.2)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from batchpools.core.identity import Key
from batchpools.core.views import PodView, PoolView, TaskView
from batchpools.kube.errors import KubeError, NotFoundError
from batchpools.kube.port import KubeApi, Resource
from batchpools.kube.resources import PODS, POOLS, TASKS
from batchpools.telemetry.logs import about

_log = logging.getLogger(__name__)
_ASK_AGAIN = 1.0
_AT_ONCE = 8


class Live:
    """Questions are asked until they are answered; None = there is no such object."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._questions: set[asyncio.Task[None]] = set()

    def ask_task(self, namespace: str, name: str, then: Callable[[TaskView | None], None]) -> None:
        """Call then(view) once the API server has said how the task stands."""

        async def ask() -> None:
            raw = await self._get(TASKS, namespace, name)
            then(None if raw is None else msgspec.json.decode(raw, type=TaskView))

        self._spawn(ask())

    def ask_pod(self, namespace: str, name: str, then: Callable[[PodView | None], None]) -> None:
        """Call then(view) once the API server has said how the pod stands."""

        async def ask() -> None:
            raw = await self._get(PODS, namespace, name)
            then(None if raw is None else msgspec.json.decode(raw, type=PodView))

        self._spawn(ask())

    def ask_pool(self, namespace: str, name: str, then: Callable[[PoolView | None], None]) -> None:
        """Call then(view) once the API server has said how the pool stands."""

        async def ask() -> None:
            raw = await self._get(POOLS, namespace, name)
            then(None if raw is None else msgspec.json.decode(raw, type=PoolView))

        self._spawn(ask())

    async def stop(self) -> None:
        """Ask nothing more."""
        questions = list(self._questions)
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)

    async def _get(self, resource: Resource, namespace: str, name: str) -> bytes | None:
        while True:
            try:
                async with self._slots:
                    return await self._api.get(resource, namespace, name)
            except NotFoundError:
                return None
            except KubeError as error:
                asked = about(_log, Key(resource.kind, namespace, name))
                asked.info("%s %s/%s could not be read: %s", resource.kind, namespace, name, error.sentence)
            await asyncio.sleep(_ASK_AGAIN)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        question = asyncio.get_running_loop().create_task(work)
        self._questions.add(question)
        question.add_done_callback(self._questions.discard)
