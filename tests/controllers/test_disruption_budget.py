"""One PodDisruptionBudget a pool: made, kept, put right, gone with its pool."""

from collections.abc import Awaitable, Callable

from tests.controllers.companion_stage import play_with
from tests.controllers.pool_stage import NS, delete, pass_time

from batchpools.controllers.companions import DisruptionBudgetController
from batchpools.core.views import BudgetView
from batchpools.kube.errors import ForbiddenError
from batchpools.kube.resources import BUDGETS, EVENTS, POOLS
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube


def play(story: Callable[[FakeKube], Awaitable[None]]) -> None:
    play_with(DisruptionBudgetController, BudgetView, story)


def test_a_pool_gets_one_that_is_put_right_and_goes_with_it() -> None:
    async def story(kube: FakeKube) -> None:
        kube.seed(builders.manifest(builders.pool("demo")))
        await pass_time()
        assert kube.object(BUDGETS, NS, "demo-busy") is not None
        await kube.patch(BUDGETS, NS, "demo-busy", [{"op": "replace", "path": "/spec/minAvailable", "value": 0}])
        await pass_time()
        held = kube.object(BUDGETS, NS, "demo-busy")
        assert held is not None
        assert held["spec"]["minAvailable"] > 0
        kube.remove(BUDGETS, NS, "demo-busy")
        await pass_time()
        assert kube.object(BUDGETS, NS, "demo-busy") is not None
        change = [{"op": "add", "path": "/metadata/finalizers", "value": ["x/y"]}]
        await kube.patch(POOLS, NS, "demo", change)
        await delete(kube, POOLS, "demo")
        await pass_time()
        assert kube.object(BUDGETS, NS, "demo-busy") is None

    play(story)


def test_one_that_is_refused_is_told_once_and_tried_again() -> None:
    async def story(kube: FakeKube) -> None:
        kube.faults.fail("create", ForbiddenError("exceeded quota", 403), kind="PodDisruptionBudget", times=2)
        kube.seed(builders.manifest(builders.pool("demo")))
        await pass_time(60.0)
        assert kube.object(BUDGETS, NS, "demo-busy") is not None
        assert len(kube.objects(EVENTS, NS)) == 1

    play(story)
