"""Stories of nodes with two images: tasks name the container that they run in, and one container's end is not the other's."""

import os
import signal

import pytest

from e2e.cluster.images import PROJECT_IMAGE
from e2e.cluster.local import LocalCluster
from e2e.cluster.processes import PodProcesses
from e2e.operator_install import Installation
from e2e.stories import IMAGE, REQUESTS, Namespace, job, pool, sh, task, until

TWO = {
    "spec": {
        "containers": [
            {"name": "task", "image": IMAGE, "resources": REQUESTS},
            {"name": "tool", "image": PROJECT_IMAGE, "resources": REQUESTS},
        ]
    }
}
WHICH = (
    "test -e /usr/local/bin/batchpools-runner && echo tool || echo task"  # the project's image has its program there
)
HOLD = "while ! test -e $AZ_BATCH_NODE_SHARED_DIR/go; do sleep 0.1; done"


def test_a_task_runs_in_the_image_that_it_names_and_outlives_the_crash_of_the_other_one(
    operator: Installation, space: Namespace
) -> None:
    space.apply(pool(slots=4, template=TWO), job("held", [sh("here", HOLD), sh("there", HOLD, container="tool")]))
    space.ready_pool("demo", 1)
    both = [sh("task", WHICH), sh("tool", WHICH, container="tool")]
    space.apply(job("which", both), job("wrong", [sh("one", "true", container="tol")]))
    assert space.finished("bjob", "which")["result"] == "Success"
    assert (space.output("which/task"), space.output("which/tool")) == ("task\n", "tool\n")
    failed = space.finished("btask", "wrong.one")["failureInfo"]
    assert failed["code"] == "ContainerInvalidSettings"
    assert "its containers are: task, tool" in failed["message"]
    (event,) = space.every("event", "--field-selector=reason=ContainerInvalidSettings")
    assert event["involvedObject"]["name"] == "wrong.one"
    shell = space.batch("exec", "demo-0000", "--container", "tool", "--", "sh", "-c", WHICH)
    assert shell.stdout.strip() == "tool"

    if not isinstance(operator.cluster, LocalCluster):
        pytest.skip("the node's processes have to be on this machine: one container is killed")
    for name in ("here", "there"):
        space.wait_for("btask", f"held.{name}", lambda status: status.get("state") == "Running")
    before = space.status("btask", "held.here")["executionID"]
    node = space.nodes("demo")[0]["status"]
    os.kill(PodProcesses(operator.cluster.at).find(node["podUID"], "serve", "@batchpools-runner-tool"), signal.SIGKILL)

    def again() -> bool:
        status = space.status("btask", "held.there")
        return status.get("requeueReasons") == {"ContainerLost": 1} and status.get("state") == "Running"

    until(again, "the task of the container that was killed runs again")
    space.apply(task("held", "release", command=["sh", "-c", "touch $AZ_BATCH_NODE_SHARED_DIR/go"]))
    ended = space.finished("btask", "held.here")
    assert (ended["result"], ended["executionID"], ended.get("requeueCount", 0)) == ("Success", before, 0)
    assert space.finished("btask", "held.there")["result"] == "Success"
    assert space.nodes("demo")[0]["status"]["podUID"] == node["podUID"]
