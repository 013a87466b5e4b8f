"""Composition root of the operator: puts a replica into a process, with its servers, certificates, kopf and metrics."""

import asyncio
import logging
import os
import signal
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from batchpools.census import Census
from batchpools.controllers.kopf_driver import KopfDriver
from batchpools.hub.authentication import TokenReviewer
from batchpools.hub.published_keys import PublishedKeys, by_api_server, by_files
from batchpools.hub.server import Authenticate
from batchpools.hub.shown import Shown
from batchpools.hub.signed_tokens import SignedTokens
from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import load_credentials
from batchpools.kube.lease import Timing
from batchpools.ops.server import OpsServer
from batchpools.ops.to_leader import Standing
from batchpools.replica import Ports, Replica
from batchpools.settings import SettingError, Settings, read_settings
from batchpools.telemetry import logs
from batchpools.telemetry.clock import Clock, SystemClock
from batchpools.telemetry.metrics import OperatorMetrics
from batchpools.telemetry.server import serve
from batchpools.trust import ReplicaTrust

_log = logging.getLogger(__name__)


class Operator:
    """One process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._kopf: KopfDriver | None = None
        credentials = load_credentials()
        self._client, self._lease_client = KubeClient(credentials), KubeClient(credentials)
        self._replica = replica = Replica(
            Ports(
                api=self._client,
                lease_api=self._lease_client,
                clock=self._clock,
                authenticate=_authentication(settings, self._client, self._clock),
                namespace=settings.namespace,
                namespaces=settings.watch_namespaces,
                identity=f"{settings.pod_name}_{uuid.uuid4()}",
                timing=Timing(settings.lease_duration, settings.renew_deadline, settings.retry_period),
                ops_address=settings.ops_address,
                on_lead=self._on_lead,
                on_follow=self._on_follow,
                on_defect=self._stop.set,
            )
        )
        self._trust = ReplicaTrust(settings, self._client, replica, self._clock)
        self._census = Census(
            replica.cache, replica.ledger, replica.hub, self._client, replica.queue, replica.informers
        )
        self._census.elector = replica.elector
        self._census.scaling = replica.autoscaler
        self._metrics = OperatorMetrics(self._census.sources())
        replica.ledger.on_latency = self._metrics.dispatch_latency.observe

    async def run(self) -> None:
        """Serve until SIGTERM; then give the Lease back, so that a standby leads at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._kopf = KopfDriver(self._replica.queue.add, loop, self._settings.watch_namespaces)
        http = await serve(self._metrics.registry, self._census.ready, self._settings.metrics_port)
        keeper = self._trust.keeper
        await self._until_stopped(asyncio.create_task(keeper.start(), name="first certificates"))
        ops = None
        if keeper.shown is not None and not self._stop.is_set():
            await self._replica.hub.start(self._trust.hub_tls.context, self._settings.hub_port)
            ops = await self._serve_ops(keeper.shown)
            await self._until_stopped(asyncio.create_task(self._serve(), name="replica"), self._replica.resign)
        await self._replica.hub.stop()
        if ops is not None:
            await ops.stop()
        await http.cleanup()
        await self._client.close()
        await self._lease_client.close()

    async def _serve(self) -> None:
        """Everything that goes on for as long as we live."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trust.keeper.run(), name="certificates")
            group.create_task(self._replica.run(lambda: _log.info("all caches are warm")), name="replica")

    async def _until_stopped(
        self, running: asyncio.Task[None], leave: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Wait until we are told to stop, or the replica ends: then its error is logged, and we end too. First we `leave`."""
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({stopping, running}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if running.done() and (error := running.exception()) is not None:
            _log.critical("the replica ended: %r", error, exc_info=error)
        if leave is not None:
            await leave()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def _on_lead(self) -> None:
        if self._kopf is not None:
            self._kopf.start()
        if self._trust.api_server is not None:  # leading does not wait for it
            await self._trust.api_server.keep()

    def _on_follow(self) -> None:
        if self._kopf is not None:
            self._kopf.stop()

    async def _serve_ops(self, shown: Shown) -> OpsServer | None:
        if not self._settings.aggregated_api:
            return None
        replica = self._replica
        standing = Standing(
            service=self._settings.ops_host,
            leading=lambda: replica.leads and replica.elector.epoch is not None,
            leader=lambda: replica.elector.leader_address,
        )
        server = OpsServer(replica.cache, replica.ledger, replica.hub, self._client, standing)
        server.evaluate = replica.autoscaler.evaluate
        await server.start(shown, self._settings.ops_port)
        self._trust.on_change = server.show
        return server


def _authentication(settings: Settings, client: KubeClient, clock: Clock) -> Authenticate:
    """Who is a node: by TokenReview, or, without rights in the cluster, by the keys that it publishes (safety rule S9.2)."""
    if not settings.watch_namespaces:
        return TokenReviewer(client, clock).authenticate
    fetch = by_files(Path(settings.token_keys)) if settings.token_keys else by_api_server(client.raw)
    return SignedTokens(PublishedKeys(fetch, clock), clock).authenticate


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
