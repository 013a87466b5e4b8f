"""The story of resource files: a start task and a task find what they name, and what is not there fails them with Azure's code."""

from e2e.stories import IMAGE, REQUESTS, Manifest, Namespace, job, pool, sh, until

SERVE = (
    "mkdir /tmp/www; echo 'from the web' > /tmp/www/scene.txt; exec python3 -m http.server 8000 --directory /tmp/www"
)


def test_a_start_task_and_a_task_find_their_files_and_one_that_is_not_there_fails_them(space: Namespace) -> None:
    space.apply(_server(), _object("ConfigMap", "site", {"data": {"region": "north\n"}}))
    web = f"http://{until(lambda: _address(space), 'the web server is up')}:8000"
    scene, site = (
        {"httpUrl": f"{web}/scene.txt", "filePath": "in/scene.txt", "fileMode": "0540"},
        {"configMapName": "site"},
    )
    absent = {"httpUrl": f"{web}/absent.txt", "filePath": "in/absent.txt"}
    start = {
        "command": ["sh", "-c", "cat in/scene.txt region > $AZ_BATCH_NODE_SHARED_DIR/start"],
        "resourceFiles": [scene, site],
    }
    look = "cat in/scene.txt region $AZ_BATCH_NODE_SHARED_DIR/start; ls -l in/scene.txt | cut -c1-10"
    tasks = [
        sh("one", look, resourceFiles=[scene, site]),
        sh("none", "echo ran", resourceFiles=[site, absent], constraints={"maxTaskRetryCount": 3}),
        sh("secret", "echo ran", resourceFiles=[{"secretName": "licence"}]),
    ]
    space.apply(
        pool(startTask=start, configMapReferences=["site"]),
        pool("broken", startTask={"command": ["true"], "resourceFiles": [absent], "maxTaskRetryCount": -1}),
        job("render", tasks),
    )
    space.finished("bjob", "render", 180)
    both = "from the web\nnorth\n"
    assert space.output("render/one") == f"{both}{both}-r-xr-----\n"
    failed = space.status("btask", "render.none")
    assert (failed["result"], failed.get("retryCount", 0), "exitCode" in failed) == ("Failure", 0, False)
    assert (failed["failureInfo"]["category"], failed["failureInfo"]["code"]) == ("UserError", "BlobNotFound")
    assert f"in/absent.txt: {web}/absent.txt was answered with 404" in failed["failureInfo"]["message"]
    refused = space.status("btask", "render.secret")["failureInfo"]
    assert refused["code"] == "BlobAccessDenied"
    assert "does not list in secretReferences" in refused["message"]

    node = space.wait_for("bnode", "broken-0000", lambda status: status["state"] == "StartTaskFailed", 180)
    info = node["startTaskInfo"]
    assert (info["failureInfo"]["code"], info.get("retryCount", 0)) == ("BlobNotFound", 0)
    assert "absent.txt was answered with 404" in info["failureInfo"]["message"]


def _address(space: Namespace) -> str:
    """Where the web server answers; empty while it does not."""
    status = space.status("pod", "web")
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))
    return status["podIP"] if ready else ""


def _server() -> Manifest:
    container = {
        "name": "web",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", SERVE],
        "resources": REQUESTS,
        "readinessProbe": {"httpGet": {"path": "/scene.txt", "port": 8000}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    user = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    return _object("Pod", "web", {"spec": {"containers": [container], "securityContext": user}})


def _object(kind: str, name: str, fields: Manifest) -> Manifest:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}
