"""Stories of autoscaled pools: they come from nothing when tasks wait, go when these are done, and disturb nothing that runs."""

from pathlib import Path
from typing import Any

import pytest

from e2e.stories import KubectlError, Manifest, Namespace, condition, job, pool, sh, until


def scaled(slots: int = 1, **asked: Any) -> Manifest:
    return pool(nodes=0, slots=slots, autoScale=asked)


def test_it_grows_from_nothing_when_tasks_wait_and_shrinks_to_nothing_and_no_busy_node_is_killed(
    space: Namespace,
) -> None:
    space.apply(scaled(minNodes=0, maxNodes=2, idleTimeout="30s", evaluationInterval="5s"))
    told = space.wait_for("bpool", "demo", lambda status: "autoScaleRun" in status)
    assert told["autoScaleRun"]["formula"].startswith("// preset: minNodes 0, maxNodes 2, idleTimeout 30s")
    assert space.nodes("demo") == []

    tasks = [
        sh("short-1", "sleep 5"),
        sh("short-2", "sleep 5"),
        sh("short-3", "sleep 5"),
        sh("long", "sleep 80"),
    ]
    space.apply(job("work", tasks))
    space.wait_for("bpool", "demo", lambda status: status["targetDedicatedNodes"] == 2)
    busy = space.wait_for("btask", "work.long", lambda status: status["state"] == "Running")["poolNodeName"]
    until(
        lambda: [node["metadata"]["name"] for node in space.nodes("demo")] == [busy], "only the busy node is left", 150
    )
    assert space.status("btask", "work.long")["state"] == "Running"

    assert space.finished("bjob", "work", 150)["taskCounts"]["succeeded"] == 4
    until(lambda: not space.nodes("demo"), "the pool has no nodes again", 150)
    for task in space.every("btask"):
        assert (task["status"].get("requeueCount", 0), task["status"]["attempt"]) == (0, 1), task["metadata"]["name"]


def test_a_bad_formula_is_shown_with_its_place_and_a_good_one_can_be_tried_first(space: Namespace) -> None:
    space.apply(scaled(formula="$TargetDedicatedNodes = 1 +"))
    told = space.wait_for("bpool", "demo", lambda status: condition(status, "Stalled").get("status") == "True")
    assert condition(told, "Stalled")["message"].startswith("Line 1, Col 28: a value is expected")
    assert condition(told, "Stalled")["reason"] == "FormulaInvalid"

    refused = space.batch("autoscale", "evaluate", "demo", check=False)
    assert (refused.returncode, "Line 1, Col 28" in refused.stderr) == (1, True)


def test_a_pool_with_autoscaling_takes_no_targets(space: Namespace) -> None:
    space.apply(scaled(formula="$TargetDedicatedNodes = 0"))
    with pytest.raises(KubectlError, match="decided by its formula"):
        space.kubectl("scale", "bpool", "demo", "--replicas=3")


def test_what_nodes_use_of_their_resources_can_be_read_by_a_formula(space: Namespace, tmp_path: Path) -> None:
    space.apply(pool(), job("busy", [sh("spin", "timeout 200 sh -c 'while :; do :; done'")]))
    space.wait_for("btask", "busy.spin", lambda status: status["state"] == "Running")
    formula = tmp_path / "formula"
    formula.write_text(
        "cpu = max($CPUPercent.GetSample(3)); memory = min($MemoryBytes.GetSample(3)); disk = $DiskBytes;"
        "nodes = $SampleNodeCount; slots = $RunningTaskSlots; sent = $NetworkOutBytes"
    )

    def told() -> dict[str, float]:
        done = space.batch("autoscale", "evaluate", "demo", "--formula", str(formula), check=False)
        lines = (line.partition("=") for line in done.stdout.splitlines() if not line.startswith("$"))
        return {name: float(value) for name, _, value in lines}

    found = until(lambda: used if (used := told()).get("cpu", 0) > 0.01 else None, "a sample of a busy node", 150)
    assert found["cpu"] <= 1.1
    assert found["memory"] > 0
    assert found["disk"] > 0
    assert (found["nodes"], found["slots"]) == (1, 1)
    assert space.every("bpool")[0]["status"]["targetDedicatedNodes"] == 1
