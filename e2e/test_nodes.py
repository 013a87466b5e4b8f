"""Stories of single nodes: rebooted, reimaged, removed, disabled; start tasks inside the task container; a shell on a node."""

import json
import os
import time
from typing import Any

import pytest

from e2e.cluster.local import LocalCluster
from e2e.operator_install import Installation
from e2e.stories import KubectlError, Namespace, condition, job, pool, sh, until


def standing(space: Namespace, **spec: Any) -> dict[str, Any]:
    """A pool of one node that is up; the node's status."""
    space.apply(pool(**spec))
    space.ready_pool("demo", 1)
    return space.status("bnode", "demo-0000")


def done(status: dict[str, Any]) -> bool:
    return bool((status.get("lastAction") or {}).get("result") == "Done")


def test_a_reboot_runs_the_start_task_again_in_the_same_pod_and_keeps_its_files(space: Namespace) -> None:
    start = {"command": ["sh", "-c", "echo run >> $AZ_BATCH_NODE_SHARED_DIR/starts"]}
    before = standing(space, startTask=start)
    space.apply(job("first", [sh("one", "echo kept > $AZ_BATCH_NODE_SHARED_DIR/file")]))
    space.finished("bjob", "first")

    began = time.monotonic()
    space.batch("node", "reboot", "demo-0000")
    space.wait_for("bnode", "demo-0000", lambda status: done(status) and status["state"] == "Idle")
    print(f"rebooted in {time.monotonic() - began:.1f} s, start task and all")

    after = space.status("bnode", "demo-0000")
    for name in ("podName", "podUID", "podIP", "podGeneration"):
        assert after[name] == before[name], name
    assert after["bootID"] != before["bootID"]
    space.apply(job("then", [sh("one", "cat $AZ_BATCH_NODE_SHARED_DIR/file $AZ_BATCH_NODE_SHARED_DIR/starts")]))
    space.finished("bjob", "then")
    assert space.output("then/one") == "kept\nrun\nrun\n"


def test_a_reboot_requeues_or_awaits_what_runs_as_its_option_says(space: Namespace) -> None:
    standing(space)
    space.apply(job("long", [sh("one", "test -e $AZ_BATCH_NODE_SHARED_DIR/again || sleep 600")]))
    space.wait_for("btask", "long.one", lambda status: status["state"] == "Running")
    space.kubectl("exec", "demo-0000-1", "-c", "task", "--", "touch", "/mnt/batch/shared/again")
    space.batch("node", "reboot", "demo-0000")
    ended = space.finished("btask", "long.one")
    assert (ended["result"], ended["requeueReasons"], ended.get("retryCount", 0)) == ("Success", {"NodeRebooted": 1}, 0)
    space.wait_for("bnode", "demo-0000", done)

    space.apply(job("awaited", [sh("one", "sleep 8")]))
    space.wait_for("btask", "awaited.one", lambda status: status["state"] == "Running")
    request = space.status("bnode", "demo-0000")["lastAction"]["requestId"]
    space.batch("node", "reboot", "demo-0000", "--option", "TaskCompletion")
    space.wait_for("bnode", "demo-0000", lambda status: done(status) and status["lastAction"]["requestId"] != request)
    ended = space.status("btask", "awaited.one")
    assert (ended["result"], ended.get("requeueCount", 0)) == ("Success", 0)


def test_a_reimaged_node_has_a_new_pod_under_its_name_and_a_terminated_task_stays_ended(space: Namespace) -> None:
    before = standing(space)
    space.apply(job("long", [sh("one", "sleep 600")]))
    space.wait_for("btask", "long.one", lambda status: status["state"] == "Running")
    space.batch("node", "reimage", "demo-0000", "--option", "Terminate")
    space.wait_for("bnode", "demo-0000", lambda status: done(status) and status["state"] == "Idle")
    after = space.status("bnode", "demo-0000")
    assert (after["podGeneration"], after["podUID"] == before["podUID"]) == (2, False)
    ended = space.status("btask", "long.one")
    assert (ended["result"], ended["failureInfo"]["code"]) == ("Failure", "TaskEnded")


