"""Certificates in a replica: the hub shows them, node pods and API server are told, and only then a new CA is used."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.kube.conftest import until

from batchpools.api import names
from batchpools.core.views import PodStatus
from batchpools.hub.ca_store import SECRET_NAME
from batchpools.kube.cache import Cache
from batchpools.kube.resources import SECRETS
from batchpools.ops.apiservice import NAME
from batchpools.replica import Ports, Replica
from batchpools.settings import Settings
from batchpools.telemetry.clock import SystemClock
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.trust import ReplicaTrust, agents_trust

OURS = "batchpools-system"
SETTINGS = Settings(OURS, "image", "pod", ca_spread=0.2)


def pod(name: str, ca: str, **fields: Any) -> Any:
    labels = {names.LABEL_NODE: "demo-0001", names.LABEL_MANAGED_BY: names.MANAGED_BY}
    meta = builders.meta(name, kind="Pod", labels=labels, annotations={names.ANNOTATION_CA: ca})
    return builders.pod(name, metadata=meta, **fields)


def test_agents_trust_what_every_living_node_pod_carries() -> None:
    cache = Cache()
    assert agents_trust(cache, "new")
    cache.pods.put(pod("a", "old+new"))
    assert agents_trust(cache, "new")
    cache.pods.put(pod("b", "old"))
    assert not agents_trust(cache, "new")
    cache.pods.put(pod("b", "old", status=PodStatus(phase="Failed")))
    assert agents_trust(cache, "new")


class Scene:
    """A replica that leads or not, as it is told; nothing of it runs but the certificates."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.clock = SystemClock()
        self.replica = Replica(Ports(self.kube, self.kube, self.clock, self.nobody, OURS, "me"))
        self.trust = ReplicaTrust(SETTINGS, self.kube, self.replica, self.clock)
        self.used: list[str] = []
        self.replica.use = lambda settings: self.tell(settings.ca)  # type: ignore[method-assign]

    def tell(self, ca: str) -> None:
        if ca not in self.used[-1:]:
            self.used.append(ca)

    async def nobody(self, _: str) -> None:
        return None

    def ask(self) -> None:
        held = self.kube.object(SECRETS, OURS, SECRET_NAME)
        assert held is not None
        self.kube.seed({**held, "metadata": {**held["metadata"], "annotations": {names.ANNOTATION_NEW_CA: "1"}}})

    def keys(self) -> int:
        held = self.kube.object(SECRETS, OURS, SECRET_NAME)
        return len(held["data"]) if held else 0


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.trust.keeper.start()
    scene.replica.leads = True
    keeping = asyncio.create_task(scene.trust.keeper.run())
    yield scene
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_at_the_start_the_hub_shows_a_certificate_and_node_pods_get_its_ca(scene: Scene) -> None:
    assert scene.used == [scene.trust.keeper.bundle]
    client = ssl.create_default_context(cadata=scene.used[0])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(incoming, outgoing, server_hostname=names.HUB_SERVER_NAME)
    theirs = scene.trust.hub_tls.context.wrap_bio(outgoing, incoming, server_side=True)
    for end in (ours, theirs, ours):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert ours.version() == "TLSv1.3"


async def test_a_new_ca_waits_for_the_api_server_and_for_every_node_pod(scene: Scene) -> None:
    assert scene.trust.api_server is not None
    scene.replica.cache.pods.put(pod("a", scene.used[0]))
    scene.ask()
    await until(lambda: len(scene.used) == 2)
    both = scene.used[1]
    scene.replica.cache.pods.put(pod("a", both))
    await asyncio.sleep(1.0)
    assert scene.keys() == 4, "nobody has told the API server yet"
    scene.kube.seed(
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": NAME}, "spec": {}}
    )
    keeping = asyncio.create_task(scene.trust.api_server.keep())
    scene.replica.cache.pods.put(pod("b", scene.used[0]))
    await until(lambda: scene.trust.api_server is not None and scene.trust.api_server.trusts(both))
    await asyncio.sleep(1.0)
    assert scene.keys() == 4, "one pod has not been told"
    scene.replica.cache.pods.put(pod("b", both))
    await until(lambda: scene.keys() == 3)
    assert len(scene.used) == 2
    await until(lambda: scene.keys() == 2)
    await until(lambda: len(scene.used) == 3)
    assert scene.used[2] in both
    await until(lambda: scene.trust.api_server is not None and not scene.trust.api_server.trusts(scene.used[0]))
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
