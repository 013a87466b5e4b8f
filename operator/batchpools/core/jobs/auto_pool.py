"""Decides what becomes of a job's own pool: made with the job, deleted at its end unless keepAlive, and what goes wrong with it.

A pool of all jobs of a schedule is made by the first that misses it; its end is the schedule's (`core.schedules.auto_pool`).

Source: Azure Batch REST reference, AutoPoolSpecification and JobSchedulingError. Pure.
"""

from typing import Any

from batchpools.api import names
from batchpools.api.reasons import Condition, Reason, SchedulingErrorCode
from batchpools.api.states import PoolLifetime
from batchpools.core.conditions import find_condition
from batchpools.core.identity import Key
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.owner import owner_reference
from batchpools.core.plan import Create, Delete
from batchpools.core.views import JobView, Meta, PoolView, SchedulingError

_CODES = {
    Reason.TEMPLATE_INVALID: SchedulingErrorCode.INVALID_SETTINGS,
    Reason.FORMULA_INVALID: SchedulingErrorCode.INVALID_FORMULA,
}


def is_auto_pool_of(pool: PoolView, job: JobView) -> bool:
    """Whether the pool was made for this very life of the job, or of its schedule."""
    owner = job.pool_owner
    return owner is not None and pool.metadata.labels.get(names.LABEL_AUTO_POOL_OF) == owner.uid


def missing_pool(situation: JobSituation) -> Create | None:
    """The effect that makes the pool, as long as the job has none; also when somebody has deleted it."""
    job = situation.job
    auto, owner = job.spec.auto_pool, job.pool_owner
    if auto is None or owner is None or situation.pool_exists:
        return None
    namespace = job.metadata.namespace
    whose = names.LABEL_JOB if owner.kind == "Job" else names.LABEL_JOB_SCHEDULE
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, whose: owner.name, names.LABEL_AUTO_POOL_OF: owner.uid}
    metadata: dict[str, Any] = {"name": job.pool, "namespace": namespace, "labels": labels}
    if not auto.keep_alive:
        metadata["ownerReferences"] = [owner_reference(owner.kind, Meta(name=owner.name, uid=owner.uid))]
    manifest = {"apiVersion": names.API_VERSION, "kind": "Pool", "metadata": metadata, "spec": auto.template}
    return Create(Key("Pool", namespace, job.pool), manifest, owner_uid=owner.uid)


def pool_to_delete(situation: JobSituation) -> Delete | None:
    """The effect that deletes the pool of a job whose end has come; None without one of its own, and with keepAlive."""
    auto, pool = situation.job.spec.auto_pool, situation.auto_pool
    if (
        auto is None
        or auto.keep_alive
        or auto.pool_lifetime != PoolLifetime.JOB
        or pool is None
        or pool.metadata.deletion_timestamp is not None
    ):
        return None
    meta = pool.metadata
    return Delete(Key("Pool", meta.namespace, meta.name), meta.uid)


def scheduling_error(situation: JobSituation) -> SchedulingError | None:
    """Why the job can never run: its pool was refused, or what the pool says of itself. Nothing is retried then."""
    job = situation.job
    if job.spec.auto_pool is not None and not job.pool:
        message = "poolLifetime JobSchedule is for jobs that a schedule makes."
        return SchedulingError(category="UserError", code=SchedulingErrorCode.INVALID_SETTINGS, message=message)
    if situation.pool_refusal:
        quota = "exceeded quota" in situation.pool_refusal
        code = SchedulingErrorCode.QUOTA_REACHED if quota else SchedulingErrorCode.INVALID_SETTINGS
        return SchedulingError(category="UserError", code=code, message=situation.pool_refusal)
    pool = situation.auto_pool
    stalled = find_condition(pool.status.conditions, Condition.STALLED) if pool is not None else None
    if stalled is None or stalled.status != "True" or stalled.reason not in _CODES:
        return None
    return SchedulingError(category="UserError", code=_CODES[Reason(stalled.reason)], message=stalled.message)
