"""Stories of pools that grow and shrink: what becomes of running tasks, what is said when there is no room."""

import json

import pytest

from e2e.stories import KubectlError, Manifest, Namespace, condition, job, pool, sh, until

QUOTA: Manifest = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "few"},
    "spec": {"hard": {"pods": "1"}},
}


def running_on(space: Namespace, task: str) -> str:
    """The node that a task runs on."""
    return str(space.wait_for("btask", task, lambda status: status["state"] == "Running")["poolNodeName"])


def change(space: Namespace, **spec: object) -> None:
    """Change the pool's spec."""
    fields = ",".join(f'"{name}":{value}' for name, value in spec.items())
    space.kubectl("patch", "bpool", "demo", "--type=merge", "-p", f'{{"spec":{{{fields}}}}}')


def errors(status: Manifest) -> dict[str, str]:
    """Resize errors of a pool: sentence by code."""
    return {one["code"]: one["message"] for one in status.get("resizeErrors", [])}


def gone(space: Namespace) -> None:
    """Wait until the pool has no nodes."""
    until(lambda: not space.nodes("demo"), "the nodes are gone")
    space.wait_for("bpool", "demo", lambda status: status["allocationState"] == "Steady")


def test_requeue_ends_tasks_that_run_again_elsewhere(space: Namespace) -> None:
    space.apply(pool(), job("work", [sh("one", "sleep 600")]))
    running_on(space, "work.one")

    space.kubectl("scale", "bpool", "demo", "--replicas=0")
    gone(space)
    status = space.wait_for("btask", "work.one", lambda seen: seen["state"] == "Active")
    assert (status["requeueCount"], status["requeueReasons"]) == (1, {"PoolResized": 1})
    assert status.get("retryCount", 0) == 0


def test_terminate_ends_tasks_for_good(space: Namespace) -> None:
    retries = {"maxTaskRetryCount": 3}
    space.apply(pool(nodeDeallocationOption="Terminate"), job("work", [sh("one", "sleep 600", constraints=retries)]))
    running_on(space, "work.one")

    space.kubectl("scale", "bpool", "demo", "--replicas=0")
    gone(space)
    status = space.finished("btask", "work.one")
    assert (status["result"], status["failureInfo"]["code"]) == ("Failure", "TaskEnded")
    assert status.get("requeueCount", 0) == 0


def test_task_completion_awaits_tasks_and_growing_takes_the_node_back(space: Namespace) -> None:
    waits = "until [ -e $AZ_BATCH_NODE_SHARED_DIR/end ]; do sleep 0.2; done"
    space.apply(pool(nodeDeallocationOption="TaskCompletion"), job("work", [sh("one", waits)]))
    node = running_on(space, "work.one")
    before = space.status("bnode", node)

    space.kubectl("scale", "bpool", "demo", "--replicas=0")
    space.wait_for("bnode", node, lambda status: status["state"] == "LeavingPool")
    assert space.wait_for("bpool", "demo", lambda status: status["currentDedicatedNodes"] == 0)["allocationState"] == (
        "Resizing"
    )
    space.kubectl("scale", "bpool", "demo", "--replicas=1")
    back = space.wait_for("bnode", node, lambda status: status["state"] in {"Idle", "Running"})
    assert back["podName"] == before["podName"], "the node that was leaving stays"

    space.kubectl("scale", "bpool", "demo", "--replicas=0")
    space.wait_for("bnode", node, lambda status: status["state"] == "LeavingPool")
    space.apply(job("later", [sh("one", "true")]))
    space.kubectl("exec", before["podName"], "-c", "task", "--", "touch", "/mnt/batch/shared/end")
    gone(space)
    status = space.finished("btask", "work.one")
    assert (status["result"], status.get("requeueCount", 0)) == ("Success", 0)
    assert space.status("btask", "later.one")["state"] == "Active", "nothing new was sent there"


