"""The barrier between winning the Lease and acting on the cache (safety rule S2.2).

A watch may lag: a cache that has not seen the last word of the former leader would run a finished task again. So a new
leader writes into one reserved object of each kind, and waits until its own informers deliver that write: a watch of one
kind is ordered, hence everything that was written before has been seen too. It decides when the cache may be believed;
what follows others do. The objects are inert, dropped at the cache's intake, and made again should somebody delete them.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from batchpools.api import names
from batchpools.core.views import Meta
from batchpools.kube.errors import AlreadyExistsError, KubeError, NotFoundError
from batchpools.kube.informer import Informer
from batchpools.kube.port import KubeApi, Resource
from batchpools.kube.resources import JOBS, POOL_NODES, POOLS, TASKS, api_version
from batchpools.telemetry.clock import Clock
from batchpools.telemetry.logs import bound

_log = logging.getLogger(__name__)

NAME = "batchpools-barrier"
AGAIN_AFTER = 5.0  # seconds: perhaps somebody deleted the object before the watch showed it, or the watch is dead
_LONGEST_SILENCE = 60.0  # seconds that a watch is given at last: it may only be slow
_PAUSE = 0.5

_SPECS: Mapping[Resource, Mapping[str, Any]] = {
    POOLS: {"image": "none", "targetDedicatedNodes": 0},
    POOL_NODES: {"poolName": NAME},
    JOBS: {"poolName": NAME},
    TASKS: {"jobName": NAME, "command": ["true"]},
}
_ENDED: Mapping[Resource, Mapping[str, Any]] = {
    JOBS: {"state": "Completed", "result": "Success"},
    TASKS: {"state": "Completed", "result": "Success"},
}


class _Object(msgspec.Struct):
    metadata: Meta


async def remove_barrier(api: KubeApi, namespace: str) -> None:
    """Take the objects away: the operator is being uninstalled. KubeError."""
    for resource in _SPECS:
        try:
            held = msgspec.json.decode(await api.get(resource, namespace, NAME), type=_Object)
            await api.delete(resource, namespace, NAME, uid=held.metadata.uid)
        except NotFoundError:
            continue


class _Place(NamedTuple):
    """Where one mark goes."""

    resource: Resource
    namespace: str

    def __str__(self) -> str:
        return f"{self.resource.plural} of namespace {self.namespace}"


class Barrier:
    """The reserved objects, and what the informers have shown of them: one set in `namespace` where the informers watch all
    namespaces, one set in each namespace that informers of their own watch.

    `on_epoch(epoch)` is told of each mark: every leader leaves one, so that they outlive a Lease that somebody deletes (S2.1).
    """

    def __init__(self, api: KubeApi, informers: Sequence[Informer[Any]], namespace: str, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._marks = itertools.count(1)
        self._seen: dict[_Place, str] = {}
        self._news = asyncio.Event()
        self.on_epoch: Callable[[int], None] = lambda _: None
        self._places: dict[_Place, Informer[Any]] = {}
        for informer in informers:
            if informer.resource in _SPECS:
                place = _Place(informer.resource, informer.namespace or namespace)
                self._places[place] = informer
                informer.on_mark = self._on_mark(place)

    async def passed(self, epoch: int) -> None:
        """Return when everything that was written before this call is in the cache. It waits for as long as that takes."""
        began = self._clock.monotonic()
        await asyncio.gather(*(self._pass(place, epoch) for place in self._places))
        bound(_log, epoch=epoch).info("the caches are up to date after %.2f s", self._clock.monotonic() - began)

    # ---------------------------------------------------------------- inside

    async def _pass(self, place: _Place, epoch: int) -> None:
        """Mark, and wait for the mark; a mark that is not seen for a while is made anew, and so is a watch that is silent.

        Each time the watch is given twice the time: one that is only slow is not cut off for ever.
        """
        written: set[str] = set()
        silence = AGAIN_AFTER
        while True:
            mark = f"{epoch}.{next(self._marks)}"
            try:
                await self._mark(place, mark)
                written.add(mark)
                async with asyncio.timeout(AGAIN_AFTER):
                    await self._until_seen(place, written)
            except TimeoutError:
                bound(_log, epoch=epoch).warning("the watch of %s has not shown our mark yet", place)
                if self._places[place].begin_anew(silence):
                    silence = min(2 * silence, _LONGEST_SILENCE)
            except KubeError as error:
                bound(_log, epoch=epoch).warning("%s could not be marked: %s", place, error.sentence)
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def _until_seen(self, place: _Place, written: set[str]) -> None:
        while self._seen.get(place) not in written:
            self._news.clear()
            await self._news.wait()

    async def _mark(self, place: _Place, mark: str) -> None:
        annotations = {names.ANNOTATION_EPOCH: mark}
        operations = [{"op": "add", "path": "/metadata/annotations", "value": annotations}]
        try:
            await self._api.patch(*place, NAME, operations)
        except NotFoundError:
            await self._make(*place)
            await self._api.patch(*place, NAME, operations)

    async def _make(self, resource: Resource, namespace: str) -> None:
        manifest = {
            "apiVersion": api_version(resource),
            "kind": resource.kind,
            "metadata": {"name": NAME, "namespace": namespace, "labels": {names.LABEL_INTERNAL: "barrier"}},
            "spec": dict(_SPECS[resource]),
        }
        try:
            await self._api.create(resource, namespace, manifest)
        except AlreadyExistsError:
            return
        if resource in _ENDED:
            ended = [{"op": "add", "path": f"/status/{key}", "value": value} for key, value in _ENDED[resource].items()]
            await self._api.patch(resource, namespace, NAME, ended, subresource="status")

    def _on_mark(self, place: _Place) -> Any:
        def seen(namespace: str, name: str, mark: str) -> None:
            if (namespace, name) == (place.namespace, NAME):
                self._seen[place] = mark
                self._news.set()
                epoch = mark.partition(".")[0]
                if epoch.isdecimal():
                    self.on_epoch(int(epoch))

        return seen
