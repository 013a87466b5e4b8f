"""The CRDs on a real API server: what cannot change, in spec and in status."""

import json
from typing import Any

import pytest
from tests.crds.conftest import Kubectl
from tests.crds.objects import Manifest, manifest, task_spec

pytestmark = pytest.mark.cluster

MANAGER = {"id": "boss", "command": ["true"]}


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
        ("Job", {"poolName": "p", "terminate": {}}, {"poolName": "p"}, "no way back from terminate"),
        ("Job", {"poolName": "p"}, {"poolName": "p", "jobManagerTask": MANAGER}, "jobManagerTask cannot change"),
        (
            "Job",
            {"poolName": "p", "jobManagerTask": MANAGER},
            {"poolName": "p", "jobManagerTask": {**MANAGER, "killJobOnCompletion": False}},
            "jobManagerTask cannot change",
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
        ("Task", task_spec(), task_spec(resourceFiles=[{"configMapName": "a"}]), "cannot change"),
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


def _held(kubectl: Kubectl, namespace: str, kind: str, name: str, spec: Manifest) -> Manifest:
    plural = {
        "PoolNode": "poolnodes",
        "Job": "jobs.batchpools.dev",
        "Task": "tasks.batchpools.dev",
        "JobSchedule": "jobschedules",
    }[kind]
    held: Manifest = json.loads(kubectl("get", plural, name, "-n", namespace, "-o", "json").stdout)
    return {**held, "spec": {**held["spec"], **spec} if kind == "Task" else spec}
