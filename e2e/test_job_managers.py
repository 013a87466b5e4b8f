"""The story of a job manager: a task that has its node for itself, stays while others leave, and takes its job along."""

from e2e.stories import Namespace, job, pool, sh, until

HOLD = "until [ -e $AZ_BATCH_NODE_SHARED_DIR/released ]; do sleep 0.1; done"


def test_a_manager_is_alone_on_its_node_which_leaves_last_and_the_job_ends_with_it(space: Namespace) -> None:
    space.apply(pool(nodes=2, slots=2), job("other", [sh("holds", HOLD)]))
    busy = _node_of(space, "other.holds")
    space.ready_pool("demo", 2)
    workers = [sh(f"work{number}", "sleep 600") for number in range(3)]
    space.apply(job("led", workers, jobManagerTask=sh("manager", HOLD)))

    own = _node_of(space, "led.manager")
    assert own != busy, "it needs a node on which nothing runs"
    (worker,) = until(lambda: _running(space, own=own), "one worker fills the other node")
    assert [one["metadata"]["name"] for one in space.every("btask", "-l", "batchpools.dev/job-manager=true")] == [
        "led.manager"
    ]
    before = space.status("btask", "led.manager")

    space.kubectl("scale", "bpool", "demo", "--replicas=1")
    until(lambda: [one["metadata"]["name"] for one in space.nodes("demo")] == [own], "the other node leaves")
    assert space.wait_for("btask", worker, lambda status: status["state"] == "Active")["requeueReasons"] == {
        "PoolResized": 1
    }
    after = space.status("btask", "led.manager")
    assert (after["state"], after["executionID"]) == ("Running", before["executionID"])

    pod = space.status("bnode", own)["podName"]
    space.kubectl("exec", pod, "-c", "task", "--", "sh", "-c", "touch /mnt/batch/shared/released")
    ended = space.finished("bjob", "led")
    assert (ended["result"], ended["terminateReason"]) == ("Failure", "JMComplete"), "its other tasks were cut short"
    assert ended["taskCounts"] == {"active": 0, "running": 0, "completed": 4, "succeeded": 1, "failed": 3}
    assert space.finished("btask", "led.manager")["result"] == "Success"
    codes = {space.finished("btask", f"led.work{number}")["failureInfo"]["code"] for number in range(3)}
    assert codes == {"TaskEnded"}
    assert space.finished("bjob", "other")["result"] == "Success", "others go on, on the node that is left"


def _node_of(space: Namespace, task: str) -> str:
    """The node on which a task runs, once its status says so."""
    node: str = space.wait_for("btask", task, lambda status: status["state"] == "Running")["poolNodeName"]
    return node


def _running(space: Namespace, own: str) -> list[str]:
    """The workers that run; none of them on the manager's own node."""
    tasks = [one for one in space.every("btask") if one["metadata"]["name"].startswith("led.work")]
    running = [one for one in tasks if one["status"]["state"] == "Running"]
    assert all(one["status"]["poolNodeName"] != own for one in running)
    return [one["metadata"]["name"] for one in running]