def test_retained_data_keeps_the_node_for_the_retention_time(space: Namespace) -> None:
    keep = {"retentionTime": "20s"}
    space.apply(pool(nodeDeallocationOption="RetainedData"), job("work", [sh("one", "echo kept", constraints=keep)]))
    ended = space.finished("btask", "work.one")["endTime"]

    space.kubectl("scale", "bpool", "demo", "--replicas=0")
    space.wait_for("bnode", "demo-0000", lambda status: status["state"] == "LeavingPool")
    assert space.output("work/one") == "kept\n", "its files are still there"
    gone(space)
    steady = space.status("bpool", "demo")["allocationStateTransitionTime"]
    assert (_seconds(steady) - _seconds(ended)) % 86400 >= 19, "20 s, and one of them has whole seconds alone"


def test_a_quota_that_is_reached_is_a_resize_error_and_tried_again_when_there_is_room(space: Namespace) -> None:
    space.apply(QUOTA, pool(nodes=2))
    told = space.wait_for("bpool", "demo", lambda status: "AccountCoreQuotaReached" in errors(status))
    assert "exceeded quota: few" in errors(told)["AccountCoreQuotaReached"]
    assert (told["allocationState"], condition(told, "Ready")["reason"]) == ("Resizing", "AccountCoreQuotaReached")

    space.kubectl("patch", "resourcequota", "few", "--type=merge", "-p", '{"spec":{"hard":{"pods":"9"}}}')
    space.ready_pool("demo", 2)
    told = space.wait_for("bpool", "demo", lambda status: status["allocationState"] == "Steady")
    assert errors(told) == {}


def test_pods_that_limits_or_a_policy_refuse_are_resize_errors_and_tried_again(space: Namespace) -> None:
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "small"},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "2Gi"}}]},
    }
    rule = {
        "expression": "!has(object.metadata.labels) || !('banned' in object.metadata.labels)",
        "message": "banned pods are not for this namespace",
    }
    name = f"{space.name}-banned"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                ]
            },
            "validations": [rule],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}}},
        },
    }
    space.apply(limits, policy, binding)
    try:
        until(lambda: rule["message"] in _refusal_of_banned_pod(space), "the policy holds")
        large = {"requests": {"memory": "16Mi"}, "limits": {"memory": "3Gi"}}
        template = {
            "metadata": {"labels": {"banned": "yes"}},
            "spec": {"containers": [{"name": "task", **_of_pool("image", "resources")}]},
        }
        space.apply(pool("large", resources=large), pool("banned", template=template))
        for one, sentence in (("large", "maximum memory usage per Container is 2Gi"), ("banned", rule["message"])):
            told = space.wait_for("bpool", one, lambda status: "AllocationFailed" in errors(status))
            assert sentence in errors(told)["AllocationFailed"]
            assert sentence in space.status("bnode", f"{one}-0000")["errors"][0]["message"]
    finally:
        space.kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", name)
    space.kubectl("delete", "limitrange", "small")
    for one in ("large", "banned"):
        space.ready_pool(one, 1)
        assert errors(space.wait_for("bpool", one, lambda status: status["allocationState"] == "Steady")) == {}


def _of_pool(*fields: str) -> Manifest:
    """What the pools of stories have."""
    spec = pool()["spec"]
    return {name: spec[name] for name in fields}


def _refusal_of_banned_pod(space: Namespace) -> str:
    """What the API server says to a pod that is else as the namespace wants it; nothing is made."""
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    user = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "labels": {"banned": "yes"}},
        "spec": {"containers": [{"name": "one", "image": "none", "securityContext": closed}], "securityContext": user},
    }
    try:
        space.kubectl("create", "-f", "-", "--dry-run=server", stdin=json.dumps(manifest))
    except KubectlError as refused:
        return str(refused)
    return ""


