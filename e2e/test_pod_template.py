"""Stories of what a node's pod is made of, and how a change of it reaches nodes."""

import base64
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.images import python_image
from e2e.cluster.local import LocalCluster
from e2e.operator_install import Installation
from e2e.registry import Shelf, on_the_node
from e2e.stories import IMAGE, REQUESTS, Namespace, condition, job, pool, sh, task, until


def test_a_changed_template_rolls_one_node_after_the_other_while_tasks_run(space: Namespace) -> None:
    tasks = [sh(f"t{number}", "sleep 2; echo $COLOUR") for number in range(12)]
    space.apply(_coloured("green"), job("work", tasks))
    space.ready_pool("demo", 2)

    space.apply(_coloured("blue"))
    away: list[int] = []

    def rolled() -> bool:
        states = [node["status"].get("state") for node in space.nodes("demo")]
        away.append(sum(state not in {"Idle", "Running"} for state in states))
        return _colours(space) == ["blue", "blue"] and set(states) <= {"Idle", "Running"}

    until(rolled, "both nodes have the new template", 180)
    assert max(away) == 1
    assert sorted(node["metadata"]["name"] for node in space.nodes("demo")) == ["demo-0000", "demo-0001"]
    assert space.finished("bjob", "work")["taskCounts"]["succeeded"] == 12
    assert all(task["status"].get("retryCount", 0) == 0 for task in space.every("btask"))
    told = space.wait_for("bpool", "demo", lambda status: condition(status, "Reconciling").get("status") == "False")
    assert told["nodeCounts"].get("upgradingOS", 0) == 0


def test_an_image_that_cannot_be_looked_at_is_said_and_renews_nobody(space: Namespace) -> None:
    """No registry has it here: the kubelet of the pod that looks says so."""
    space.apply(pool(), job("work"))
    space.ready_pool("demo", 1)
    before = space.every("pod")[0]["metadata"]["uid"]

    space.apply(pool(upgradePolicy={"imageCheckInterval": "1m"}))
    told = space.wait_for("bpool", "demo", lambda status: condition(status, "ImageChecked").get("status") == "False")
    assert condition(told, "ImageChecked")["reason"] == "ImageCheckFailed"
    assert IMAGE in told["imageCheck"]["message"]
    pods = {one["metadata"]["name"]: one["metadata"] for one in space.every("pod")}
    assert sorted(pods) == ["demo-0000-1", "demo-image-check"]
    assert pods["demo-0000-1"]["uid"] == before
    assert "batchpools.dev/pool" not in pods["demo-image-check"]["labels"], (
        "it does not count for kubectl scale or an HPA"
    )
    assert space.status("bpool", "demo")["currentNodes"] == 1
    space.apply(task("work", "one", command=["true"]))
    assert space.finished("btask", "work.one")["result"] == "Success", "the node goes on"

    space.kubectl("delete", "bpool", "demo", "--wait=true", "--timeout=60s")
    until(lambda: not space.every("pod"), "nothing is left")


def test_a_tag_that_has_moved_rolls_nodes_one_after_the_other_and_each_once(
    space: Namespace, operator: Installation, tmp_path: Path
) -> None:
    if not isinstance(operator.cluster, LocalCluster):
        pytest.skip("the registry has to be on the node's own loopback address, where plain HTTP is spoken")
    shelf = Shelf(tmp_path / "shelf", python_image())
    before = shelf.tag("latest", {"etc/which": "before"})
    with on_the_node(operator.cluster, tmp_path / "shelf") as registry:
        space.apply(_tagged(registry))
        space.ready_pool("demo", 2)
        assert {_digest(node) for node in space.nodes("demo")} == {before}

        after = shelf.tag("latest", {"etc/which": "after"})
        space.apply(_tagged(registry, upgradePolicy={"imageCheckInterval": "1m"}))
        away: list[int] = []

        def rolled() -> bool:
            nodes = space.nodes("demo")
            away.append(sum(node["status"].get("state") not in {"Idle", "Running"} for node in nodes))
            return away[-1] == 0 and {_digest(node) for node in nodes} == {after}

        until(rolled, "both nodes have what the tag is now")
        assert max(away) == 1
        assert space.status("bpool", "demo")["imageCheck"]["digest"] == after
        assert sorted(one["metadata"]["name"] for one in space.every("pod")) == ["demo-0000-2", "demo-0001-2"]
        space.apply(job("which", [sh("one", "cat /etc/which")]))
        space.finished("bjob", "which")
        assert space.output("which/one") == "after"


def test_a_pool_has_a_network_policy_that_follows_its_spec_and_goes_with_it(space: Namespace) -> None:
    space.apply(pool(nodes=0))
    until(lambda: space.get("networkpolicy", "demo-nodes"), "the policy is there")
    assert "ingress" not in space.get("networkpolicy", "demo-nodes")["spec"]

    space.apply(pool(nodes=0, enableInterNodeCommunication=True))
    until(lambda: space.get("networkpolicy", "demo-nodes")["spec"].get("ingress"), "nodes may reach each other")
    spec = space.get("networkpolicy", "demo-nodes")["spec"]
    (rule,) = spec["ingress"]
    assert [(one["protocol"], one["port"], one["endPort"]) for one in rule["ports"]] == [
        ("TCP", 1101, 65535),
        ("UDP", 1101, 65535),
    ]
    assert rule["from"] == [{"podSelector": spec["podSelector"]}]
    assert spec["podSelector"]["matchLabels"]["batchpools.dev/pool"] == "demo"
    generation = space.get("networkpolicy", "demo-nodes")["metadata"]["generation"]
    space.kubectl("annotate", "bpool", "demo", "looked=again")
    assert space.get("networkpolicy", "demo-nodes")["metadata"]["generation"] == generation, (
        "it is as the server keeps it"
    )

    space.kubectl("delete", "bpool", "demo", "--wait=true", "--timeout=60s")
    until(lambda: not space.get("networkpolicy", "demo-nodes"), "the policy is gone")


