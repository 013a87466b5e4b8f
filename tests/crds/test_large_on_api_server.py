"""The CRDs on a real API server: the largest objects pass creation, update and status; CEL rules stay within their budget."""

import json

import pytest
from tests.crds.conftest import Kubectl
from tests.crds.objects import manifest

pytestmark = pytest.mark.cluster

_FILES = {"resourceFiles": [{"httpUrl": "http://a/b", "filePath": f"in/{n}", "sha256": "a" * 64} for n in range(5)]}
_MANAGER = {"id": f"manager-{'x' * 40}", "command": ["echo", "y" * 200]}


def test_a_schedule_of_a_thousand_tasks_passes_creation_update_and_status(kubectl: Kubectl, namespace: str) -> None:
    tasks = [{"id": f"task-{n:04d}-{'x' * 40}", "command": ["echo", "y" * 200], **_FILES} for n in range(1000)]
    big = {"suspend": True, "jobTemplate": {"spec": {"poolName": "p", "tasks": tasks, "jobManagerTask": _MANAGER}}}
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
    tasks = [{"id": f"task-{n:04d}-{'x' * 40}", "command": ["echo", "y" * 200], **_FILES} for n in range(1000)]
    big = manifest("Job", "big", {"poolName": "p", "tasks": tasks[:-1], "jobManagerTask": _MANAGER})
    assert kubectl("create", "-n", namespace, "-f", "-", stdin=big).stderr == ""
    more = json.dumps([{"op": "add", "path": "/spec/tasks/-", "value": tasks[-1]}])
    assert kubectl("patch", "bjob", "big", "-n", namespace, "--type=json", f"-p={more}").stderr == ""
    patch = json.dumps([{"op": "add", "path": "/status/tasksCreated", "value": 1000}])
    done = kubectl("patch", "bjob", "big", "-n", namespace, "--subresource=status", "--type=json", f"-p={patch}")
    assert done.stderr == ""


def test_a_task_with_a_hundred_files_passes_creation_update_and_status(kubectl: Kubectl, namespace: str) -> None:
    files = [{"httpUrl": "http://a/" + "b" * 2000, "filePath": "c" * 512} for _ in range(100)]
    big = manifest("Task", "big", {"jobName": "j", "command": ["true"], "resourceFiles": files})
    assert kubectl("create", "-n", namespace, "-f", "-", stdin=big).stderr == ""
    patch = json.dumps([{"op": "add", "path": "/spec/constraints", "value": {"maxTaskRetryCount": 1}}])
    assert kubectl("patch", "btask", "big", "-n", namespace, "--type=json", f"-p={patch}").stderr == ""
    patch = json.dumps([{"op": "add", "path": "/status/attempt", "value": 1}])
    done = kubectl("patch", "btask", "big", "-n", namespace, "--subresource=status", "--type=json", f"-p={patch}")
    assert done.stderr == ""
