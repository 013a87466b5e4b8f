"""A stage for pools, nodes and jobs: FakeKube, real informers, queue and applier, in virtual time; the tests play the kubelet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.controllers.task_stage import MemoryHub

from batchpools.api.reasons import RequeueReason
from batchpools.api.states import NodeDeallocationOption
from batchpools.controllers.application_package import ApplicationPackageController
from batchpools.controllers.autoscale import Autoscaler
from batchpools.controllers.job import JobController
from batchpools.controllers.node import NodeController
from batchpools.controllers.pool import PoolController
from batchpools.controllers.schedule import ScheduleController
from batchpools.core.identity import Key
from batchpools.core.ledger import Contact, Explanation, NodeRuns, PoolLoad
from batchpools.core.pools.emptying import why_ended
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.core.views import (
    ApplicationPackageView,
    JobScheduleView,
    JobView,
    PodView,
    PoolNodeView,
    PoolView,
    TaskCounts,
    TaskView,
)
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.informer import Informer
from batchpools.kube.resources import APPLICATION_PACKAGES, JOB_SCHEDULES, JOBS, PODS, POOL_NODES, POOLS, TASKS
from batchpools.kube.workqueue import WorkQueue
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import VirtualClock, run_virtual

NS = builders.NAMESPACE


class QuietLedger:
    """A ledger of a cluster where no task runs; it remembers what it was told."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.released: list[str] = []
        self.draining: set[str] = set()
        self.pods_cordoned: frozenset[str] = frozenset()
        self.restarts: list[tuple[str, str]] = []
        self.busy: set[str] = set()
        self.ended: set[str] = set()
        self.aside: set[str] = set()
        self.loads: dict[str, PoolLoad] = {}
        self.contacts: dict[str, Contact] = {}

    def job_counts(self, namespace: str, job: str) -> TaskCounts:
        tasks = list(self._cache.tasks.indexed("by_job", (namespace, job)))
        succeeded = sum(task.status.result == "Success" for task in tasks)
        completed = sum(task.status.state == "Completed" for task in tasks)
        left, failed = len(tasks) - completed, completed - succeeded
        return TaskCounts(active=left, completed=completed, succeeded=succeeded, failed=failed)

    def node_runs(self, pod_uid: str) -> NodeRuns:
        return NodeRuns(slots_used=int(pod_uid in self.busy), running_tasks=int(pod_uid in self.busy))

    def pool_slots(self, namespace: str, pool: str) -> tuple[int, int]:
        return 0, 0

    def pool_load(self, namespace: str, pool: str) -> PoolLoad:
        return self.loads.get(pool, PoolLoad())

    def pool_waits(self, namespace: str, pool: str) -> int:
        return self.pool_load(namespace, pool).active

    def contact(self, pod_uid: str) -> Contact:
        return self.contacts.get(pod_uid, Contact.IN_TOUCH)

    def set_aside(self, pod_uid: str) -> None:
        self.aside.add(pod_uid)

    def take_back(self, pod_uid: str) -> None:
        self.aside.discard(pod_uid)

    def is_set_aside(self, pod_uid: str) -> bool:
        return pod_uid in self.aside

    def drain_node(
        self,
        pod_uid: str,
        reason: RequeueReason,
        option: NodeDeallocationOption = NodeDeallocationOption.REQUEUE,
    ) -> None:
        """What kills ends the runs at once; else they go on until the test says that they have ended."""
        self.draining.add(pod_uid)
        if why_ended(option) is not None:
            self.busy.discard(pod_uid)

    def resume_node(self, pod_uid: str) -> None:
        self.draining.discard(pod_uid)

    def restart_node(self, pod_uid: str, boot_id: str) -> None:
        if self.is_drained(pod_uid):
            self.restarts.append((pod_uid, boot_id))

    def is_draining(self, pod_uid: str) -> bool:
        return pod_uid in self.draining

    def cordon(self, namespace: str, pool: str, pod_uids: frozenset[str]) -> None:
        self.pods_cordoned = pod_uids

    def cordoned(self, namespace: str, pool: str) -> frozenset[str]:
        return self.pods_cordoned

    def is_drained(self, pod_uid: str) -> bool:
        return pod_uid in self.draining and pod_uid not in self.busy

    def release_node(self, pod_uid: str) -> None:
        self.released.append(pod_uid)

    def is_released(self, pod_uid: str) -> bool:
        return pod_uid in self.released

    def end_job(self, namespace: str, job: str) -> None:
        self.ended.add(job)

    def is_job_quiet(self, namespace: str, job: str) -> bool:
        return job in self.ended

    def explain(self, namespace: str, task: str) -> Explanation | None:
        return None


