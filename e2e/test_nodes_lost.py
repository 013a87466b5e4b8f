"""Stories of things that die: a node's pod, the leading operator, the API server. No task is lost, none runs twice."""

import time

from e2e.operator_install import Installation
from e2e.stories import Namespace, job, pool, sh, until


def test_a_node_pod_deleted_under_a_task_runs_it_again_with_its_retry_count_unchanged(space: Namespace) -> None:
    log = "echo $AZ_BATCH_TASK_EXECUTION_ID"
    script = f"{log}; test -e $AZ_BATCH_NODE_SHARED_DIR/never || sleep ${{NAP}}"
    long = sh("one", script, env=[{"name": "NAP", "value": "20"}])
    space.apply(pool(), job("survivor", [long]))
    space.wait_for("btask", "survivor.one", lambda status: status["state"] == "Running")

    space.kubectl("delete", "pod", space.status("bnode", "demo-0000")["podName"], "--wait=false")
    status = space.finished("btask", "survivor.one")
    assert (status["result"], status.get("retryCount", 0), status["requeueCount"]) == ("Success", 0, 1)
    assert sum(status["requeueReasons"].values()) == 1
    assert space.status("bnode", "demo-0000")["podName"] == "demo-0000-2"


def test_the_leading_operator_killed_amid_200_tasks_loses_none_and_disturbs_none(
    space: Namespace, operator: Installation
) -> None:
    steady = [sh(f"steady{n}", "echo $AZ_BATCH_TASK_EXECUTION_ID; sleep 25") for n in range(2)]
    short = [
        sh(f"s{n}", "echo $AZ_BATCH_TASK_EXECUTION_ID >> $AZ_BATCH_NODE_SHARED_DIR/runs; sleep 0.1") for n in range(200)
    ]
    space.apply(pool(nodes=2, slots=3), job("steady", steady))
    for n in range(2):
        space.wait_for("btask", f"steady.steady{n}", lambda status: status["state"] == "Running")
    space.apply(job("many", short))
    space.wait_for("bjob", "many", lambda status: status.get("taskCounts", {}).get("completed", 0) > 0)

    operator.kill_leader()
    done = space.finished("bjob", "many", 180)
    assert done["taskCounts"] == {"active": 0, "running": 0, "completed": 200, "succeeded": 200, "failed": 0}
    assert space.finished("bjob", "steady")["result"] == "Success"
    for n in range(2):
        status = space.status("btask", f"steady.steady{n}")
        assert (status.get("requeueCount", 0), status["attempt"]) == (0, 1)
    runs: list[str] = []
    for node in space.nodes("demo"):
        pod = node["status"]["podName"]
        runs += space.kubectl("exec", pod, "-c", "task", "--", "cat", "/mnt/batch/shared/runs").split()
    assert len({run.split(":")[0] for run in runs}) == 200
    assert len(runs) == 200


def test_without_an_api_server_tasks_go_on_and_their_results_are_delivered_later(
    space: Namespace, operator: Installation
) -> None:
    tasks = [sh(f"t{n}", f"sleep {5 + 5 * n}; echo done") for n in range(3)]
    space.apply(pool(slots=3), job("outage", tasks))
    for n in range(3):
        space.wait_for("btask", f"outage.t{n}", lambda status: status["state"] == "Running")

    with operator.without_api_server():
        time.sleep(60)
    done = space.finished("bjob", "outage", 180)
    assert done["taskCounts"]["succeeded"] == 3
    for n in range(3):
        status = space.status("btask", f"outage.t{n}")
        assert (status.get("requeueCount", 0), status.get("retryCount", 0), status["attempt"]) == (0, 0, 1)
    until(lambda: operator.leader() != "", "somebody leads again")
