"""The story of an application package: a pool waits for it, a node that cannot have it says so, and tasks find it."""

import base64
import hashlib
import io
import zipfile
from typing import Any

from e2e.stories import IMAGE, REQUESTS, Namespace, condition, job, pool, sh

GREET = "#!/bin/sh\necho hello from $AZ_BATCH_APP_PACKAGE_greet_1_0\n"


def test_a_pool_waits_for_its_package_a_node_says_what_is_wrong_with_it_and_tasks_use_it(space: Namespace) -> None:
    scratch = {"name": "scratch", "mountPath": "/mnt/batch/fsmounts/scratch"}
    container = {"name": "task", "image": IMAGE, "resources": REQUESTS, "volumeMounts": [scratch]}
    template = {"spec": {"containers": [container], "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}]}}
    start = {
        "command": ["sh", "-c", "$AZ_BATCH_APP_PACKAGE_greet/bin/greet | tee $AZ_BATCH_NODE_MOUNTS_DIR/scratch/said"]
    }
    references = [{"name": "greet"}]
    space.apply(pool(template=template, startTask=start, applicationPackageReferences=references))
    told = space.wait_for("bpool", "demo", lambda status: condition(status, "Stalled").get("status") == "True")
    assert condition(told, "Stalled")["reason"] == "InvalidApplicationPackageReferences"
    assert condition(told, "Stalled")["message"] == "Application package greet does not exist."
    assert not space.nodes("demo")

    space.apply(_held(), _package(sha256="0" * 64))
    broken = space.wait_for("bnode", "demo-0000", lambda status: status["state"] == "Unusable")
    (error,) = broken["errors"]
    assert error["code"] == "ApplicationPackageError"
    assert error["message"].startswith("Application package greet 1.0: ConfigMap greet-1.0 has the SHA-256 ")
    told = space.wait_for(
        "bapp", "greet", lambda status: condition(status, "Verified").get("reason") == "ApplicationPackageError"
    )
    assert told["versions"][0]["message"] == error["message"]

    space.apply(_package(sha256=hashlib.sha256(_archive()).hexdigest()))
    space.batch("node", "reboot", "demo-0000")
    space.ready_pool("demo", 1)
    space.kubectl("wait", "bapp/greet", "--for=condition=Verified", "--timeout=60s")
    folder = "/mnt/batch/applications/greet/1.0"
    script = "$AZ_BATCH_APP_PACKAGE_greet/bin/greet; cat $AZ_BATCH_NODE_MOUNTS_DIR/scratch/said; "
    script += "touch $AZ_BATCH_APP_PACKAGE_greet/x 2> /dev/null || echo nobody writes here"
    space.apply(job("use", [sh("one", script)]))
    assert space.finished("bjob", "use")["result"] == "Success"
    assert space.output("use/one") == f"hello from {folder}\n" * 2 + "nobody writes here\n"
    shell = space.batch("exec", "demo-0000", "--", "sh", "-c", "echo $AZ_BATCH_APP_PACKAGE_greet")
    assert shell.stdout == f"{folder}\n"
    assert "1/1" in space.batch("get", "packages").stdout


def _archive() -> bytes:
    """The same bytes each time."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        info = zipfile.ZipInfo("bin/greet")
        info.create_system, info.external_attr = 3, 0o100755 << 16
        made.writestr(info, GREET)
    return held.getvalue()


def _held() -> dict[str, Any]:
    data = {"greet.zip": base64.b64encode(_archive()).decode()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greet-1.0"}, "binaryData": data}


def _package(**version: str) -> dict[str, Any]:
    versions = [{"version": "1.0", "configMapName": "greet-1.0", **version}]
    spec = {"defaultVersion": "1.0", "versions": versions}
    return {
        "apiVersion": "batchpools.dev/v1beta1",
        "kind": "ApplicationPackage",
        "metadata": {"name": "greet"},
        "spec": spec,
    }
