"""`kubectl batch get` shows Idle and Running as the leader tells them now (safety rule S5.4), and says so where nobody tells."""

import json
from typing import Any

from tests.cli.stage import User

from batchpools.core.views import PoolNodeStatus, PoolStatus, SlotCounts
from batchpools.testing import builders

RUNS = "/apis/ops.batchpools.dev/v1beta1/namespaces/default/noderuns"
TOLD = PoolStatus(current_dedicated_nodes=2, node_counts={"idle": 2}, task_slots=SlotCounts(total=8, used=0))


def running(name: str, state: str, slots: int) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "poolName": "demo",
        "state": state,
        "slotsUsed": slots,
        "runningTasks": slots,
        "totalTasksRun": 9,
    }


def user() -> User:
    status = PoolNodeStatus(state="Idle", task_slots=4, pod_uid="uid")
    one = User(
        builders.pool("demo", status=TOLD), builders.node("demo-0000", status=status), builders.node("demo-0001")
    )
    items = [running("demo-0000", "Running", 3), running("gone", "Idle", 0)]
    one.cluster.answers[RUNS] = [json.dumps({"items": items}).encode()]
    return one


async def test_a_node_is_shown_as_it_is_now_and_one_that_nobody_tells_of_as_recorded() -> None:
    asker = user()
    await asker.types("get", "nodes", "--show-kubectl")
    heading, first, second = (line.split() for line in asker.lines)
    assert dict(zip(heading, first, strict=False)) | {"TASKS": "3/4", "STATE": "Running"} == dict(
        zip(heading, first, strict=False)
    )
    assert second[2] == "Creating"
    assert f"$ kubectl get --raw '{RUNS}'" in asker.notes


async def test_a_pool_counts_its_nodes_and_slots_as_they_are_now() -> None:
    asker = user()
    await asker.types("get", "pools")
    assert "1 idle, 1 running" in asker.lines[1]
    assert "3/8" in asker.lines[1]


async def test_json_is_what_kubectl_has() -> None:
    asker = user()
    await asker.types("get", "nodes", "-o", "json")
    assert json.loads(asker.out.text)["items"][0]["status"]["state"] == "Idle"
    assert asker.cluster.asked == []


async def test_where_nobody_tells_the_recorded_state_is_shown_with_a_note() -> None:
    asker = user()
    del asker.cluster.answers[RUNS]
    assert await asker.types("get", "nodes") == 0
    assert asker.lines[1].split()[2] == "Idle"
    assert "as last recorded" in asker.notes[0]
