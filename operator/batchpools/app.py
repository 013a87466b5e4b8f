"""Composition root of the operator: the only place that builds things, and where leading begins and ends."""

import asyncio
import logging
import os
import signal
import uuid
from collections.abc import Coroutine, Sequence
from typing import Any

import uvloop

from batchpools.api import names
from batchpools.census import Census
from batchpools.controllers.job import JobController
from batchpools.controllers.kopf_driver import KopfDriver
from batchpools.controllers.node import NodeController
from batchpools.controllers.pool import PoolController
from batchpools.controllers.task.ledger import RunLedgerOfLeader
from batchpools.core.identity import Key
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.core.pools.reach import unreachable_timeout
from batchpools.core.views import JobView, PodView, PoolNodeView, PoolView, TaskView
from batchpools.hub.authentication import BoundPod, TokenReviewer
from batchpools.hub.ca_store import load_authority
from batchpools.hub.certificates import Authority, issue, server_context
from batchpools.hub.port import NodeIdentity
from batchpools.hub.server import Hub
from batchpools.kube.applier import Applier
from batchpools.kube.barrier import Barrier
from batchpools.kube.cache import Cache
from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import load_credentials
from batchpools.kube.informer import Informer
from batchpools.kube.lease import LeaderElector, Timing
from batchpools.kube.resources import JOBS, PODS, POOL_NODES, POOLS, TASKS
from batchpools.kube.workqueue import WorkQueue
from batchpools.ops.apiservice import write_ca_bundle
from batchpools.ops.server import OpsServer
from batchpools.ops.to_leader import Standing
from batchpools.settings import SettingError, Settings, read_settings
from batchpools.telemetry import logs
from batchpools.telemetry.clock import SystemClock
from batchpools.telemetry.metrics import OperatorMetrics
from batchpools.telemetry.server import serve

_log = logging.getLogger(__name__)


