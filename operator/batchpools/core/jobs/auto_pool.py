"""Decides what becomes of a job's own pool: made with the job, deleted at its end unless keepAlive, and what goes wrong with it.

Source: Azure Batch REST reference, AutoPoolSpecification and JobSchedulingError. Pure.
"""

from typing import Any

from batchpools.api import names
from batchpools.api.reasons import Condition, Reason, SchedulingErrorCode
from batchpools.core.conditions import find_condition
from batchpools.core.identity import Key
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.owner import owner_reference
from batchpools.core.plan import Create, Delete
from batchpools.core.views import JobView, PoolView, SchedulingError

_CODES = {
    Reason.TEMPLATE_INVALID: SchedulingErrorCode.INVALID_SETTINGS,
    Reason.FORMULA_INVALID: SchedulingErrorCode.INVALID_FORMULA,
}


def is_auto_pool_of(pool: PoolView, job: JobView) -> bool:
    """Whether the pool was made for this very life of the job."""
    return pool.metadata.labels.get(names.LABEL_AUTO_POOL_OF) == job.metadata.uid


def missing_pool(situation: JobSituation) -> Create | None:
    """The effect that makes the pool, as long as the job has none; also when somebody has deleted it."""
    job = situation.job
    auto = job.spec.auto_pool
    if auto is None or situation.pool_exists:
        return None
    meta = job.metadata
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_JOB: meta.name, names.LABEL_AUTO_POOL_OF: meta.uid}
    metadata: dict[str, Any] = {"name": job.pool, "namespace": meta.namespace, "labels": labels}
    if not auto.keep_alive:
        metadata["ownerReferences"] = [owner_reference("Job", meta)]
    manifest = {"apiVersion": names.API_VERSION, "kind": "Pool", "metadata": metadata, "spec": auto.template}
    return Create(Key("Pool", meta.namespace, job.pool), manifest, owner_uid=meta.uid)


def pool_to_delete(situation: JobSituation) -> Delete | None:
    """The effect that deletes the pool of a job whose end has come; None without one, and with keepAlive."""
    auto, pool = situation.job.spec.auto_pool, situation.auto_pool
    if auto is None or auto.keep_alive or pool is None or pool.metadata.deletion_timestamp is not None:
        return None
    meta = pool.metadata
    return Delete(Key("Pool", meta.namespace, meta.name), meta.uid)


def scheduling_error(situation: JobSituation) -> SchedulingError | None:
    """Why the job can never run: its pool was refused, or what the pool says of itself. Nothing is retried then."""
    if situation.pool_refusal:
        quota = "exceeded quota" in situation.pool_refusal
        code = SchedulingErrorCode.QUOTA_REACHED if quota else SchedulingErrorCode.INVALID_SETTINGS
        return SchedulingError(category="UserError", code=code, message=situation.pool_refusal)
    pool = situation.auto_pool
    stalled = find_condition(pool.status.conditions, Condition.STALLED) if pool is not None else None
    if stalled is None or stalled.status != "True" or stalled.reason not in _CODES:
        return None
    return SchedulingError(category="UserError", code=_CODES[Reason(stalled.reason)], message=stalled.message)
