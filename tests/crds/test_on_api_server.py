"""The CRDs on a real API server: what is accepted, and what is refused with which sentence."""

from typing import Any

import pytest
from tests.crds.conftest import Kubectl
from tests.crds.objects import Manifest, manifest, schedule, start_task, task_spec

pytestmark = pytest.mark.cluster

TEMPLATE = {"spec": {"containers": [{"name": "task", "image": "x"}]}}
TOOL = {"name": "tool", "image": "y"}
MOUNT = {"name": "w", "mountPath": "/mnt/batch/fsmounts/data.2"}
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
                "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True, "subPath": "a"}, MOUNT],
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
WEB: Manifest = {"version": "4.2", "url": "https://files.example:8080/a/b.zip?c=d&e=%20"}


def package(*versions: Manifest, name: str = "good", **more: Any) -> Manifest:
    return manifest("ApplicationPackage", name, {"versions": list(versions), **more})


GOOD: list[Manifest] = [
    manifest("Pool", "good", {"image": "x", "resources": {"requests": {"cpu": "1"}}, "drainTimeout": "1m30s"}),
    manifest("Pool", "good", {"template": TEMPLATE, "startTask": {"commandLine": "true", "image": "y"}}),
    manifest("Pool", "good", {"image": "x", "startTask": {"command": ["true"], "container": "task"}}),
    manifest("Pool", "good", {"template": {"spec": {"containers": [TOOL, *TEMPLATE["spec"]["containers"]]}}}),
    manifest("Task", "good", task_spec(container="tool")),
    manifest(
        "Task",
        "good",
        task_spec(
            resourceFiles=[
                {
                    "httpUrl": "https://a.example:8443/x/y.tar.gz?sig=a%20b",
                    "filePath": "..in/.x/a..b/c d",
                    "fileMode": "640",
                    "sha256": "aA0" * 21 + "b",
                    "credentialsSecretName": "store",
                },
                {
                    "storageContainerUrl": "http://10.0.0.1:10000/account/data?sig=x",
                    "blobPrefix": "in/",
                    "filePath": "in",
                },
                {"autoStorageContainerName": "my-data", "blobPrefix": "in/", "credentialsSecretName": "store"},
                {"configMapName": "scene", "filePath": "scene", "fileMode": "0444"},
                {"secretName": "licence"},
            ]
        ),
    ),
    manifest(
        "Job",
        "good",
        {"poolName": "p", "tasks": [{"id": "a", "command": ["x"], "resourceFiles": [{"configMapName": "scene"}]}]},
    ),
    manifest(
        "Pool",
        "good",
        {"image": "x", "startTask": {"command": ["x"], "resourceFiles": [{"httpUrl": "http://a/b", "filePath": "c"}]}},
    ),
    manifest("Job", "good", {"poolName": "p", "tasks": [{"id": "a", "command": ["true"], "container": "tool"}]}),
    manifest("Pool", "good", {"image": "x", "startTask": {"command": ["true"], "waitForSuccess": False}}),
    manifest(
        "Pool",
        "good",
        {"image": "x", "targetLowPriorityNodes": 2, "resizeTimeout": "1s", "stopResize": {"requestId": "1"}},
    ),
    manifest("Pool", "good", {"image": "x", "startTask": start_task(32768)}),
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
    manifest(
        "Job",
        "good",
        {
            "poolName": "p",
            "terminate": {"reason": "enough"},
            "jobManagerTask": {"id": "boss", "command": ["true"], "killJobOnCompletion": False, "requiredSlots": 2},
            "tasks": [{"id": "a", "command": ["true"]}],
        },
    ),
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
    manifest(
        "Pool",
        "good",
        {"image": "x", "applicationPackageReferences": [{"name": "blender"}, {"name": "a-b", "version": "4.2-rc_1"}]},
    ),
    package(
        WEB, {"version": "1_a", "configMapName": "a.b", "format": "TarGz", "sha256": "aB" * 32}, defaultVersion="4.2"
    ),
    package(*({**WEB, "version": f"v{number}"} for number in range(40))),
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
    (package(WEB, name="a.b"), "at most 63 characters and no dots"),
    (package(WEB, name="a" * 64), "at most 63 characters and no dots"),
    (package(), "versions"),
    (package(WEB, WEB), "Duplicate"),
    (package(WEB, defaultVersion="4.3"), "defaultVersion must be one of versions"),
    (package({"version": "1"}), "exactly one of url and configMapName"),
    (package({**WEB, "configMapName": "a"}), "exactly one of url and configMapName"),
    (package({**WEB, "version": "../1"}), "version"),
    (package({**WEB, "version": "v" * 65}), "version"),
    (package({**WEB, "url": "ftp://files.example/a"}), "url"),
    (package({**WEB, "url": "https://files.example/a b"}), "url"),
    (package({**WEB, "sha256": "12"}), "sha256"),
    (package({**WEB, "format": "Rar"}), "format"),
    (package(*({**WEB, "version": f"v{number}"} for number in range(41))), "40"),
    (manifest("Pool", "bad", {"image": "x", "applicationPackageReferences": [{"name": "A"}]}), "name"),
    (manifest("Pool", "bad", {"image": "x", "applicationPackageReferences": [{"name": "a"}] * 11}), "at most 10"),
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
    (manifest("Pool", "bad", {"image": "x", "startTask": start_task(32769)}), "at most 32768 characters together"),
    (
        manifest(
            "Pool",
            "bad",
            {"image": "x", "startTask": {**start_task(32768), "resourceFiles": [{"secretName": "a", "filePath": "b"}]}},
        ),
        "at most 32768 characters together",
    ),
    *[
        (manifest("Task", "bad", task_spec(resourceFiles=[file])), word)
        for file, word in (
            ({}, "exactly one of httpUrl"),
            ({"httpUrl": "http://a/b", "filePath": "x", "secretName": "b"}, "exactly one of httpUrl"),
            ({"httpUrl": "http://a/b"}, "filePath says what the file is called"),
            ({"secretName": "a", "sha256": "a" * 64}, "sha256 goes with httpUrl"),
            ({"httpUrl": "http://a/b", "filePath": "x", "blobPrefix": "c"}, "blobPrefix goes with a storage container"),
            ({"configMapName": "a", "credentialsSecretName": "b"}, "credentialsSecretName goes with what is fetched"),
            ({"httpUrl": "http://a/b", "filePath": "../x"}, "filePath"),
            ({"httpUrl": "http://a/b", "filePath": "a/../x"}, "filePath"),
            ({"httpUrl": "http://a/b", "filePath": "/x"}, "filePath"),
            ({"httpUrl": "http://a/b", "filePath": "x/"}, "filePath"),
            ({"httpUrl": "http://a/b", "filePath": "a/./x"}, "filePath"),
            ({"httpUrl": "ftp://a/b", "filePath": "x"}, "httpUrl"),
            ({"httpUrl": "http://a/b", "filePath": "x", "fileMode": "4755"}, "fileMode"),
            ({"httpUrl": "http://a/b", "filePath": "x", "sha256": "abc"}, "sha256"),
        )
    ],
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
    (
        manifest("Pool", "bad", container(volumeMounts=[{"name": "v", "mountPath": "/mnt/batch/fsmounts/a/b"}])),
        "<name>",
    ),
    (manifest("Pool", "bad", container(volumeMounts=[{"name": "v", "mountPath": "/mnt/batch/fsmounts/.."}])), "<name>"),
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
    (manifest("Job", "bad", {"poolName": "p", "jobManagerTask": {"id": "boss"}}), "exactly one of command"),
    (manifest("Job", "bad", {"poolName": "p", "jobManagerTask": {"command": ["true"]}}), "spec.jobManagerTask.id"),
    (
        manifest(
            "Job",
            "bad",
            {
                "poolName": "p",
                "jobManagerTask": {"id": "a", "command": ["true"]},
                "tasks": [{"id": "a", "command": ["true"]}],
            },
        ),
        "the id of jobManagerTask must not be that of one of the tasks",
    ),
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
