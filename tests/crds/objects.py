"""Objects for the tests of the CRDs."""

from typing import Any

Manifest = dict[str, Any]


def manifest(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": "batchpools.dev/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def task_spec(**more: Any) -> Manifest:
    return {"jobName": "j", "command": ["true"], **more}


def schedule(name: str, **times: Any) -> Manifest:
    return manifest("JobSchedule", name, {"schedule": times, "jobTemplate": {"spec": {"poolName": "p"}}})
