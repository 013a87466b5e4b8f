"""Stories of pools: they come up, run their start task, shrink, go, and say what is wrong with their nodes."""

from typing import Any

from e2e.stories import Manifest, Namespace, condition, job, pool, sh, until


def test_a_pool_comes_up_and_a_task_uses_what_its_start_task_left(space: Namespace) -> None:
    start = {"command": ["sh", "-c", "echo tool-1 > $AZ_BATCH_NODE_SHARED_DIR/tool; echo started"]}
    tasks = [sh("use", "cat $AZ_BATCH_NODE_SHARED_DIR/tool $AZ_BATCH_NODE_STARTUP_DIR/stdout.txt")]
    space.apply(pool(nodes=2, startTask=start), job("work", tasks))

    assert space.finished("bjob", "work")["result"] == "Success"
    assert space.output("work/use") == "tool-1\nstarted\n"
    space.ready_pool("demo", 2)
    infos = [node["status"]["startTaskInfo"] for node in space.nodes("demo")]
    assert [(info["state"], info["result"], info["exitCode"]) for info in infos] == [("Completed", "Success", 0)] * 2


def test_the_first_ready_node_takes_tasks_while_others_still_start(space: Namespace) -> None:
    slow = {"command": ["sh", "-c", "case $AZ_BATCH_NODE_ID in *0) ;; *) sleep 600;; esac"]}
    space.apply(pool(nodes=2, startTask=slow), job("early", [sh("one", "echo $AZ_BATCH_NODE_ID")]))

    space.finished("bjob", "early")
    assert space.output("early/one") == "demo-0000\n"
    waiting = space.wait_for("bnode", "demo-0001", lambda status: status["state"] == "WaitingForStartTask")
    assert condition(waiting, "StartTaskDone")["status"] == "False"


def test_a_failing_start_task_is_retried_and_shown_and_its_node_takes_no_task(space: Namespace) -> None:
    start = {"command": ["sh", "-c", "echo try >> tries; cat tries; exit 3"], "maxTaskRetryCount": 1}
    space.apply(pool(startTask=start), job("never", [sh("one", "true")]))

    node = space.wait_for("bnode", "demo-0000", lambda status: status["state"] == "StartTaskFailed")
    assert (node["startTaskInfo"]["exitCode"], node["startTaskInfo"]["retryCount"]) == (3, 1)
    told = space.wait_for("bpool", "demo", lambda status: status.get("nodeCounts", {}).get("startTaskFailed") == 1)
    assert condition(told, "Degraded")["status"] == "True"
    assert space.status("btask", "never.one")["state"] == "Active"


def test_an_image_that_cannot_be_pulled_is_shown_on_the_node_and_counted_on_the_pool(space: Namespace) -> None:
    space.apply(pool("broken", image="localhost/no-such-image:1"), pool())

    node = space.wait_for("bnode", "broken-0000", lambda status: status["state"] == "Unusable")
    assert "no-such-image" in node["errors"][0]["message"]
    space.wait_for("bpool", "broken", lambda status: status.get("nodeCounts", {}).get("unusable") == 1)
    space.ready_pool("demo", 1)


def test_a_pod_that_admission_refuses_shows_as_stalled_with_the_sentence(space: Namespace) -> None:
    disk = {"name": "disk", "hostPath": {"path": "/"}}
    space.apply(
        pool(template={"spec": {"containers": [{"name": "task", "image": "python:3-slim"}], "volumes": [disk]}})
    )

    told = space.wait_for("bpool", "demo", lambda status: condition(status, "Stalled").get("status") == "True")
    assert "PodSecurity" in condition(told, "Stalled")["message"]


def test_a_pool_that_shrinks_lets_idle_nodes_go_first(space: Namespace) -> None:
    space.apply(pool(nodes=2), job("long", [sh("one", "echo $AZ_BATCH_NODE_ID; sleep 600")]))
    busy = space.wait_for("btask", "long.one", lambda status: status["state"] == "Running")["poolNodeName"]
    space.ready_pool("demo", 2)

    space.kubectl("scale", "bpool", "demo", "--replicas=1")
    until(lambda: [node["metadata"]["name"] for node in space.nodes("demo")] == [busy], "only the busy node is left")
    status = space.status("btask", "long.one")
    assert (status["state"], status.get("requeueCount", 0)) == ("Running", 0)


def test_a_deleted_node_is_drained_and_replaced_under_the_lowest_name_that_is_free(space: Namespace) -> None:
    space.apply(pool(), job("again", [sh("one", "echo run >> $AZ_BATCH_NODE_SHARED_DIR/runs; sleep ${NAP:-600}")]))
    space.wait_for("btask", "again.one", lambda status: status["state"] == "Running")

    space.kubectl("delete", "bnode", "demo-0000", "--wait=true", "--timeout=60s")
    status = space.wait_for(
        "btask", "again.one", lambda seen: seen.get("requeueCount") == 1 and seen["state"] == "Running"
    )
    assert (status.get("retryCount", 0), status["poolNodeName"]) == (0, "demo-0001")


def test_a_deleted_pool_goes_with_its_nodes_and_its_tasks_wait(space: Namespace) -> None:
    space.apply(pool(), job("orphan", [sh("one", "sleep 600")]))
    space.wait_for("btask", "orphan.one", lambda status: status["state"] == "Running")

    space.kubectl("delete", "bpool", "demo", "--wait=true", "--timeout=60s")
    assert space.every("poolnodes") == []
    until(lambda: not space.every("pods"), "the objects of its dead pods are gone")
    status = space.wait_for("btask", "orphan.one", lambda seen: seen["state"] == "Active")
    assert status["requeueCount"] == 1
    told = space.wait_for("bjob", "orphan", lambda seen: condition(seen, "Schedulable").get("status") == "False")
    assert condition(told, "Schedulable")["reason"] == "PoolNotFound"


def test_a_job_makes_a_pool_of_its_own_and_takes_it_along(space: Namespace) -> None:
    template = pool(slots=2)["spec"]
    own = {"autoPoolNamePrefix": "own", "template": template}
    broken = {
        "template": {**template, "targetDedicatedNodes": 0, "autoScale": {"formula": "$TargetDedicatedNodes = ;"}}
    }
    space.apply(
        _auto("work", autoPool=own, tasks=[sh("one", "echo $AZ_BATCH_POOL_ID")]),
        _auto("wrong", autoPool=broken, tasks=[sh("one", "true")]),
    )

    done = space.finished("bjob", "work")
    assert done["result"] == "Success"
    assert done["poolName"].startswith("own-")
    assert done["poolName"] in space.kubectl("get", "bjob", "work"), "the column POOL"
    until(lambda: not space.get("bpool", done["poolName"]), "the pool went with the end of its job")
    ended = space.finished("bjob", "wrong")
    assert ended["schedulingError"]["code"] == "InvalidAutoScaleFormulaInAutoPool"
    assert space.finished("btask", "wrong.one")["failureInfo"]["code"] == "TaskEnded"


def _auto(name: str, **spec: Any) -> Manifest:
    made = job(name)
    del made["spec"]["poolName"]
    return {**made, "spec": spec}