def test_a_disabled_node_finishes_its_task_is_offline_and_takes_no_more_until_it_is_enabled(space: Namespace) -> None:
    standing(space)
    space.apply(job("long", [sh("one", "sleep 6")]))
    space.wait_for("btask", "long.one", lambda status: status["state"] == "Running")
    space.batch("node", "disable", "demo-0000", "--option", "TaskCompletion")
    again = space.batch("node", "disable", "demo-0000", check=False)
    assert again.returncode == 1
    assert "disabled already" in again.stderr

    space.wait_for("bnode", "demo-0000", lambda status: status["state"] == "Offline")
    assert space.status("btask", "long.one")["result"] == "Success"
    space.wait_for("bpool", "demo", lambda status: status["nodeCounts"].get("offline") == 1)
    space.apply(job("waits", [sh("one", "true")]))
    time.sleep(3)
    assert space.status("btask", "waits.one")["state"] == "Active"
    space.batch("node", "enable", "demo-0000")
    space.finished("bjob", "waits")
    space.wait_for("bnode", "demo-0000", lambda status: status["state"] == "Idle")


def test_a_removed_node_is_not_replaced_and_no_other_goes(space: Namespace) -> None:
    space.apply(pool(nodes=2))
    space.ready_pool("demo", 2)
    space.batch("node", "remove", "demo-0000")
    until(lambda: [node["metadata"]["name"] for node in space.nodes("demo")] == ["demo-0001"], "the other one is left")
    assert space.get("bpool", "demo")["spec"]["targetDedicatedNodes"] == 1


def test_a_package_and_a_daemon_of_the_start_task_are_used_by_tasks(space: Namespace) -> None:
    package = "mkdir -p /tmp/site && echo 'WORD = 42' > /tmp/site/answers.py"
    daemon = (
        "import http.server, os; os.chdir('/tmp/site'); "
        "http.server.HTTPServer(('127.0.0.1', 8099), http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    start = {
        "command": ["sh", "-c", f'{package}; setsid python3 -c "{daemon}" >/dev/null 2>&1 & sleep 1'],
        "container": "task",
    }
    standing(space, startTask=start)
    read = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8099/answers.py').read().decode().strip())"
    use = "import sys; sys.path.insert(0, '/tmp/site'); import answers; print(answers.WORD)"
    tasks = [
        sh("package", f'python3 -c "{use}"'),
        sh("daemon", f'python3 -c "{read}"'),
        sh("again", f'python3 -c "{read}"'),
    ]
    space.apply(job("use", tasks))
    assert space.finished("bjob", "use")["result"] == "Success"
    assert space.output("use/package") == "42\n"
    assert space.output("use/daemon") == space.output("use/again") == "WORD = 42\n"


def test_tasks_that_do_not_wait_for_the_start_task_run_although_it_fails(space: Namespace) -> None:
    start = {"command": ["sh", "-c", "sleep 5; exit 3"], "waitForSuccess": False}
    standing(space, startTask=start)
    space.apply(job("early", [sh("one", "true")]))
    assert space.finished("bjob", "early")["result"] == "Success"
    told = space.wait_for("bnode", "demo-0000", lambda status: (status.get("startTaskInfo") or {}).get("exitCode") == 3)
    assert told["state"] in {"Idle", "Running"}
    space.apply(job("late", [sh("one", "true")]))
    assert space.finished("bjob", "late")["result"] == "Success"


def test_a_command_of_exec_has_the_nodes_directory_and_variables(space: Namespace) -> None:
    standing(space)
    space.apply(job("fails", [sh("one", "echo evidence > left; exit 3")]))
    space.finished("bjob", "fails")
    space.batch("node", "disable", "demo-0000")
    told = space.batch(
        "exec", "demo-0000", "--", "sh", "-c", "pwd; echo $AZ_BATCH_NODE_ID; cat workitems/fails/one/wd/left"
    )
    assert told.stdout == "/mnt/batch\ndemo-0000\nevidence\n"


def test_a_node_that_cannot_launch_tasks_takes_none_for_a_while_and_says_why(
    space: Namespace, operator: Installation
) -> None:
    """On its machine the directory in which tasks are to have theirs is taken away: what tasks could do to it is mended."""
    if not isinstance(operator.cluster, LocalCluster):
        pytest.skip("the node's files have to be on this machine: a directory is given to somebody else")
    uid, at = standing(space)["podUID"], operator.cluster.at.run
    root = f"{operator.cluster.node_root}{at}/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/batchpools-root"
    os.chown(f"{root}/workitems", 0, 0)
    os.chmod(f"{root}/workitems", 0o700)
    space.apply(job("bad", [sh(f"t{number}", "true") for number in range(3)]))
    space.finished("bjob", "bad")
    failures = [one["status"]["failureInfo"] for one in space.every("btask")]
    assert {(one["category"], one["code"]) for one in failures} == {("ServerError", "ResourceDirectoryCreateFailed")}

    told = space.wait_for("bnode", "demo-0000", lambda status: status["state"] == "Unusable")
    assert told["errors"][0]["code"] == "TaskLaunchFailed"
    assert "No task is sent there for a while" in told["errors"][0]["message"]
    space.apply(job("good", [sh("one", "true")]))
    until(lambda: "No node of pool" in space.batch("explain", "good/one").stdout, "the task waits")
    assert space.status("btask", "good.one")["state"] == "Active"
    assert condition(space.status("bpool", "demo"), "Degraded")["status"] == "True"


