"""An autoscaled pool on FakeKube: it follows its work, tells what it decided, and survives its operator."""

from types import SimpleNamespace
from typing import Any

from tests.controllers.pool_stage import NS, Replica, live, pass_time, play
from tests.controllers.test_pool import condition, pool_status

from batchpools.census import Census
from batchpools.core.ledger import PoolLoad
from batchpools.core.views import AutoScale
from batchpools.hub.port import NodeIdentity
from batchpools.kube.errors import ForbiddenError
from batchpools.kube.resources import JOBS, POOL_NODES, POOLS
from batchpools.link.messages import Sample
from batchpools.telemetry.metrics import TABLE, OperatorMetrics
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


def series_of_pool(replica: Replica, pool: str) -> set[str]:
    """The names of all series that a scrape of this replica has for a pool."""
    nothing: Any = SimpleNamespace(sessions=list, refusals={}, requests={}, in_flight=0, depth=0, last_latency=0.0)
    census = Census(replica.cache, replica.ledger, nothing, nothing, nothing, [])
    census.scaling = replica.autoscaler
    collected = OperatorMetrics(census.sources()).registry.collect()
    return {one.name for metric in collected for one in metric.samples if one.labels.get("pool") == pool}


def test_a_deleted_pool_leaves_no_series_of_metrics_behind() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        labelled = {name for name, row in TABLE.items() if "pool" in row.labels}
        seed(kube, AutoScale(formula="$TargetDedicatedNodes = 2", evaluation_interval="30s"))
        kube.seed(builders.manifest(builders.job("primes", pool_name="demo")))
        kube.faults.fail(
            "create", ForbiddenError("pods is forbidden: exceeded quota: small", 403), times=99, kind="Pod"
        )
        await pass_time(5)
        await edit(kube, autoScale={"formula": "$TargetDedicatedNodes = 3 +"})
        await pass_time(70)
        told = {name.removesuffix("_total") for name in series_of_pool(replica, "demo")}
        assert told == labelled, "each series that a pool can have"
        for resource, name in ((JOBS, "primes"), (POOLS, "demo")):
            await kube.delete(resource, NS, name, uid=kube.object(resource, NS, name)["metadata"]["uid"])  # type: ignore[index]
            replica.ledger.ended.add(name)
        await pass_time(90)
        assert live(kube, POOLS) == live(kube, JOBS) == []
        assert series_of_pool(replica, "demo") == set()

    play(story)


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


def identity(name: str) -> NodeIdentity:
    return NodeIdentity(NS, "demo", name, f"{name}-1", f"uid-{name}")


def sample(age: float, cpu: float, memory: float = -1) -> Sample:
    return Sample(age, cpu, memory, *[-1.0] * 7)


def test_what_nodes_measure_is_averaged_and_a_new_leader_is_told_what_was_before() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        seed(kube, PRESET)
        await pass_time(100)
        replica.autoscaler.measured(identity("a"), [sample(60, 0.2), sample(30, 0.4), sample(0, 0.6)])
        replica.autoscaler.measured(
            identity("a"), [sample(30, 9.0), sample(0, 9.0)]
        )  # again, after a broken connection
        replica.autoscaler.measured(identity("b"), [sample(0, 0.8, memory=100)])
        replica.autoscaler.measured(NodeIdentity(NS, "nowhere", "c", "c-1", "uid-c"), [sample(0, 0.8)])
        text = "cpu = $CPUPercent.GetSample(3); nodes = $SampleNodeCount.GetSample(1); memory = avg($MemoryBytes.GetSample(9))"
        told = replica.autoscaler.evaluate(NS, "demo", text)
        assert told is not None
        assert told.results.split(";")[3:] == ["cpu=[0.2,0.4,0.7]", "nodes=[2]", "memory=100"]

    play(story)


def test_what_is_counted_is_sampled() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        seed(kube, AutoScale(formula="$TargetDedicatedNodes = 1"), task_slots_per_node=4)
        replica.ledger.loads["demo"] = PoolLoad(
            active=3, active_slots=5, running=2, running_slots=4, succeeded=7, failed=1
        )
        await pass_time(40)
        names = {
            "ActiveTasks": 3, "RunningTasks": 2, "PendingTasks": 5, "ActiveTaskSlots": 5, "RunningTaskSlots": 4,
            "PendingTaskSlots": 9, "SucceededTasks": 7, "FailedTasks": 1, "WallClockSeconds": 60, "TaskSlotsPerNode": 4,
            "CurrentDedicatedNodes": 1, "CurrentLowPriorityNodes": 0, "PreemptedNodeCount": 0, "UsableNodeCount": 0,
        }  # fmt: skip
        text = ";".join(f"{name} = ${name}.GetSample(1)" for name in names)
        told = replica.autoscaler.evaluate(NS, "demo", text)
        assert told is not None
        assert told.results.split(";")[3:] == [f"{name}=[{value}]" for name, value in names.items()]
        shown = {variable: value for (_, _, variable), value in replica.autoscaler.variables().items()}
        assert {f"${name}": value for name, value in names.items()}.items() <= shown.items()
        assert shown["$TargetDedicatedNodes"] == 1
        assert replica.autoscaler.evaluations[NS, "demo", "success"] >= 1

    play(story)
