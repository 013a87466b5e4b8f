"""Decides which tasks a job makes, what their objects are called and contain. Deterministic: making one twice is making it once."""

import hashlib
import re
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.owner import owner_reference
from batchpools.core.plan import Create
from batchpools.core.views import InlineTask, JobManagerTask, JobView

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def task_name(job: str, task_id: str) -> str:
    """`<job>.<id>`; an id that is no DNS label is lower-cased, `_` becomes `-`, and 6 characters of its hash follow.

    So that ids which differ in case or underscores alone keep different names.
    """
    if _DNS_LABEL.fullmatch(task_id):
        return f"{job}.{task_id}"
    digest = hashlib.sha256(task_id.encode()).hexdigest()[:6]
    plain = task_id.lower().replace("_", "-").strip("-")
    return f"{job}.{plain}-{digest}" if plain else f"{job}.{digest}"


def children_of(job: JobView) -> tuple[InlineTask, ...]:
    """The tasks that are made with a job, in this order: its manager, which is never added later, then the others."""
    manager = job.spec.job_manager_task
    return job.spec.tasks if manager is None else (manager, *job.spec.tasks)


def create_task(job: JobView, inline: InlineTask) -> Create:
    """The effect that makes the object of a task of the job's spec, owned by its job."""
    meta = job.metadata
    name = task_name(meta.name, inline.id)
    manifest: dict[str, Any] = {
        "apiVersion": names.API_VERSION,
        "kind": "Task",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": _labels(meta.name, inline),
            "ownerReferences": [owner_reference("Job", meta)],
        },
        "spec": {"jobName": meta.name, **_spec(inline)},
    }
    return Create(Key("Task", meta.namespace, name), manifest, owner_uid=meta.uid)


def _labels(job: str, inline: InlineTask) -> dict[str, str]:
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_JOB: job}
    if isinstance(inline, JobManagerTask):
        labels[names.LABEL_JOB_MANAGER] = "true"
    if _LABEL_VALUE.fullmatch(inline.id):
        labels[names.LABEL_TASK_ID] = inline.id
    return labels


def _spec(inline: InlineTask) -> dict[str, Any]:
    spec: dict[str, Any] = msgspec.to_builtins(inline)
    of_tasks = InlineTask.__struct_encode_fields__  # what a manager has beside is said of it in the job alone
    return {field: value for field, value in spec.items() if field in of_tasks and value not in ({}, (), [])}
