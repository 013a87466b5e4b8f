"""The CRDs on a real API server: each rule with a good and a bad object, defaults, columns, limits."""

import json
from typing import Any

import pytest
from tests.crds.conftest import Kubectl

from batchpools.crdgen.kinds import KINDS

pytestmark = pytest.mark.cluster

Manifest = dict[str, Any]


def manifest(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": "batchpools.dev/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def task_spec(**more: Any) -> Manifest:
    return {"jobName": "j", "command": ["true"], **more}


def schedule(name: str, **times: Any) -> Manifest:
    return manifest("JobSchedule", name, {"schedule": times, "jobTemplate": {"spec": {"poolName": "p"}}})


TEMPLATE = {"spec": {"containers": [{"name": "task", "image": "x"}]}}
TOOL = {"name": "tool", "image": "y"}
WHOLE: Manifest = {
    "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
    "spec": {
        "containers": [
            {
                "name": "task",
                "image": "x",
                "imagePullPolicy": "Always",
                "env": [
                    {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {"name": "B", "value": ""},
                ],
                "envFrom": [{"configMapRef": {"name": "c"}}],
                "resources": {"requests": {"cpu": "1"}, "limits": {"nvidia.com/gpu": 1}},
                "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True, "subPath": "a"}],
                "securityContext": {"runAsUser": 2000, "readOnlyRootFilesystem": True},
            }
        ],
        "volumes": [
            {"name": "v", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "w", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        "nodeSelector": {"disk": "ssd"},
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
        "tolerations": [{"operator": "Exists"}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "imagePullSecrets": [{"name": "pull"}],
        "priorityClassName": "low",
        "runtimeClassName": "gvisor",
        "serviceAccountName": "render",
        "hostUsers": False,
        "hostNetwork": False,
        "securityContext": {"runAsUser": 2000, "fsGroup": 2000, "supplementalGroups": [7]},
    },
}
GOOD: list[Manifest] = [
    manifest("Pool", "good", {"image": "x", "resources": {"requests": {"cpu": "1"}}, "drainTimeout": "1m30s"}),
    manifest("Pool", "good", {"template": TEMPLATE, "startTask": {"commandLine": "true", "image": "y"}}),
    manifest("Pool", "good", {"image": "x", "startTask": {"command": ["true"], "container": "task"}}),
    manifest("Pool", "good", {"template": {"spec": {"containers": [TOOL, *TEMPLATE["spec"]["containers"]]}}}),
    manifest("Task", "good", task_spec(container="tool")),
    manifest("Job", "good", {"poolName": "p", "tasks": [{"id": "a", "command": ["true"], "container": "tool"}]}),
    manifest("Pool", "good", {"image": "x", "startTask": {"command": ["true"], "waitForSuccess": False}}),
    manifest(
        "Pool",
        "good",
        {"image": "x", "targetLowPriorityNodes": 2, "resizeTimeout": "1s", "stopResize": {"requestId": "1"}},
    ),
    manifest("Pool", "good", {"image": "x", "imagePullSecrets": [{"name": "pull"}]}),
    manifest("Pool", "good", {"image": "x", "upgradePolicy": {"mode": "Manual", "maxUnavailable": 3}}),
    manifest("Pool", "good", {"image": "x", "upgradePolicy": {"imageCheckInterval": "24h"}}),
    manifest(
        "Pool", "good", {"image": "x", "allowElevated": True, "startTask": {"command": ["true"], "elevated": True}}
    ),
    manifest("Pool", "good", {"image": "x", "enableInterNodeCommunication": True}),
    manifest("Pool", "good", {"image": "x", "certificateReferences": [{"secretName": "a.b", "visibility": ["Task"]}]}),
    manifest("Pool", "good", {"image": "x", "secretReferences": ["a"], "configMapReferences": ["b"]}),
    manifest("Task", "good", task_spec(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])),
    manifest("Pool", "good", {"template": WHOLE, "nodeDiskSize": "10Gi"}),
    manifest("Pool", "good", {"image": "x", "autoScale": {"minNodes": 0, "maxNodes": 9, "idleTimeout": "1m"}}),
    manifest(
        "Pool",
        "good",
        {
            "image": "x",
            "targetDedicatedNodes": 0,
            "autoScale": {"formula": "a = 1;" * 100, "evaluationInterval": "168h"},
        },
    ),
    manifest("PoolNode", "good", {"poolName": "p"}),
    manifest(
        "PoolNode", "good", {"poolName": "p", "schedulingState": "Disabled", "schedulingDisableOption": "Terminate"}
    ),
    manifest("PoolNode", "good", {"poolName": "p", "action": {"type": "Reboot", "requestId": "7"}}),
    manifest("Job", "good", {"poolName": "p", "tasks": [{"id": "a", "command": ["true"]}]}),
    manifest("Job", "good", {"autoPool": {"autoPoolNamePrefix": "x", "keepAlive": True, "template": {"image": "i"}}}),
    manifest("Task", "good", task_spec(constraints={"maxWallClockTime": "10m"}, env=[{"name": "A", "value": "b"}])),
    manifest("JobSchedule", "good", {"jobTemplate": {"spec": {"poolName": "p"}}}),
    schedule("good", recurrenceInterval="1s", startWindow="1s", doNotRunUntil="2026-11-26T07:00:00+01:00"),
    schedule("good", cron="*/5 0 1-15 jan,Feb MON#1", timeZone="Etc/GMT+3", doNotRunAfter="2030-01-01T00:00:00.5Z"),
    manifest(
        "JobSchedule",
        "good",
        {
            "suspend": True,
            "terminate": {"reason": "enough"},
            "successfulJobsHistoryLimit": 0,
            "failedJobsHistoryLimit": 1000,
            "jobTemplate": {
                "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
                "spec": {
                    "autoPool": {"poolLifetime": "JobSchedule", "template": {"image": "i"}},
                    "tasks": [{"id": "a", "command": ["true"]}],
                },
            },
        },
    ),
]


def pod(**more: Any) -> Manifest:
    return {"template": {"spec": {**TEMPLATE["spec"], **more}}}


def container(**more: Any) -> Manifest:
    return pod(containers=[{"name": "task", "image": "x", **more}])


def with_task(*others: Manifest) -> Manifest:
    return pod(containers=[*TEMPLATE["spec"]["containers"], *others])


def scaled(**more: Any) -> Manifest:
    return manifest("Pool", "bad", {"image": "x", "autoScale": more})


BAD: list[tuple[Manifest, str]] = [
    (scaled(), "exactly one of formula and maxNodes"),
    (scaled(formula="a = 1", maxNodes=1), "exactly one of formula and maxNodes"),
    (scaled(formula="a = 1", idleTimeout="1m"), "go with maxNodes"),
    (scaled(minNodes=3, maxNodes=2), "must not be greater than maxNodes"),
    (scaled(maxNodes=10001), "maxNodes"),
    (scaled(formula="x" * 8193), "formula"),
    (scaled(formula="a = 1", evaluationInterval="500ms"), "between 1s and 168h"),
    (scaled(formula="a = 1", evaluationInterval="169h"), "between 1s and 168h"),
    (
        manifest("Pool", "bad", {"image": "x", "targetDedicatedNodes": 1, "autoScale": {"maxNodes": 2}}),
        "it takes no targets other than 0",
    ),
    (
        manifest("Pool", "bad", {"image": "x", "targetLowPriorityNodes": 1, "autoScale": {"maxNodes": 2}}),
        "it takes no targets other than 0",
    ),
    (manifest("Pool", "bad", {"image": "x", "template": TEMPLATE}), "exactly one of image and template"),
    (manifest("Pool", "bad", {}), "exactly one of image and template"),
    (manifest("Pool", "bad", {"template": TEMPLATE, "resources": {"limits": {}}}), "resources goes with image"),
    (manifest("Pool", "bad", {"image": "x", "drainTimeout": "1ms"}), "between 1s and 24h"),
    (manifest("Pool", "bad", {"image": "x", "drainTimeout": "15 minutes please"}), "drainTimeout"),
    (manifest("Pool", "bad", {"image": "x", "resizeTimeout": "500ms"}), "between 1s and 168h"),
    (manifest("Pool", "bad", {"image": "x", "targetLowPriorityNodes": -1}), "targetLowPriorityNodes"),
    (manifest("Pool", "bad", {"image": "x", "nodeDeallocationOption": "Kill"}), "nodeDeallocationOption"),
    (manifest("Pool", "bad", {"image": "x", "stopResize": {}}), "requestId"),
    (manifest("Pool", "bad", {"image": "x", "nodeDiskSize": "1Mi"}), "between 16Mi and 1Pi"),
    (manifest("Pool", "bad", {"image": "x", "nodeDiskSize": "ten"}), "nodeDiskSize"),
    (manifest("Pool", "bad", {"image": "x", "secretReferences": ["a", "a"]}), "Duplicate"),
    (manifest("Pool", "bad", {"image": "x", "taskLogs": {"toContainerLog": "Some"}}), "toContainerLog"),
    (
        manifest("Pool", "bad", {"image": "x", "certificateReferences": [{"secretName": "a", "visibility": ["Me"]}]}),
        "visibility",
    ),
    (
        manifest(
            "Pool",
            "bad",
            {
                "image": "x",
                "startTask": {"command": ["a"], "container": "task"},
                "certificateReferences": [{"secretName": "a", "visibility": ["StartTask"]}],
            },
        ),
        "sees what tasks see",
    ),
    (manifest("Task", "bad", task_spec(env=[{"name": "A", "valueFrom": {}}])), "exactly one of secretKeyRef"),
    (
        manifest(
            "Task",
            "bad",
            task_spec(env=[{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        ),
        "only one of value and valueFrom",
    ),
    (manifest("Pool", "bad", {"image": "x", "upgradePolicy": {"mode": "Rolling"}}), "upgradePolicy.mode"),
    (manifest("Pool", "bad", {"image": "x", "upgradePolicy": {"maxUnavailable": 0}}), "maxUnavailable"),
    (
        manifest("Pool", "bad", {"image": "x", "startTask": {"command": ["true"], "elevated": True}}),
        "a start task is elevated only in a pool with allowElevated: true",
    ),
    (
        manifest("Pool", "bad", {"image": "x", "upgradePolicy": {"imageCheckInterval": "30s"}}),
        "imageCheckInterval must lie between 1m and 8760h",
    ),
    (
        manifest(
            "Pool",
            "bad",
            {
                "template": {
                    "spec": {"containers": [{"name": "task", "image": "x", "imagePullPolicy": "IfNotPresent"}]}
                },
                "upgradePolicy": {"imageCheckInterval": "24h"},
            },
        ),
        "with imageCheckInterval images are always pulled",
    ),
    (manifest("Pool", "a.b", {"image": "x"}), "at most 50 characters and no dots"),
    (manifest("Pool", "p" * 51, {"image": "x"}), "at most 50 characters and no dots"),
    (manifest("Pool", "bad", {"image": "x", "taskSlotsPerNode": 0}), "taskSlotsPerNode"),
    (
        manifest("Pool", "bad", {"image": "x", "startTask": {"command": ["a"], "commandLine": "a"}}),
        "exactly one of command",
    ),
    (
        manifest("Pool", "bad", {"image": "x", "startTask": {"command": ["a"], "container": "task", "image": "y"}}),
        "image goes with a start task in an init container",
    ),
    (
        manifest("Pool", "bad", {"image": "x", "startTask": {"command": ["a"], "waitForSuccess": False, "image": "y"}}),
        "image goes with a start task in an init container",
    ),
    (manifest("Pool", "bad", {"image": "x", "startTask": {"command": ["a"], "container": "agent"}}), "container"),
    (
        manifest("Pool", "bad", {"template": TEMPLATE, "imagePullSecrets": [{"name": "p"}]}),
        "imagePullSecrets goes with",
    ),
    (manifest("Pool", "bad", pod(volumes=[{"name": "batchpools-root", "emptyDir": {}}])), "are the operator's"),
    (manifest("Pool", "bad", pod(volumes=[{"name": "v"}, {"name": "v"}])), "Duplicate"),
    (manifest("Pool", "bad", pod(securityContext={"runAsUser": 64500})), "is the agent's"),
    (manifest("Pool", "bad", pod(securityContext={"runAsUser": 0})), "is root"),
    (manifest("Pool", "bad", pod(hostNetwork=True)), "hostNetwork may not be set"),
    (manifest("Pool", "bad", pod(hostPID=True)), "hostPID may not be set"),
    (manifest("Pool", "bad", pod(hostIPC=True)), "hostIPC may not be set"),
    (manifest("Pool", "bad", pod(shareProcessNamespace=True)), "shareProcessNamespace may not be set"),
    (manifest("Pool", "bad", pod(restartPolicy="Never")), "restartPolicy may not be set"),
    (manifest("Pool", "bad", pod(initContainers=[{"name": "a", "image": "x"}])), "initContainers may not be set"),
    (manifest("Pool", "bad", pod(containers=[TOOL])), "a container named 'task' is required"),
    (manifest("Pool", "bad", with_task({**TOOL, "name": "task"})), "Duplicate"),
    (manifest("Pool", "bad", with_task({**TOOL, "name": "agent"})), "are those of the system's containers"),
    (manifest("Pool", "bad", with_task({**TOOL, "name": "install-runner"})), "are those of the system's containers"),
    (manifest("Pool", "bad", with_task({**TOOL, "name": "start-task"})), "are those of the system's containers"),
    (manifest("Pool", "bad", with_task({**TOOL, "name": "Tool"})), "name"),
    (manifest("Pool", "bad", with_task({"name": "tool"})), "image"),
    (manifest("Pool", "bad", with_task({**TOOL, "command": ["sh"]})), "command may not be set"),
    (manifest("Pool", "bad", with_task(*({**TOOL, "name": f"t{n}"} for n in range(8)))), "at most 8"),
    (manifest("Task", "bad", task_spec(container="")), "container"),
    (manifest("Task", "bad", task_spec(container="A_b")), "container"),
    (manifest("Pool", "bad", container(command=["sh"])), "command may not be set"),
    (manifest("Pool", "bad", container(args=["-c"])), "args may not be set"),
    (manifest("Pool", "bad", container(livenessProbe={"exec": {}})), "livenessProbe may not be set"),
    (manifest("Pool", "bad", container(readinessProbe={"exec": {}})), "readinessProbe may not be set"),
    (manifest("Pool", "bad", container(startupProbe={"exec": {}})), "startupProbe may not be set"),
    (manifest("Pool", "bad", container(lifecycle={"preStop": {}})), "lifecycle may not be set"),
    (manifest("Pool", "bad", container(securityContext={"runAsUser": 64500})), "is the agent's"),
    (manifest("Pool", "bad", container(securityContext={"privileged": True})), "privileged"),
    (manifest("Pool", "bad", container(env=[{"name": "AZ_BATCH_X", "value": ""}])), "set by the system"),
    (manifest("Pool", "bad", container(volumeMounts=[{"name": "v", "mountPath": "/mnt/batch/"}])), "the operator's"),
    (manifest("Pool", "bad", container(volumeMounts=[{"name": "v", "mountPath": "/batchpools"}])), "the operator's"),
    (manifest("PoolNode", "bad", {"poolName": "p", "schedulingState": "Off"}), "schedulingState"),
    (
        manifest("PoolNode", "bad", {"poolName": "p", "schedulingDisableOption": "RetainedData"}),
        "schedulingDisableOption",
    ),
    (manifest("PoolNode", "bad", {"poolName": "p", "action": {"type": "Reboot"}}), "requestId"),
    (manifest("PoolNode", "bad", {"poolName": "p", "action": {"type": "Explode", "requestId": "1"}}), "type"),
    (manifest("Job", "a.b", {"poolName": "p"}), "at most 63 characters and no dots"),
    (manifest("Job", "bad", {"poolName": "p", "priority": -1001}), "priority"),
    (manifest("Job", "bad", {}), "exactly one of poolName and autoPool"),
    (
        manifest("Job", "bad", {"poolName": "p", "autoPool": {"template": {"image": "i"}}}),
        "exactly one of poolName and autoPool",
    ),
    (manifest("Job", "bad", {"autoPool": {"template": {}}}), "exactly one of image and template"),
    (manifest("Job", "bad", {"autoPool": {"poolLifetime": "Ever", "template": {"image": "i"}}}), "poolLifetime"),
    (manifest("Job", "bad", {"poolName": "p", "tasks": [{"id": "a"}]}), "exactly one of command"),
    (manifest("Job", "bad", {"poolName": "p", "env": [{"name": "BATCHPOOLS_X"}]}), "set by the system"),
    (manifest("Task", "bad", task_spec(commandLine="true")), "exactly one of command"),
    (manifest("Task", "bad", task_spec(constraints={"maxWallClockTime": "1ms"})), "between 1s and 4320h"),
    (manifest("Task", "bad", task_spec(env=[{"name": "AZ_BATCH_X", "value": ""}])), "set by the system"),
    (manifest("Task", "bad", task_spec(requiredSlots=257)), "requiredSlots"),
    (manifest("Task", "bad", task_spec(id="a b")), "id"),
    (schedule("a.b"), "at most 52 characters and no dots"),
    (schedule("s" * 53), "at most 52 characters and no dots"),
    (schedule("bad", recurrenceInterval="1h", cron="* * * * *"), "only one of recurrenceInterval and cron"),
    (schedule("bad", recurrenceInterval="1h", timeZone="UTC"), "timeZone goes with cron"),
    (schedule("bad", recurrenceInterval="500ms"), "recurrenceInterval must lie between 1s and 8784h"),
    (schedule("bad", startWindow="9000h"), "startWindow must lie between 1s and 8784h"),
    (schedule("bad", cron="0 6 * *"), "spec.schedule.cron"),
    (schedule("bad", cron="@daily please"), "spec.schedule.cron"),
    (schedule("bad", cron="0 6 * * *", timeZone="../etc"), "spec.schedule.timeZone"),
    (schedule("bad", doNotRunUntil="tomorrow"), "spec.schedule.doNotRunUntil"),
    (schedule("bad", doNotRunUntil="2026-11-26T07:00:00"), "spec.schedule.doNotRunUntil"),
    (schedule("bad", doNotRunUntil="0000-11-26T07:00:00Z"), "spec.schedule.doNotRunUntil"),
    (
        schedule("bad", doNotRunUntil="2026-11-26T07:00:00Z", doNotRunAfter="2026-11-26T08:00:00+01:00"),
        "doNotRunAfter must be later than doNotRunUntil",
    ),
    (manifest("JobSchedule", "bad", {"schedule": {}}), "jobTemplate"),
    (manifest("JobSchedule", "bad", {"jobTemplate": {"spec": {}}}), "exactly one of poolName and autoPool"),
    (
        manifest("JobSchedule", "bad", {"jobTemplate": {"spec": {"poolName": "p", "tasks": [{"id": "a"}]}}}),
        "exactly one of command",
    ),
    (
        manifest("JobSchedule", "bad", {"jobTemplate": {"spec": {"poolName": "p"}}, "failedJobsHistoryLimit": -1}),
        "failedJobsHistoryLimit",
    ),
]


@pytest.mark.parametrize("good", GOOD, ids=lambda one: f"{one['kind']} {sorted(one['spec'])}")
def test_a_good_object_is_accepted(kubectl: Kubectl, namespace: str, good: Manifest) -> None:
    done = kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", stdin=good)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("bad", "sentence"), BAD, ids=[f"{bad['kind']}: {sentence}" for bad, sentence in BAD])
def test_a_bad_object_is_refused_with_a_sentence(
    kubectl: Kubectl, namespace: str, bad: Manifest, sentence: str
) -> None:
    done = kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", stdin=bad)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_fresh_objects_have_their_state_without_a_write(kubectl: Kubectl, namespace: str) -> None:
    waits = {"suspend": True, "jobTemplate": {"spec": {"poolName": "p"}}}
    for kind, spec in (("Task", task_spec()), ("Job", {"poolName": "no-such-pool"}), ("JobSchedule", waits)):
        kubectl("create", "-n", namespace, "-f", "-", stdin=manifest(kind, "fresh", spec), check=True)
        held = kubectl("get", f"{kind.lower()}s.batchpools.dev", "fresh", "-n", namespace, "-o", "json").stdout
        status = json.loads(held)["status"]
        assert status["state"] == "Active"
        assert [one["status"] for one in status["conditions"] if one["type"] == "Finished"] == ["False"]


@pytest.mark.parametrize(
    ("kind", "first", "then", "sentence"),
    [
        ("PoolNode", {"poolName": "p"}, {"poolName": "q"}, "poolName cannot change"),
        (
            "PoolNode",
            {"poolName": "p", "action": {"type": "Reboot", "requestId": "7"}},
            {"poolName": "p", "action": {"type": "Reimage", "requestId": "7"}},
            "another action needs another requestId",
        ),
        ("Job", {"poolName": "p"}, {"poolName": "q"}, "poolName cannot change"),
        (
            "JobSchedule",
            {"suspend": True, "terminate": {}, "jobTemplate": {"spec": {"poolName": "p"}}},
            {"suspend": True, "jobTemplate": {"spec": {"poolName": "p"}}},
            "no way back from terminate",
        ),
        ("Job", {"poolName": "p"}, {"autoPool": {"template": {"image": "i"}}}, "poolName cannot change"),
        (
            "Job",
            {"autoPool": {"template": {"image": "i"}}},
            {"autoPool": {"poolLifetime": "JobSchedule", "template": {"image": "i"}}},
            "poolLifetime cannot change",
        ),
        ("Task", task_spec(), task_spec(requiredSlots=2), "cannot change"),
        ("Task", task_spec(), task_spec(elevated=True), "cannot change"),
        ("Task", task_spec(), task_spec(command=["false"]), "cannot change"),
        ("Task", task_spec(), task_spec(id="other"), "cannot change"),
        ("Task", task_spec(), task_spec(env=[{"name": "A", "value": "b"}]), "cannot change"),
        ("Task", task_spec(), task_spec(jobName="other"), "cannot change"),
        (
            "Job",
            {"poolName": "p", "onAllTasksComplete": "TerminateJob"},
            {"poolName": "p", "onAllTasksComplete": "NoAction"},
            "no way back",
        ),
        (
            "Job",
            {"poolName": "p", "tasks": [{"id": "a", "command": ["true"]}]},
            {"poolName": "p", "tasks": [{"id": "a", "command": ["false"]}]},
            "cannot change once it is there",
        ),
        (
            "Job",
            {"poolName": "p", "tasks": [{"id": "a", "command": ["true"]}]},
            {"poolName": "p", "tasks": [{"id": "b", "command": ["true"]}, {"id": "a", "command": ["true"]}]},
            "only be added at the end",
        ),
    ],
)
def test_what_is_fixed_cannot_change(
    kubectl: Kubectl, namespace: str, kind: str, first: Manifest, then: Manifest, sentence: str
) -> None:
    name = f"fixed-{abs(hash((kind, sentence, str(then))))}"[:40]
    kubectl("create", "-n", namespace, "-f", "-", stdin=manifest(kind, name, first), check=True)
    refused = "Conflict"
    while "Conflict" in refused:  # an operator that runs may write in between
        changed = _held(kubectl, namespace, kind, name, then)
        refused = kubectl("replace", "-n", namespace, "-f", "-", stdin=changed).stderr
    assert sentence in refused


def test_status_refuses_an_older_epoch_and_the_way_back_from_the_end(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "-n", namespace, "-f", "-", stdin=manifest("Task", "ended", task_spec()), check=True)

    def write(state: str, epoch: int) -> str:
        patch = json.dumps([{"op": "add", "path": "/status", "value": {"state": state, "epoch": epoch}}])
        return kubectl(
            "patch", "btask", "ended", "-n", namespace, "--subresource=status", "--type=json", f"-p={patch}"
        ).stderr

    assert write("Running", 5) == ""
    assert "has been replaced" in write("Running", 4)
    assert write("Completed", 5) == ""
    assert "stays ended" in write("Active", 6)


def test_a_job_that_has_ended_stays_ended_and_takes_no_more_tasks(kubectl: Kubectl, namespace: str) -> None:
    first = {"id": "a", "command": ["true"]}
    ended = manifest("Job", "over", {"poolName": "no-such-pool", "tasks": [first]})
    kubectl("create", "-n", namespace, "-f", "-", stdin=ended, check=True)

    def patch(path: str, value: Any, *flags: str) -> str:
        operations = json.dumps([{"op": "add", "path": path, "value": value}])
        return kubectl("patch", "bjob", "over", "-n", namespace, "--type=json", f"-p={operations}", *flags).stderr

    assert patch("/status", {"state": "Completed", "epoch": 1 << 40}, "--subresource=status") == ""
    assert "stays ended" in patch("/status/state", "Active", "--subresource=status")
    assert "has ended" in patch("/spec/tasks/-", {"id": "b", "command": ["true"]})


def test_a_schedule_that_has_ended_stays_ended_takes_no_other_times_and_never_counts_back(
    kubectl: Kubectl, namespace: str
) -> None:
    """Its template may change as it likes: what is fixed in a job is fixed once it is made."""
    first = {"suspend": True, "jobTemplate": {"spec": {"poolName": "p", "tasks": [{"id": "a", "command": ["true"]}]}}}
    kubectl("create", "-n", namespace, "-f", "-", stdin=manifest("JobSchedule", "over", first), check=True)

    def patch(path: str, value: Any, *flags: str) -> str:
        operations = json.dumps([{"op": "add", "path": path, "value": value}])
        return kubectl("patch", "bjs", "over", "-n", namespace, "--type=json", f"-p={operations}", *flags).stderr

    other = {"autoPool": {"template": {"image": "i"}}, "tasks": [{"id": "b", "command": ["false"]}]}
    assert patch("/spec/jobTemplate/spec", other) == ""
    assert patch("/spec/schedule", {"recurrenceInterval": "1h"}) == ""
    status = {"state": "Active", "epoch": 1 << 40, "jobsCreated": 2}
    assert patch("/status", status, "--subresource=status") == ""
    assert "never goes back" in patch("/status/jobsCreated", 1, "--subresource=status")
    assert "has been replaced" in patch("/status/epoch", 1, "--subresource=status")
    assert patch("/status/state", "Completed", "--subresource=status") == ""
    assert "stays ended" in patch("/status/state", "Active", "--subresource=status")
    assert "takes no other times" in patch("/spec/schedule", {"recurrenceInterval": "2h"})


def test_a_schedule_of_a_thousand_tasks_passes_creation_update_and_status(kubectl: Kubectl, namespace: str) -> None:
    tasks = [{"id": f"task-{n:04d}-{'x' * 40}", "command": ["echo", "y" * 200]} for n in range(1000)]
    big = {"suspend": True, "jobTemplate": {"spec": {"poolName": "p", "tasks": tasks}}}
    done = kubectl("create", "-n", namespace, "-f", "-", stdin=manifest("JobSchedule", "big", big))
    assert done.stderr == ""
    for path, flags in (
        ("/spec/jobTemplate/spec/tasks/0/command/1", ()),
        ("/status/schedule", ("--subresource=status",)),
    ):
        patch = json.dumps([{"op": "add", "path": path, "value": "z"}])
        done = kubectl("patch", "bjs", "big", "-n", namespace, "--type=json", f"-p={patch}", *flags)
        assert done.stderr == ""


def test_a_job_of_a_thousand_tasks_passes_creation_update_and_status(kubectl: Kubectl, namespace: str) -> None:
    tasks = [{"id": f"task-{n:04d}-{'x' * 40}", "command": ["echo", "y" * 200]} for n in range(1000)]
    big = manifest("Job", "big", {"poolName": "p", "tasks": tasks[:-1]})
    assert kubectl("create", "-n", namespace, "-f", "-", stdin=big).stderr == ""
    more = json.dumps([{"op": "add", "path": "/spec/tasks/-", "value": tasks[-1]}])
    assert kubectl("patch", "bjob", "big", "-n", namespace, "--type=json", f"-p={more}").stderr == ""
    patch = json.dumps([{"op": "add", "path": "/status/tasksCreated", "value": 1000}])
    done = kubectl("patch", "bjob", "big", "-n", namespace, "--subresource=status", "--type=json", f"-p={patch}")
    assert done.stderr == ""


def test_tasks_are_selected_by_their_fields(kubectl: Kubectl, namespace: str) -> None:
    chosen = manifest("Task", "chosen", task_spec(jobName="selected", id="only"))
    kubectl("create", "-n", namespace, "-f", "-", stdin=chosen, check=True)
    selector = "--field-selector=spec.jobName=selected,spec.id=only,status.state=Active"
    assert kubectl("get", "btask", "-n", namespace, selector, "-o", "name").stdout == "task.batchpools.dev/chosen\n"


def test_the_scale_subresource_sets_the_target(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "-n", namespace, "-f", "-", stdin=manifest("Pool", "scaled", {"image": "x"}), check=True)
    done = kubectl("scale", "bpool", "scaled", "-n", namespace, "--replicas=0")
    assert done.returncode == 0, done.stderr


def test_names_and_columns_are_as_documented(kubectl: Kubectl, namespace: str) -> None:
    for kind in KINDS:
        header = kubectl("get", kind.short, "-n", namespace).stdout.split("\n")[0].split()
        if header:
            assert [name.upper() for name, _, _ in kind.columns if not name.endswith("*")] == header[1:]
    listed = kubectl("api-resources", "--categories=batchpools", "--no-headers").stdout
    assert {line.split()[0] for line in listed.splitlines()} == {"pools", "jobs", "jobschedules"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.short)
def test_kubectl_explain_has_a_sentence_on_every_field(kubectl: Kubectl, kind: Any) -> None:
    listed = json.loads(kubectl("get", "crd", f"{kind.plural}.batchpools.dev", "-o", "json").stdout)
    schema = listed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    bare = [path for path, node in _fields("", schema) if not node.get("description") and path != ".metadata"]
    assert bare == []


def _fields(path: str, node: Manifest) -> list[tuple[str, Manifest]]:
    found = []
    for name, child in node.get("properties", {}).items():
        found.append((f"{path}.{name}", child))
        found += _fields(f"{path}.{name}", child)
    if "items" in node:
        found += _fields(f"{path}[]", node["items"])
    return found


def _held(kubectl: Kubectl, namespace: str, kind: str, name: str, spec: Manifest) -> Manifest:
    plural = {
        "PoolNode": "poolnodes",
        "Job": "jobs.batchpools.dev",
        "Task": "tasks.batchpools.dev",
        "JobSchedule": "jobschedules",
    }[kind]
    held: Manifest = json.loads(kubectl("get", plural, name, "-n", namespace, "-o", "json").stdout)
    return {**held, "spec": {**held["spec"], **spec} if kind == "Task" else spec}
