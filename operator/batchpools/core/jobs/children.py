"""Decides what the Task object of an inline task is called and contains. Deterministic: making it twice is making it once."""

import hashlib
import re
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.owner import owner_reference
from batchpools.core.plan import Create
from batchpools.core.views import InlineTask, JobView

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


def create_task(job: JobView, inline: InlineTask) -> Create:
    """The effect that makes an inline task's object, owned by its job."""
    meta = job.metadata
    name = task_name(meta.name, inline.id)
    manifest: dict[str, Any] = {
        "apiVersion": names.API_VERSION,
        "kind": "Task",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": _labels(meta.name, inline.id),
            "ownerReferences": [owner_reference("Job", meta)],
        },
        "spec": {"jobName": meta.name, **_spec(inline)},
    }
    return Create(Key("Task", meta.namespace, name), manifest, owner_uid=meta.uid)


def _labels(job: str, task_id: str) -> dict[str, str]:
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_JOB: job}
    if _LABEL_VALUE.fullmatch(task_id):
        labels[names.LABEL_TASK_ID] = task_id
    return labels


def _spec(inline: InlineTask) -> dict[str, Any]:
    spec: dict[str, Any] = msgspec.to_builtins(inline)
    return {field: value for field, value in spec.items() if value not in ({}, (), [])}