def test_a_resize_without_room_says_what_the_scheduler_says_times_out_and_can_be_stopped(space: Namespace) -> None:
    huge = {"requests": {"cpu": "9000", "memory": "32Mi"}}
    space.apply(pool(nodes=1, resources=huge, resizeTimeout="4s"))
    told = space.wait_for("bpool", "demo", lambda status: "AllocationTimedOut" in errors(status))
    assert told["allocationState"] == "Steady"
    assert "0 of 1 nodes" in errors(told)["AllocationTimedOut"]
    told = space.wait_for("bpool", "demo", lambda status: "AllocationFailed" in errors(status))
    assert "Insufficient cpu" in errors(told)["AllocationFailed"]

    change(space, stopResize='{"requestId":"enough"}')
    told = space.wait_for("bpool", "demo", lambda status: list(errors(status)) == ["ResizeStopped"])
    assert told["lastAction"] == {"requestId": "enough", "result": "Stopped"}
    assert (told["targetDedicatedNodes"], space.nodes("demo")) == (0, [])


def test_a_low_priority_node_that_loses_its_pod_comes_back_under_its_name(space: Namespace) -> None:
    tolerated = [{"key": "spot", "operator": "Exists"}]
    space.apply(
        pool(nodes=0, targetLowPriorityNodes=1, lowPriorityTemplate={"tolerations": tolerated}),
        job("work", [sh("one", "sleep 600")]),
    )
    assert running_on(space, "work.one") == "demo-l0000"
    told = space.wait_for("bpool", "demo", lambda status: status.get("currentLowPriorityNodes") == 1)
    assert (told["currentDedicatedNodes"], told["targetNodes"], told["allocationState"]) == (0, 1, "Steady")
    pod = space.get("pod", "demo-l0000-1")
    assert any(one.get("key") == "spot" for one in pod["spec"]["tolerations"])

    space.kubectl("delete", "pod", "demo-l0000-1", "--wait=false")
    space.wait_for("bnode", "demo-l0000", lambda status: status["podName"] == "demo-l0000-2")
    again = space.wait_for(
        "btask", "work.one", lambda seen: seen.get("requeueCount") == 1 and seen["state"] == "Running"
    )
    assert again["poolNodeName"] == "demo-l0000"


def test_a_horizontal_pod_autoscaler_drives_a_pool_and_leaves_an_autoscaled_one_alone(space: Namespace) -> None:
    """There are no metrics here: what it does all the same is to keep a target at its minReplicas at least."""
    space.apply(pool(), pool("own", nodes=0, autoScale={"minNodes": 1, "maxNodes": 1}))
    space.ready_pool("own", 1)
    space.apply(_autoscaler("demo"), _autoscaler("own"))
    space.wait_for("bpool", "demo", lambda status: status.get("currentDedicatedNodes") == 2)
    assert space.get("bpool", "demo")["spec"]["targetDedicatedNodes"] == 2
    told = space.wait_for("hpa", "demo", lambda status: status.get("currentReplicas") == 2)
    assert condition(told, "AbleToScale")["status"] == "True"

    off = space.wait_for("hpa", "own", lambda status: condition(status, "ScalingActive").get("status") == "False")
    assert condition(off, "ScalingActive")["reason"] == "ScalingDisabled"
    assert space.status("bpool", "own")["currentDedicatedNodes"] == 1


def test_kubectl_scale_on_an_autoscaled_pool_is_refused_with_a_sentence(space: Namespace) -> None:
    space.apply(pool(nodes=0, autoScale={"maxNodes": 1}))
    with pytest.raises(KubectlError, match="decided by its formula"):
        space.kubectl("scale", "bpool", "demo", "--replicas=2")


def _seconds(time: str) -> float:
    """Seconds of the day of a Kubernetes time."""
    hours, minutes, seconds = time.partition("T")[2].removesuffix("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _autoscaler(name: str) -> Manifest:
    """Of the pool of that name: 2 to 3 nodes."""
    target = {"apiVersion": "batchpools.dev/v1beta1", "kind": "Pool", "name": name}
    usage = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    metrics = [{"type": "Resource", "resource": usage}]
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 3, "metrics": metrics}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}
