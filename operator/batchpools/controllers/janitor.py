"""Now and then: removes children whose owner is gone, after asking the API server whether it is (safety rule S7.1)."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec

from batchpools.core import orphans
from batchpools.core.identity import Key
from batchpools.core.ledger import RunLedger
from batchpools.core.plan import Effect, Plan
from batchpools.core.views import JobView, Meta, OwnerReference, PodView, PoolNodeView, PoolView, TaskView
from batchpools.kube.applier import Applier, NotLeadingError
from batchpools.kube.cache import Cache
from batchpools.kube.errors import KubeError
from batchpools.kube.live import live
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import BY_KIND
from batchpools.telemetry.logs import about

_log = logging.getLogger(__name__)

ROUND_EVERY = 30.0
ASKED_A_ROUND = 50  # owners of each kind: what is left is for the next round

ChildT = TypeVar("ChildT", PodView, PoolNodeView, TaskView, JobView, PoolView)


class _Object(msgspec.Struct):
    metadata: Meta


class _HasMeta(Protocol):
    @property
    def metadata(self) -> Meta: ...


class Janitor:
    """Pods without PoolNode or Pool, PoolNodes without Pool, inline Tasks without Job, jobs and pools of a schedule without it.

    Hand-made Tasks may wait for a Job, and stay.
    """

    def __init__(self, cache: Cache, api: KubeApi, applier: Applier, ledger: RunLedger) -> None:
        self._cache = cache
        self._api = api
        self._applier = applier
        self._ledger = ledger

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(ROUND_EVERY)
            await self.once()

    async def once(self) -> None:
        """One round. What fails is left to the next one."""
        try:
            for pod in await self._orphans("PoolNode", self._cache.pods, self._cache.nodes):
                await self._apply("Pod", pod, orphans.bury_pod(pod, self._ledger.contact(pod.metadata.uid)))
            for pod in await self._orphans("Pool", self._cache.pods, self._cache.pools):
                await self._apply("Pod", pod, orphans.delete(_key("Pod", pod.metadata), pod.metadata))
            for node in await self._orphans("Pool", self._cache.nodes, self._cache.pools):
                await self._apply("PoolNode", node, orphans.delete(_key("PoolNode", node.metadata), node.metadata))
            for task in await self._orphans("Job", self._cache.tasks, self._cache.jobs):
                await self._apply("Task", task, orphans.delete(_key("Task", task.metadata), task.metadata))
            for job in await self._orphans("JobSchedule", self._cache.jobs, self._cache.schedules):
                await self._apply("Job", job, orphans.delete(_key("Job", job.metadata), job.metadata))
            for pool in await self._orphans("JobSchedule", self._cache.pools, self._cache.schedules):
                await self._apply("Pool", pool, orphans.delete(_key("Pool", pool.metadata), pool.metadata))
        except KubeError as error:
            _log.info("the janitor comes again later: %s", error.sentence)
        except NotLeadingError:
            return

    # ---------------------------------------------------------------- inside

    async def _orphans(self, kind: str, children: Iterable[ChildT], owners: Iterable[_HasMeta]) -> list[ChildT]:
        """Children whose owner of that kind neither the cache nor the API server has."""
        found: dict[tuple[str, OwnerReference], list[ChildT]] = {}
        for child, owner in orphans.without_owner(children, kind, (one.metadata.uid for one in owners)):
            found.setdefault((child.metadata.namespace, owner), []).append(child)
        lost: list[ChildT] = []
        for (namespace, owner), left in list(found.items())[:ASKED_A_ROUND]:
            if not await self._exists(kind, namespace, owner):
                lost += left
        return lost

    async def _exists(self, kind: str, namespace: str, owner: OwnerReference) -> bool:
        """Whether that life of the owner is there."""
        held = await live(self._api, BY_KIND[kind], _Object, namespace, owner.name)
        return held is not None and held.metadata.uid == owner.uid

    async def _apply(self, kind: str, child: ChildT, effects: tuple[Effect, ...]) -> None:
        key = _key(kind, child.metadata)
        if child.metadata.deletion_timestamp is None:
            about(_log, key).warning("%s %s/%s has lost its owner and is removed", *key)
        await self._applier.apply(key, child.metadata.uid, Plan(effects=effects))


def _key(kind: str, meta: Meta) -> Key:
    return Key(kind, meta.namespace, meta.name)