class Replica:
    """One operator as far as pools, nodes and jobs go; it can be stopped and another started on the same API server."""

    def __init__(self, kube: FakeKube, clock: VirtualClock) -> None:
        self.kube = kube
        self.clock = clock
        cache = Cache()
        self.ledger = QuietLedger(cache)
        applier = Applier(kube, clock, lambda: 1, self.ledger)
        self._queue = WorkQueue(clock)
        self.hub = MemoryHub()
        nodes = NodeController(cache, kube, applier, self.ledger, self.hub, clock)
        nodes.use(NodePodSettings("image", "hub", 1, "CA"))
        self.autoscaler = Autoscaler(cache, self.ledger, clock)
        self.pools = PoolController(cache, kube, applier, self.ledger, clock, self.autoscaler)
        jobs = JobController(cache, kube, applier, self.ledger, clock)
        schedules = ScheduleController(cache, kube, applier, clock)
        controllers = (
            ("Pool", self.pools),
            ("PoolNode", nodes),
            ("Job", jobs),
            ("JobSchedule", schedules),
            ("ApplicationPackage", ApplicationPackageController(cache, applier, clock)),
        )
        for kind, controller in controllers:
            controller.wire(self._queue.add)
            self._queue.register(kind, controller.reconcile)
        views: list[tuple[Any, Any, Any]] = [
            (POOLS, cache.pools, PoolView),
            (JOBS, cache.jobs, JobView),
            (JOB_SCHEDULES, cache.schedules, JobScheduleView),
            (TASKS, cache.tasks, TaskView),
            (PODS, cache.pods, PodView),
            (POOL_NODES, cache.nodes, PoolNodeView),
            (APPLICATION_PACKAGES, cache.packages, ApplicationPackageView),
        ]
        self._informers = [Informer(kube, resource, store, view, clock) for resource, store, view in views]
        self.cache = cache
        self.pods = cache.pods
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._queue.start()
        self._tasks = [asyncio.create_task(one.run()) for one in self._informers]
        self._tasks.append(asyncio.create_task(self.autoscaler.run()))
        await asyncio.gather(*(one.synced.wait() for one in self._informers))
        cache = self.cache
        kinds: dict[str, Any] = {
            "Pool": cache.pools,
            "PoolNode": cache.nodes,
            "Job": cache.jobs,
            "JobSchedule": cache.schedules,
            "ApplicationPackage": cache.packages,
        }
        for kind, store in kinds.items():
            for view in store:
                self._queue.add(Key(kind, view.metadata.namespace, view.metadata.name))

    def wake(self, pool: str) -> None:
        """What the leader's book does when the tasks of a pool change."""
        self._queue.add(Key("Pool", NS, pool))

    def wake_node(self, node: str) -> None:
        """What it does when a node says something."""
        self._queue.add(Key("PoolNode", NS, node))

    async def stop(self) -> None:
        await self._queue.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def play(story: Callable[[FakeKube, Replica], Awaitable[None]]) -> None:
    """Run a story in virtual time."""

    async def main(clock: VirtualClock) -> None:
        kube = FakeKube(clock)
        replica = Replica(kube, clock)
        await replica.start()
        try:
            await story(kube, replica)
        finally:
            await replica.stop()

    run_virtual(main)


async def pass_time(seconds: float = 5.0) -> None:
    await asyncio.sleep(seconds)


def live(kube: FakeKube, resource: Any) -> list[str]:
    return sorted(one["metadata"]["name"] for one in kube.objects(resource, NS))


def pod_dies(kube: FakeKube, name: str) -> None:
    """What the kubelet writes when the containers of a pod are gone."""
    kube.set_status(
        PODS,
        NS,
        name,
        phase="Succeeded",
        containerStatuses=[{"name": "task", "state": {"terminated": {"exitCode": 0}}}],
    )


def pod_runs(kube: FakeKube, name: str) -> None:
    running = [{"name": "task", "state": {"running": {}}}]
    kube.set_status(PODS, NS, name, phase="Running", podIP="10.0.0.1", containerStatuses=running)


async def delete(kube: FakeKube, resource: Any, name: str) -> None:
    held = kube.object(resource, NS, name)
    assert held is not None
    await kube.delete(resource, NS, name, uid=held["metadata"]["uid"])