def test_a_busy_node_is_not_evicted_and_an_idle_one_is(space: Namespace) -> None:
    def evict(pod: str) -> str:
        """What `kubectl drain` asks for; the refusal, empty when it was granted."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": space.name}}
        path = f"/api/v1/namespaces/{space.name}/pods/{pod}/eviction"
        try:
            space.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
        except KubectlError as refused:
            return str(refused)
        return ""

    held_back = "while ! test -e $AZ_BATCH_NODE_SHARED_DIR/go; do sleep 0.1; done"
    space.apply(pool(nodes=2), job("long", [sh("one", held_back)]))
    busy = space.wait_for("btask", "long.one", lambda status: status["state"] == "Running")["poolNodeName"]
    space.ready_pool("demo", 2)
    idle = next(node["metadata"]["name"] for node in space.nodes("demo") if node["metadata"]["name"] != busy)

    def held() -> bool:
        labels = space.get("pod", f"{busy}-1")["metadata"]["labels"]
        budget = space.get("pdb", "demo-busy").get("status", {})
        return bool(labels["batchpools.dev/busy"] == "true" and budget.get("currentHealthy", 0) == 1)

    until(held, "the busy pod is marked, and the cluster counts it")
    assert (
        space.get("pod", f"{busy}-1")["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"]
        == "false"
    )
    assert "disruption budget" in evict(f"{busy}-1")
    assert evict(f"{idle}-1") == ""
    space.wait_for("bnode", idle, lambda status: status["podGeneration"] == 2 and status["state"] == "Idle")
    space.kubectl("exec", f"{busy}-1", "-c", "task", "--", "touch", "/mnt/batch/shared/go")
    ended = space.finished("btask", "long.one")
    assert (ended["result"], ended.get("requeueCount", 0)) == ("Success", 0)
    until(lambda: evict(f"{busy}-1") == "", "an idle node goes after a while", patience=60)


def test_kubectl_drain_takes_idle_nodes_waits_for_busy_ones_and_loses_no_task(space: Namespace) -> None:
    held_back = "while ! test -e $AZ_BATCH_NODE_SHARED_DIR/go; do sleep 0.1; done"
    space.apply(pool("drained", nodes=2), job("long", [sh("one", held_back)], pool_name="drained"))
    busy = space.wait_for("btask", "long.one", lambda status: status["state"] == "Running")["poolNodeName"]
    space.ready_pool("drained", 2)
    idle = next(node["metadata"]["name"] for node in space.nodes("drained") if node["metadata"]["name"] != busy)
    until(
        lambda: space.get("pdb", "drained-busy").get("status", {}).get("currentHealthy", 0) == 1,
        "the cluster counts the busy pod",
    )
    machine = space.get("pod", f"{busy}-1")["spec"]["nodeName"]
    ours = ("--pod-selector=batchpools.dev/pool=drained", "--ignore-daemonsets", "--delete-emptydir-data", "--force")
    try:
        with pytest.raises(KubectlError, match="disruption budget"):
            space.kubectl("drain", machine, *ours, "--timeout=5s")
        waits = space.wait_for("bnode", idle, lambda status: status["podGeneration"] == 2 and bool(status["errors"]))
        assert "unschedulable" in waits["errors"][0]["message"]
        space.kubectl("exec", f"{busy}-1", "-c", "task", "--", "touch", "/mnt/batch/shared/go")
        ended = space.finished("btask", "long.one")
        assert (ended["result"], ended.get("requeueCount", 0)) == ("Success", 0)
        space.kubectl("drain", machine, *ours, "--timeout=90s")  # once it is idle for a while it goes, too
    finally:
        space.kubectl("uncordon", machine)
    space.ready_pool("drained", 2)
    assert [node["status"]["podGeneration"] for node in space.nodes("drained")] == [2, 2]
    told = space.kubectl("describe", "bnode", idle)
    assert "LocalDataLost" in told
    assert "what tasks had left on the node is lost" in told
