"""A stage for tests of the applier: a FakeKube with Pool `demo`, and a ledger that notes what it is asked to do."""

from typing import Any

from batchpools.api.reasons import RequeueReason
from batchpools.api.states import NodeDeallocationOption
from batchpools.core.plan import Create, Effect, Plan
from batchpools.core.views import PoolStatus
from batchpools.kube.applier import Applier
from batchpools.kube.resources import POOLS
from batchpools.testing.builders import NAMESPACE, key_of, manifest, meta, node, pool
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.object_rules import Object
from batchpools.testing.virtual_time import VirtualClock, run_virtual

POOL = pool("demo")
KEY, UID = key_of(POOL), POOL.metadata.uid


class Ledger:
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def drain_node(self, pod_uid: str, reason: RequeueReason, option: NodeDeallocationOption) -> None:
        self.asked.append(("drain", pod_uid, reason, option))

    def resume_node(self, pod_uid: str) -> None:
        self.asked.append(("resume", pod_uid))

    def release_node(self, pod_uid: str) -> bool:
        self.asked.append(("release", pod_uid))
        return False

    def end_job(self, namespace: str, job: str) -> bool:
        self.asked.append(("end", namespace, job))
        return False

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the applier only commands, it does not read {name}")


class Scene:
    """A FakeKube with Pool `demo`, and an applier that leads with epoch 7."""

    def __init__(self, clock: VirtualClock) -> None:
        self.server = FakeKube(clock)
        self.server.seed(manifest(POOL))
        self.ledger = Ledger()
        self.epoch: int | None = 7
        self.applier = Applier(self.server, clock, lambda: self.epoch, self.ledger)  # type: ignore[arg-type]

    async def do(self, *effects: Effect, status: PoolStatus | None = None, **plan: Any) -> Any:
        return await self.applier.apply(KEY, UID, Plan(effects=effects, status=status, **plan))

    def pool(self) -> Object:
        held = self.server.object(POOLS, NAMESPACE, "demo")
        assert held is not None
        return held


def create(name: str = "demo-0001", owner_uid: str = UID) -> Create:
    child = node(name, metadata=meta(name, kind="PoolNode", owner=POOL))
    return Create(key_of(child), manifest(child), owner_uid)


def play(story: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        await story(Scene(clock))

    run_virtual(main)
