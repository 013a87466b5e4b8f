"""Decides when the pool that all jobs of a schedule share goes: with the schedule's end, and when no job will use it any more.

It is made by the first job that misses it (`core.jobs.auto_pool`). One that was made with keepAlive has no owner, and stays.
Source: Azure Batch REST reference, AutoPoolSpecification. Pure.
"""

from typing import Any

from batchpools.api.states import JobScheduleState, PoolLifetime
from batchpools.core.identity import Key, auto_pool_name
from batchpools.core.plan import Delete
from batchpools.core.schedules.jobs import has_ended
from batchpools.core.schedules.situation import ScheduleSituation
from batchpools.core.views import JobScheduleView


def pools_to_delete(situation: ScheduleSituation) -> tuple[Delete, ...]:
    """Pools of the schedule that neither an active job uses nor the next one will."""
    schedule = situation.schedule
    wanted = {job.pool for job in situation.jobs if not has_ended(job)}
    if schedule.status.state != JobScheduleState.COMPLETED:
        wanted.add(_next_pool(schedule))
    return tuple(
        Delete(Key("Pool", pool.metadata.namespace, pool.metadata.name), pool.metadata.uid)
        for pool in situation.pools
        if pool.metadata.name not in wanted
        and pool.metadata.deletion_timestamp is None
        and any(owner.uid == schedule.metadata.uid for owner in pool.metadata.owner_references)
    )


def _next_pool(schedule: JobScheduleView) -> str:
    """The name of the pool that jobs of the present template share; empty when they share none."""
    auto: dict[str, Any] = schedule.spec.job_template.spec.get("autoPool") or {}
    meta = schedule.metadata
    shared = auto.get("poolLifetime") == PoolLifetime.JOB_SCHEDULE
    return auto_pool_name(auto.get("autoPoolNamePrefix", ""), meta.name, meta.uid) if shared else ""
