"""One NetworkPolicy a pool: made, kept, put right, gone with its pool, and never in the way of anything else."""

from collections.abc import Awaitable, Callable

from tests.controllers.companion_stage import play_with
from tests.controllers.pool_stage import NS, delete, pass_time

from batchpools.controllers.companions import NetworkPolicyController
from batchpools.core.views import NetworkPolicyView
from batchpools.kube.errors import ForbiddenError
from batchpools.kube.resources import EVENTS, NETWORK_POLICIES, POOLS
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube


def play(story: Callable[[FakeKube], Awaitable[None]]) -> None:
    play_with(NetworkPolicyController, NetworkPolicyView, story)


def spec_of(kube: FakeKube) -> dict[str, object]:
    held = kube.object(NETWORK_POLICIES, NS, "demo-nodes")
    assert held is not None
    spec: dict[str, object] = held["spec"]
    return spec


def test_a_pool_gets_one_that_follows_its_spec_and_is_put_right_when_somebody_changes_or_deletes_it() -> None:
    async def story(kube: FakeKube) -> None:
        kube.seed(builders.manifest(builders.pool("demo")))
        await pass_time()
        assert "ingress" not in spec_of(kube)
        change = [{"op": "add", "path": "/spec/enableInterNodeCommunication", "value": True}]
        await kube.patch(POOLS, NS, "demo", change)
        await pass_time()
        assert "ingress" in spec_of(kube)
        await kube.patch(
            NETWORK_POLICIES, NS, "demo-nodes", [{"op": "replace", "path": "/spec/ingress", "value": [{}]}]
        )
        await pass_time()
        assert spec_of(kube)["ingress"] != [{}]
        await delete(kube, NETWORK_POLICIES, "demo-nodes")
        await pass_time()
        assert "ingress" in spec_of(kube)

    play(story)


def test_one_that_is_refused_is_told_once_and_made_when_it_may_be() -> None:
    async def story(kube: FakeKube) -> None:
        refused = ForbiddenError("exceeded quota: networkpolicies", 403)
        kube.faults.fail("create", refused, kind="NetworkPolicy", times=3)
        kube.seed(builders.manifest(builders.pool("demo")))
        await pass_time(20)
        told = [one for one in kube.objects(EVENTS, NS) if one["reason"] == "NetworkPolicyRefused"]
        assert [one["message"] for one in told] == ["exceeded quota: networkpolicies"]
        await pass_time(60)
        assert spec_of(kube)

    play(story)


def test_it_goes_with_its_pool() -> None:
    async def story(kube: FakeKube) -> None:
        pool = builders.manifest(builders.pool("demo"))
        pool["metadata"]["finalizers"] = ["batchpools.dev/drain"]
        kube.seed(pool)
        await pass_time()
        await delete(kube, POOLS, "demo")
        await pass_time()
        assert kube.object(NETWORK_POLICIES, NS, "demo-nodes") is None
        assert kube.object(POOLS, NS, "demo") is not None

    play(story)