def test_certificates_are_seen_by_visibility_missing_ones_waited_for_and_changed_ones_reach_new_pods(
    space: Namespace,
) -> None:
    space.apply(_secret("setup", cert="for the start task"))
    seen = "cd $AZ_BATCH_CERTIFICATES_DIR; for one in *; do echo $one $(cat $one/cert); done"
    references = [
        {"secretName": "setup", "visibility": ["StartTask"]},
        {"secretName": "corp-ca", "visibility": ["Task"]},
    ]
    start = {"command": ["sh", "-c", seen]}
    space.apply(pool(startTask=start, certificateReferences=references), job("look", [sh("one", seen)]))

    broken = space.wait_for("bnode", "demo-0000", lambda status: status["state"] == "Unusable")
    assert "Secret corp-ca" in broken["errors"][0]["message"]
    assert condition(broken, "Ready")["reason"] == "ReferenceMissing"
    assert space.status("btask", "look.one")["state"] == "Active"

    space.apply(_secret("corp-ca", cert="for tasks"))
    space.finished("bjob", "look", 180)
    assert space.output("look/one") == "corp-ca for tasks\n"
    space.apply(job("start", [sh("out", "cat $AZ_BATCH_NODE_STARTUP_DIR/stdout.txt")]))
    space.finished("bjob", "start")
    assert space.output("start/out") == "setup for the start task\n"

    space.apply(_secret("corp-ca", cert="another for tasks"), _secret("setup", cert="another for the start task"))
    space.batch("node", "reimage", "demo-0000")
    space.wait_for("bnode", "demo-0000", lambda status: (status.get("lastAction") or {}).get("result") == "Done")
    space.apply(job("again", [sh("one", f"{seen}; cat $AZ_BATCH_NODE_STARTUP_DIR/stdout.txt")]))
    space.finished("bjob", "again", 180)
    assert space.output("again/one") == "corp-ca another for tasks\nsetup another for the start task\n"


def test_a_task_gets_the_secrets_that_its_pool_lists_and_no_others(space: Namespace) -> None:
    space.apply(_secret("licence", key="s3cret $(X)"), _secret("other", key="hidden"), _config("site", region="north"))
    env = [
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "licence", "key": "key"}}},
        {"name": "REGION", "valueFrom": {"configMapKeyRef": {"name": "site", "key": "region"}}},
    ]
    stolen = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "other", "key": "key"}}}]
    wrong = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "licence", "key": "no-such"}}}]
    tasks = [
        {**sh("mine", 'echo "$KEY" "$REGION"; ls /batchpools'), "env": env},
        {**sh("stolen", "true"), "env": stolen},
        {**sh("wrong", "true"), "env": wrong},
    ]
    space.apply(pool(secretReferences=["licence"], configMapReferences=["site"]), job("secrets", tasks))

    space.finished("bjob", "secrets")
    assert space.output("secrets/mine") == "s3cret $(X) north\nbin\n"
    for name, words in (("stolen", "does not list"), ("wrong", "has no key no-such")):
        failed = space.status("btask", f"secrets.{name}")
        assert (failed["result"], failed["failureInfo"]["code"]) == ("Failure", "CommandLaunchFailed")
        assert words in failed["failureInfo"]["message"]
    assert "s3cret" not in space.kubectl("get", "btask,bjob,bnode,bpool,pod", "-o", "yaml")


def test_a_task_that_fills_its_nodes_disk_fails_and_its_neighbour_goes_on(space: Namespace) -> None:
    grow = "while sleep 0.05; do head -c 2000000 /dev/zero >> x; done"
    tasks = [
        sh("greedy", grow),
        sh("quiet", "while ! test -e $AZ_BATCH_NODE_SHARED_DIR/over; do sleep 0.2; done; echo fine"),
    ]
    space.apply(pool(taskSlotsPerNode=3, nodeDiskSize="64Mi"), job("disk", tasks))

    ended = space.finished("btask", "disk.greedy")
    assert (ended["result"], ended["failureInfo"]["code"]) == ("Failure", "DiskFull")
    space.apply(job("after", [sh("tell", "touch $AZ_BATCH_NODE_SHARED_DIR/over")]))
    quiet = space.finished("btask", "disk.quiet")
    assert (quiet["result"], quiet.get("requeueCount", 0)) == ("Success", 0)
    (pod,) = space.every("pod")
    root = next(one for one in pod["spec"]["volumes"] if one["name"] == "batchpools-root")
    assert root["emptyDir"]["sizeLimit"] == "64Mi"
    assert pod["spec"]["containers"][0]["resources"]["requests"]["ephemeral-storage"] == "64Mi"


def _coloured(colour: str) -> dict[str, Any]:
    container = {"name": "task", "image": IMAGE, "resources": REQUESTS, "env": [{"name": "COLOUR", "value": colour}]}
    return pool(nodes=2, template={"spec": {"containers": [container]}})


def _tagged(registry: str, **spec: Any) -> dict[str, Any]:
    image = {"image": f"{registry}/python:latest", "imagePullPolicy": "Always"}
    return pool(nodes=2, template={"spec": {"containers": [{"name": "task", "resources": REQUESTS, **image}]}}, **spec)


def _digest(node: dict[str, Any]) -> str:
    return str(node["status"].get("imageID", "")).rpartition("@")[2]


def _colours(space: Namespace) -> list[str]:
    return [one["spec"]["containers"][0]["env"][0]["value"] for one in space.every("pod")]


def _secret(name: str, **data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def _config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
