"""What decides in one replica: caches, election, hub, book of runs, controllers, and where leading begins and ends.

It is given its ports (API server, clock, who authenticates nodes, what else drives it) and knows no process, socket, thread or
certificate: `app` puts it into a process, the simulator puts two of them beside one another.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from batchpools.api import names
from batchpools.controllers.application_package import ApplicationPackageController
from batchpools.controllers.autoscale import Autoscaler
from batchpools.controllers.companions import DisruptionBudgetController, NetworkPolicyController
from batchpools.controllers.janitor import Janitor
from batchpools.controllers.job import JobController
from batchpools.controllers.node import NodeController
from batchpools.controllers.pool import PoolController
from batchpools.controllers.schedule import ScheduleController
from batchpools.controllers.task.ledger import RunLedgerOfLeader
from batchpools.core.identity import Key
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.core.pools.reach import unreachable_timeout
from batchpools.core.views import (
    ApplicationPackageView,
    BudgetView,
    JobScheduleView,
    JobView,
    NetworkPolicyView,
    PodView,
    PoolNodeView,
    PoolView,
    TaskView,
)
from batchpools.hub.authentication import BoundPod
from batchpools.hub.port import NodeIdentity
from batchpools.hub.server import Authenticate, Hub
from batchpools.kube.applier import Applier
from batchpools.kube.barrier import Barrier
from batchpools.kube.cache import Cache, Store
from batchpools.kube.informer import Informer
from batchpools.kube.lease import LeaderElector, Timing
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import (
    APPLICATION_PACKAGES,
    BUDGETS,
    JOB_SCHEDULES,
    JOBS,
    NETWORK_POLICIES,
    PODS,
    POOL_NODES,
    POOLS,
    TASKS,
)
from batchpools.kube.workqueue import WorkQueue
from batchpools.telemetry.clock import Clock

_log = logging.getLogger(__name__)

COUNT_POOL_AFTER = 1.0  # seconds: slots change with every task, and only a pool's counters follow them
# Seconds. Each of a thousand nodes wakes their pool, and each task its job: one look costs as much as all of these.
POOL_RESTS = 0.5  # its status counts nodes: of many that change within a moment one look says the sum
JOB_RESTS = 0.1
PACKAGE_RESTS = 1.0
NODE_RESTS = 0.1  # a pod that starts changes several times within some milliseconds


@dataclass(frozen=True, slots=True)
class Ports:
    """What a replica is given. namespaces: those that it watches, empty = all; `namespace` is its own.
    lease_api: a client of its own, for a renewal must not queue behind other requests.

    on_lead, on_follow: what else begins and ends with leading; `on_lead` may take its time. on_defect: something ended that
    never should, another replica may do better.
    """

    api: KubeApi
    lease_api: KubeApi
    clock: Clock
    authenticate: Authenticate
    namespace: str
    identity: str
    namespaces: tuple[str, ...] = ()
    timing: Timing = field(default_factory=Timing)
    ops_address: str = ""
    on_lead: Callable[[], Awaitable[None]] | None = None
    on_follow: Callable[[], None] = lambda: None
    on_defect: Callable[[], None] = lambda: None


class Replica:
    """One replica. `run` keeps informers and election up until cancelled; `leads` from the barrier on until the Lease is lost."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        api, clock = ports.api, ports.clock
        self.cache = Cache()
        self.queue = WorkQueue(clock)
        self.informers = self._make_informers()
        self.ledger = RunLedgerOfLeader(self.cache, clock, self._wake_job)
        self.elector = self._make_elector()
        self.hub = Hub(clock, ports.identity, ports.authenticate, self._identify, self.ledger, self.elector.raise_above)
        applier = Applier(api, clock, lambda: self.elector.epoch, self.ledger)
        self.ledger.connect(self.hub, applier, api)
        self.nodes = NodeController(self.cache, api, applier, self.ledger, self.hub, clock)
        self.autoscaler = Autoscaler(self.cache, self.ledger, clock)
        self._janitor = Janitor(self.cache, api, applier, self.ledger)
        self._wire(applier)
        self._barrier = Barrier(api, self.informers, ports.namespace, clock)
        self._watch_epochs()
        self._chores: list[asyncio.Task[None]] = []  # of the leader
        self._election: asyncio.Task[None] | None = None
        self.leads = False

    def use(self, settings: NodePodSettings) -> None:
        """What goes into node pods beside the user's part; no pod is made before."""
        self.nodes.use(settings)

    async def run(self, warm: Callable[[], None] = lambda: None) -> None:
        """Keep the caches, and once they are `warm` stand for election; until cancelled."""
        async with asyncio.TaskGroup() as group:
            for one in self.informers:
                group.create_task(one.run(), name=one.resource.plural)
            await asyncio.gather(*(one.synced.wait() for one in self.informers))
            warm()
            self._election = group.create_task(self.elector.run(), name="lease")

    async def resign(self) -> None:
        """Give the Lease back while all else still runs, so that another leads at once; then `run` may be cancelled."""
        if self._election is not None:
            self._election.cancel()
            await asyncio.gather(self._election, return_exceptions=True)
        await self.elector.release()

    # ---------------------------------------------------------------- leading

    async def _lead(self, epoch: int) -> None:
        """The Lease is ours. What takes time is done beside, for the Lease has to be renewed meanwhile."""
        self._begin(self._take_over(epoch), "take-over")
        if self._ports.on_lead is not None:
            self._begin(_awaited(self._ports.on_lead()), "on-lead")

    async def _take_over(self, epoch: int) -> None:
        """From standby to leader: the caches up to date, the book, then the nodes are told, then everything is looked at once."""
        await self._barrier.passed(epoch)
        self.leads = True
        self.ledger.lead(epoch)
        self.hub.lead(epoch, self.elector.deadline)
        self.queue.start()
        self._begin(self._janitor.run(), "janitor")
        self._begin(self.autoscaler.run(), "samples")
        cache = self.cache
        kinds: dict[str, Store[Any]] = {
            "Pool": cache.pools, "PoolNode": cache.nodes, "Job": cache.jobs, "JobSchedule": cache.schedules,
            "ApplicationPackage": cache.packages,
        }  # fmt: skip
        for kind, store in kinds.items():
            for view in store:
                self.queue.add(Key(kind, view.metadata.namespace, view.metadata.name))
        for pool in self.cache.pools:
            for kind in (NetworkPolicyController.kind, DisruptionBudgetController.kind):
                self.queue.add(Key(kind, pool.metadata.namespace, pool.metadata.name))

    async def _follow(self) -> None:
        """From leader to standby: stop sending, stop writing, forget."""
        self.leads = False
        self.hub.follow()
        self._ports.on_follow()
        chores, self._chores = self._chores, []
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await self.queue.stop()
        await self.ledger.follow()

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        chore = asyncio.get_running_loop().create_task(work, name=name)
        chore.add_done_callback(self._chore_ended)
        self._chores.append(chore)

    def _chore_ended(self, chore: asyncio.Task[None]) -> None:
        if not chore.cancelled() and (error := chore.exception()) is not None:
            _log.critical("%s ended: %r", chore.get_name(), error, exc_info=error)
            self._ports.on_defect()

    # ---------------------------------------------------------------- construction

    def _make_informers(self) -> list[Informer[Any]]:
        ours = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
        api, clock, cache = self._ports.api, self._ports.clock, self.cache
        made: list[Informer[Any]] = []
        for where in self._ports.namespaces or ("",):
            made += [
                Informer(api, POOLS, cache.pools, PoolView, clock, namespace=where),
                Informer(api, JOBS, cache.jobs, JobView, clock, namespace=where),
                Informer(api, TASKS, cache.tasks, TaskView, clock, namespace=where),
                Informer(api, JOB_SCHEDULES, cache.schedules, JobScheduleView, clock, namespace=where),
                Informer(api, APPLICATION_PACKAGES, cache.packages, ApplicationPackageView, clock, namespace=where),
                Informer(api, PODS, cache.pods, PodView, clock, namespace=where, label_selector=ours),
                Informer(
                    api,
                    NETWORK_POLICIES,
                    cache.policies,
                    NetworkPolicyView,
                    clock,
                    namespace=where,
                    label_selector=ours,
                ),
                Informer(api, BUDGETS, cache.budgets, BudgetView, clock, namespace=where, label_selector=ours),
                Informer(api, POOL_NODES, cache.nodes, PoolNodeView, clock, namespace=where),
            ]
        return made

    def _watch_epochs(self) -> None:
        """An epoch above ours in the caches (the Lease was deleted, or etcd restored): we lead above it, or not at all (S2.1)."""

        def seen(_: Any, new: Any) -> None:
            if new is not None:
                self.elector.raise_above(new.status.epoch)

        cache = self.cache
        for store in (cache.pools, cache.nodes, cache.jobs, cache.tasks, cache.schedules, cache.packages):
            store.subscribe(seen)
        self._barrier.on_epoch = self.elector.raise_above

    def _make_elector(self) -> LeaderElector:
        ports = self._ports
        return LeaderElector(
            ports.lease_api,
            ports.clock,
            namespace=ports.namespace,
            identity=ports.identity,
            timing=ports.timing,
            on_lead=self._lead,
            on_follow=self._follow,
            on_renewed=self._renewed,
            address=ports.ops_address,
        )

    def _renewed(self, began: float) -> None:
        self.hub.renewed(began)

    def _wire(self, applier: Applier) -> None:
        """Reconcilers, and the edges that wake them."""
        clock = self._ports.clock
        pools = PoolController(self.cache, self._ports.api, applier, self.ledger, clock, self.autoscaler)
        jobs = JobController(self.cache, self._ports.api, applier, self.ledger, clock)
        schedules = ScheduleController(self.cache, self._ports.api, applier, clock)
        policies = NetworkPolicyController(self.cache, applier)
        budgets = DisruptionBudgetController(self.cache, applier)
        packages = ApplicationPackageController(self.cache, applier, clock)
        for controller in (pools, self.nodes, jobs, schedules, packages, policies, budgets):
            controller.wire(self.queue.add)
        self.queue.register("Pool", pools.reconcile, rest=POOL_RESTS)
        self.queue.register("PoolNode", self.nodes.reconcile, rest=NODE_RESTS)
        self.queue.register("Job", jobs.reconcile, rest=JOB_RESTS)
        self.queue.register("JobSchedule", schedules.reconcile)
        self.queue.register("ApplicationPackage", packages.reconcile, rest=PACKAGE_RESTS)
        self.queue.register(NetworkPolicyController.kind, policies.reconcile)
        self.queue.register(DisruptionBudgetController.kind, budgets.reconcile)
        self.ledger.on_node = lambda node: self.queue.add(Key("PoolNode", node.namespace, node.node))
        self.ledger.on_samples = self.autoscaler.measured
        self.ledger.on_pool = lambda pool: self.queue.add_after(Key("Pool", *pool), COUNT_POOL_AFTER)

    def _identify(self, pod: BoundPod) -> NodeIdentity | None:
        """The node whose present pod this is, by what PoolNode.status says."""
        view = self.cache.pods.by_uid(pod.uid)
        node = self.cache.nodes.get(pod.namespace, view.metadata.labels.get(names.LABEL_NODE, "")) if view else None
        if node is None or node.status.pod_name != pod.name or node.status.pod_uid not in {"", pod.uid}:
            return None
        timeout = unreachable_timeout(node.status)
        return NodeIdentity(pod.namespace, node.spec.pool_name, node.metadata.name, pod.name, pod.uid, timeout)

    def _wake_job(self, namespace: str, name: str) -> None:
        self.queue.add(Key("Job", namespace, name))


async def _awaited(work: Awaitable[None]) -> None:
    await work