class Operator:
    """One replica."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        credentials = load_credentials()
        self._client = KubeClient(credentials)
        self._lease_client = KubeClient(credentials)  # its own: a renewal must not queue behind other requests
        self._cache = Cache()
        self._queue = WorkQueue(self._clock)
        self._informers = self._make_informers()
        self._ledger = RunLedgerOfLeader(self._cache, self._clock, self._wake_job)
        reviewer = TokenReviewer(self._client, self._clock)
        self._replica = f"{settings.pod_name}_{uuid.uuid4()}"
        self._elector = self._make_elector()
        self._hub = Hub(
            self._clock,
            self._replica,
            reviewer.authenticate,
            self._identify,
            self._ledger,
            self._elector.raise_above,
        )
        self._applier = Applier(self._client, self._clock, lambda: self._elector.epoch, self._ledger)
        self._ledger.connect(self._hub, self._applier, self._client)
        self._nodes = NodeController(self._cache, self._client, self._applier, self._ledger, self._hub, self._clock)
        self._wire()
        self._census = Census(self._cache, self._ledger, self._hub, self._client, self._queue, self._informers)
        self._census.elector = self._elector
        self._metrics = OperatorMetrics(self._census.sources())
        self._ledger.on_latency = self._metrics.dispatch_latency.observe
        self._kopf: KopfDriver | None = None
        self._certificate = ""
        self._barrier = Barrier(self._client, self._informers, settings.namespace, self._clock)
        self._chores: list[asyncio.Task[None]] = []  # of the leader
        self._leads = False
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM; then give the Lease back, so that a standby leads at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._kopf = KopfDriver(self._queue.add, loop)
        http = await serve(self._metrics.registry, self._census.ready, self._settings.metrics_port)
        background = [asyncio.create_task(one.run(), name=one.resource.plural) for one in self._informers]
        authority = await load_authority(self._client, self._settings.namespace, self._clock.now())
        self._certificate = authority.certificate
        await self._serve_link(authority)
        ops = await self._serve_ops(authority)
        await asyncio.gather(*(one.synced.wait() for one in self._informers))
        _log.info("all caches are warm")
        background.append(asyncio.create_task(self._elector.run(), name="lease"))
        await _first_of(self._stop, background)
        await self._elector.release()
        await self._hub.stop()
        if ops is not None:
            await ops.stop()
        await http.cleanup()
        await self._client.close()
        await self._lease_client.close()

    # ---------------------------------------------------------------- leading

    async def _lead(self, epoch: int) -> None:
        """The Lease is ours. What takes time is done beside, for the Lease has to be renewed meanwhile."""
        self._begin(self._take_over(epoch), "take-over")
        if self._settings.aggregated_api:  # leading does not wait for it
            self._begin(write_ca_bundle(self._client, self._certificate), "ca-bundle")

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        chore = asyncio.create_task(work, name=name)
        chore.add_done_callback(self._chore_ended)
        self._chores.append(chore)

    def _chore_ended(self, chore: asyncio.Task[None]) -> None:
        """An error here is a defect of ours: another replica may do better."""
        if not chore.cancelled() and (error := chore.exception()) is not None:
            _log.critical("%s ended: %r", chore.get_name(), error, exc_info=error)
            self._stop.set()

    async def _take_over(self, epoch: int) -> None:
        """From standby to leader: the caches up to date, the book, then the nodes are told, then everything is looked at once."""
        await self._barrier.passed(epoch)
        self._leads = True
        self._ledger.lead(epoch)
        self._hub.lead(epoch, self._elector.deadline)
        self._queue.start()
        for kind, store in (("Pool", self._cache.pools), ("PoolNode", self._cache.nodes), ("Job", self._cache.jobs)):
            for view in store:
                self._queue.add(Key(kind, view.metadata.namespace, view.metadata.name))
        if self._kopf is not None:
            self._kopf.start()

    def _renewed(self, began: float) -> None:
        self._hub.renewed(began)

    async def _follow(self) -> None:
        """From leader to standby: stop sending, stop writing, forget."""
        self._leads = False
        chores, self._chores = self._chores, []
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        self._hub.follow()
        if self._kopf is not None:
            self._kopf.stop()
        await self._queue.stop()
        await self._ledger.follow()

    # ---------------------------------------------------------------- construction

    def _make_informers(self) -> list[Informer[Any]]:
        ours = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
        api, clock, cache = self._client, self._clock, self._cache
        return [
            Informer(api, POOLS, cache.pools, PoolView, clock),
            Informer(api, JOBS, cache.jobs, JobView, clock),
            Informer(api, TASKS, cache.tasks, TaskView, clock),
            Informer(api, PODS, cache.pods, PodView, clock, label_selector=ours),
            Informer(api, POOL_NODES, cache.nodes, PoolNodeView, clock),
        ]

    def _make_elector(self) -> LeaderElector:
        settings = self._settings
        return LeaderElector(
            self._lease_client,
            self._clock,
            namespace=settings.namespace,
            identity=self._replica,
            timing=Timing(settings.lease_duration, settings.renew_deadline, settings.retry_period),
            on_lead=self._lead,
            on_follow=self._follow,
            on_renewed=self._renewed,
            address=settings.ops_address,
        )

    def _wire(self) -> None:
        """Reconcilers, and the edges that wake them."""
        pools = PoolController(self._cache, self._applier, self._ledger, self._clock)
        jobs = JobController(self._cache, self._client, self._applier, self._ledger, self._clock)
        for controller in (pools, self._nodes, jobs):
            controller.wire(self._queue.add)
        self._queue.register("Pool", pools.reconcile)
        self._queue.register("PoolNode", self._nodes.reconcile)
        self._queue.register("Job", jobs.reconcile)
        self._ledger.on_node = lambda node: self._queue.add(Key("PoolNode", node.namespace, node.node))
        self._ledger.on_pool = lambda pool: self._queue.add(Key("Pool", *pool))

    async def _serve_link(self, authority: Authority) -> None:
        settings = self._settings
        issued = issue(authority, [names.HUB_SERVER_NAME], self._clock.now())
        await self._hub.start(server_context(issued), settings.hub_port)
        self._nodes.use(NodePodSettings(settings.image, settings.hub_host, settings.hub_port, authority.certificate))

    async def _serve_ops(self, authority: Authority) -> OpsServer | None:
        if not self._settings.aggregated_api:
            return None
        standing = Standing(
            service=f"{names.OPS_SERVICE}.{self._settings.namespace}.svc",
            leading=lambda: self._leads and self._elector.epoch is not None,
            leader=lambda: self._elector.leader_address,
        )
        server = OpsServer(self._cache, self._ledger, self._hub, self._client, standing)
        await server.start(authority, self._settings.ops_port)
        return server

    def _identify(self, pod: BoundPod) -> NodeIdentity | None:
        """The node whose present pod this is, by what PoolNode.status says."""
        view = self._cache.pods.by_uid(pod.uid)
        node = self._cache.nodes.get(pod.namespace, view.metadata.labels.get(names.LABEL_NODE, "")) if view else None
        if node is None or node.status.pod_name != pod.name or node.status.pod_uid not in {"", pod.uid}:
            return None
        timeout = unreachable_timeout(node.status)
        return NodeIdentity(pod.namespace, node.spec.pool_name, node.metadata.name, pod.name, pod.uid, timeout)

    def _wake_job(self, namespace: str, name: str) -> None:
        self._queue.add(Key("Job", namespace, name))


async def _first_of(stop: asyncio.Event, background: list[asyncio.Task[None]]) -> None:
    """Wait until we are told to stop, or something in the background ends: then its error is logged, and we end too."""
    stopping = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait({stopping, *background}, return_when=asyncio.FIRST_COMPLETED)
    for task in background:
        if task in done and (error := task.exception()) is not None:
            _log.critical("%s ended: %r", task.get_name(), error, exc_info=error)
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)


def main(_: Sequence[str] = ()) -> int:
    """Run a replica of the operator; 2 with a sentence when a setting is wrong."""
    try:
        settings = read_settings(os.environ)
    except SettingError as error:
        print(f"batchpools operator: {error}")
        return 2
    logs.configure(settings.log_level)
    uvloop.run(Operator(settings).run())
    return 0
