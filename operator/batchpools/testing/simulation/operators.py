"""One replica of the operator as a process that can crash, stop and come back under the same address."""

import asyncio
from random import Random

from batchpools.core.identity import Key
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.hub.authentication import TokenReviewer
from batchpools.kube.lease import Timing
from batchpools.replica import Ports, Replica
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation.api_server import Door, Weather
from batchpools.testing.simulation.link import Link
from batchpools.testing.simulation.loop import Process, ProcessClock, Scheduler

OPERATOR_NAMESPACE = "batchpools-system"
TIMING = Timing(lease=8.0, renew=5.0, retry=2.0)
_KOPF_DELAY = 0.03  # seconds until kopf's handlers wake the queue
_DRIVEN = ("Pool", "Job", "JobSchedule")


class Operator:
    """A replica through all its lives."""

    def __init__(
        self, scheduler: Scheduler, kube: FakeKube, server: Process, link: Link, number: int, random: Random
    ) -> None:
        self.number = number
        self.weather = Weather()
        self.address = f"10.1.0.{number}"
        self.process: Process
        self.replica: Replica
        self.clock: ProcessClock
        self._scheduler = scheduler
        self._kube = kube
        self._server = server
        self._link = link
        self._random = random
        self._lives = 0
        self._running: asyncio.Task[None]
        kube.observe(self._kopf)
        self.start()

    @property
    def lives(self) -> bool:
        """Whether there is a process, running or paused."""
        return not self.process.dead

    @property
    def leads(self) -> bool:
        """Whether it believes that it leads."""
        return self.lives and self.replica.leads

    def start(self) -> None:
        """A new process, with a new identity and empty caches."""
        self._lives += 1
        name = f"operator-{self.number}.{self._lives}"
        self.process = self._scheduler.process(name)
        self.clock = ProcessClock(self._scheduler)
        with self.process.as_running():
            door = self._door()
            ports = Ports(
                api=door,
                lease_api=self._door(),
                clock=self.clock,
                authenticate=TokenReviewer(door, self.clock).authenticate,
                namespace=OPERATOR_NAMESPACE,
                identity=name,
                timing=TIMING,
                on_defect=self._defect,
            )
            self.replica = self._make(ports)
            self.replica.use(NodePodSettings("image", "hub", 8443, "CA"))
            self._running = self.process.create_task(self.replica.run(), name="replica")
        self._link.listen(self.address, self.process, self.replica.hub)

    def crash(self) -> None:
        """SIGKILL."""
        self._link.crashed(self.process)
        self.process.crash()

    def stop(self) -> None:
        """SIGTERM: it gives the Lease back, as `app` does, and ends."""

        async def leave() -> None:
            await self.replica.resign()
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            await self.replica.hub.stop()
            self.crash()

        self.process.create_task(leave(), name="leave")

    # ---------------------------------------------------------------- inside

    def _make(self, ports: Ports) -> Replica:
        return Replica(ports)

    def _door(self) -> Door:
        return Door(self._kube, self._server, self.process, self.weather, self._random)

    def _defect(self) -> None:
        self.process.defects.append(f"{self.process.name}: a chore of the leader has ended")

    def _kopf(self, kind: str, old: Object | None, new: Object | None) -> None:
        """kopf, as far as we use it: each event of a kind that it drives wakes the queue."""
        item = new or old
        if kind in _DRIVEN and item is not None and self.leads and not self.weather.cut:
            key = Key(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
            self.process.call_later(_KOPF_DELAY, self.replica.queue.add, key)
