"""An autoscaled pool on FakeKube: it follows its work, tells what it decided, and survives its operator."""

from typing import Any

from tests.controllers.pool_stage import NS, Replica, live, pass_time, play
from tests.controllers.test_pool import condition, pool_status

from batchpools.core.ledger import PoolLoad
from batchpools.core.views import AutoScale
from batchpools.kube.resources import POOL_NODES, POOLS
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube


def seed(kube: FakeKube, asked: AutoScale, **spec: Any) -> None:
    kube.seed(builders.manifest(builders.pool("demo", auto_scale=asked, **spec)))


async def edit(kube: FakeKube, **spec: Any) -> None:
    """What a user's apply does to the spec; None removes a field."""
    held = kube.object(POOLS, NS, "demo")
    assert held is not None
    await kube.patch(
        POOLS,
        NS,
        "demo",
        [
            {
                "op": "add" if value is not None else "remove",
                "path": f"/spec/{field}",
                **({"value": value} if value is not None else {}),
            }
            for field, value in spec.items()
        ],
    )


PRESET = AutoScale(max_nodes=3, idle_timeout="1m")


def test_it_grows_when_tasks_wait_and_shrinks_when_they_were_not_there_for_a_while() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        seed(kube, PRESET, task_slots_per_node=2)
        await pass_time(3)
        assert live(kube, POOL_NODES) == []
        replica.ledger.loads["demo"] = PoolLoad(active=5, active_slots=5)
        replica.wake("demo")
        await pass_time(3)
        assert live(kube, POOL_NODES) == ["demo-0000", "demo-0001", "demo-0002"]
        assert pool_status(kube)["targetDedicatedNodes"] == 3
        assert pool_status(kube)["nodeDeallocationOption"] == "TaskCompletion"
        replica.ledger.loads["demo"] = PoolLoad()
        await pass_time(30)
        assert pool_status(kube)["targetDedicatedNodes"] == 3
        await pass_time(90)
        assert pool_status(kube)["targetDedicatedNodes"] == 0
        assert pool_status(kube)["autoScaleRun"]["formula"].startswith("// preset: minNodes 0, maxNodes 3")

    play(story)


def test_a_bad_formula_stalls_the_pool_with_line_column_and_caret_and_a_repaired_one_goes_on() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        seed(kube, AutoScale(formula="$TargetDedicatedNodes = 2"))
        await pass_time(5)
        await edit(kube, autoScale={"formula": "$TargetDedicatedNodes = 3 +"})
        await pass_time(5)
        status = pool_status(kube)
        assert condition(status, "Stalled") == ("True", "FormulaInvalid")
        message = next(one["message"] for one in status["conditions"] if one["type"] == "Stalled")
        assert message.startswith("Line 1, Col 28: a value is expected, not the end of the formula\n")
        assert message.endswith("^")
        assert status["autoScaleRun"]["error"]["code"] == "AutoScalingFormulaSyntaxError"
        assert len(live(kube, POOL_NODES)) == status["targetDedicatedNodes"] == 2
        await edit(kube, autoScale={"formula": "$TargetDedicatedNodes = 1"})
        await pass_time(5)
        status = pool_status(kube)
        assert condition(status, "Stalled") == ("False", "Accepted")
        assert status["targetDedicatedNodes"] == 1
        assert "error" not in status["autoScaleRun"]

    play(story)


def test_switched_off_it_keeps_its_size_until_it_is_given_a_target() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        seed(kube, AutoScale(formula="$TargetDedicatedNodes = 2; $NodeDeallocationOption = terminate"))
        await pass_time(5)
        await edit(kube, autoScale=None)
        await pass_time(60)
        assert len(live(kube, POOL_NODES)) == pool_status(kube)["targetDedicatedNodes"] == 2
        await edit(kube, targetDedicatedNodes=3)
        await pass_time(5)
        assert len(live(kube, POOL_NODES)) == 3
        assert not {"autoScaleRun", "nodeDeallocationOption"} & set(pool_status(kube))

    play(story)


def test_switched_on_it_leaves_the_specs_target() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
        await pass_time(5)
        await edit(
            kube, targetDedicatedNodes=0, autoScale={"formula": "$TargetDedicatedNodes = $TargetDedicatedNodes + 2"}
        )
        await pass_time(5)
        assert len(live(kube, POOL_NODES)) == 3

    play(story)


def test_the_next_operator_evaluates_when_the_interval_is_over() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        seed(kube, AutoScale(formula="$TargetDedicatedNodes = $TargetDedicatedNodes + 1", evaluation_interval="100s"))
        await pass_time(40)
        assert pool_status(kube)["targetDedicatedNodes"] == 1
        await replica.stop()
        heir = Replica(kube, replica.clock)
        await heir.start()
        await pass_time(40)
        assert pool_status(kube)["targetDedicatedNodes"] == 1
        await pass_time(40)
        assert pool_status(kube)["targetDedicatedNodes"] == 2
        await heir.stop()

    play(story)


def test_an_idle_pool_of_the_preset_costs_one_write_a_minute() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        seed(kube, PRESET)
        await pass_time(10)
        before = pool_status(kube)["autoScaleRun"]["timestamp"]
        seen = {before}
        for _ in range(300):
            await pass_time(1)
            seen.add(pool_status(kube)["autoScaleRun"]["timestamp"])
        assert 5 <= len(seen) <= 6

    play(story)


def test_trying_a_formula_changes_nothing() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        seed(kube, PRESET)
        await pass_time(40)
        before = pool_status(kube)
        told = replica.autoscaler.evaluate(NS, "demo", "$TargetDedicatedNodes = 9; seen = $PendingTasks.Count()")
        assert told is not None
        assert told.results.startswith("$TargetDedicatedNodes=9;")
        assert told.results.endswith("seen=1")
        assert replica.autoscaler.evaluate(NS, "nowhere") is None
        await pass_time(2)
        assert pool_status(kube) == before

    play(story)
