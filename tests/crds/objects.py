"""Objects for the tests of the CRDs."""

from typing import Any

Manifest = dict[str, Any]


def manifest(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": "batchpools.dev/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def task_spec(**more: Any) -> Manifest:
    return {"jobName": "j", "command": ["true"], **more}


def schedule(name: str, **times: Any) -> Manifest:
    return manifest("JobSchedule", name, {"schedule": times, "jobTemplate": {"spec": {"poolName": "p"}}})


def start_task(size: int) -> Manifest:
    """One whose command and environment have so many characters, with names of two of them."""
    env = [{"name": f"A{number}", "value": "x" * 8190} for number in range(3)]
    return {"command": ["x" * 4096, "x" * 4095, "x" * (size - 4 * 8192 + 1)], "env": env}
