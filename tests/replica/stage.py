"""A stage for whole replicas on FakeKube in virtual time: informers, election, barrier, book, controllers; no socket is opened."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from batchpools.api import names
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.kube.resources import LEASES
from batchpools.replica import Ports, Replica
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import VirtualClock, run_virtual

HOME = "batchpools-system"


class Stage:
    """Replicas on one API server."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.kube = FakeKube(clock)
        self._running: dict[Replica, asyncio.Task[None]] = {}

    def replica(self, name: str = "a", api: Any = None, home: str = HOME, namespaces: tuple[str, ...] = ()) -> Replica:
        """A replica that runs; no node is admitted. namespaces: its shard, empty = all."""
        replica = Replica(
            Ports(
                api=api or self.kube,
                lease_api=self.kube,
                clock=self.clock,
                authenticate=_nobody,
                namespace=home,
                namespaces=namespaces,
                identity=name,
            )
        )
        replica.use(NodePodSettings("image", "hub", 1, "CA"))
        self._running[replica] = asyncio.create_task(replica.run())
        return replica

    async def until_leads(self, replica: Replica, seconds: float = 60.0) -> int:
        """Wait until it leads; its epoch."""
        end = self.clock.monotonic() + seconds
        while not replica.leads or (epoch := replica.elector.epoch) is None:
            assert self.clock.monotonic() < end, "it does not lead"
            await asyncio.sleep(0.1)
        return epoch

    def is_up(self, replica: Replica) -> bool:
        """Whether it still runs."""
        return not self._running[replica].done()

    def transitions(self) -> int:
        """The epoch that the Lease says."""
        held = self.kube.object(LEASES, HOME, names.LEASE_NAME)
        assert held is not None
        return int(held["spec"]["leaseTransitions"])

    async def stop(self, *replicas: Replica) -> None:
        """They crash; without a name all of them."""
        for replica in replicas or tuple(self._running):
            running = self._running.pop(replica)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await replica._follow()


async def _nobody(_: str) -> None:
    return None


def played(play: Callable[[Stage], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test as a play on a fresh stage, in virtual time."""

    def test() -> None:
        async def main(clock: VirtualClock) -> None:
            stage = Stage(clock)
            try:
                await play(stage)
            finally:
                await stage.stop()

        run_virtual(main)

    test.__name__ = play.__name__
    test.__doc__ = play.__doc__
    return test
