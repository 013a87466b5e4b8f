"""What a standby can say of a task: what is recorded, and the checks that need no leader. Queues only the leader knows."""

from batchpools.api.reasons import Reason
from batchpools.api.states import TaskState
from batchpools.core.ledger import Explanation
from batchpools.core.scheduling.fit import (
    Question,
    first_refusal,
    job_exists,
    job_is_active,
    pool_exists,
    slots_fit_the_pool,
)
from batchpools.kube.cache import Cache

_CHECKS = (job_exists, job_is_active, pool_exists, slots_fit_the_pool)


def explain_from_cache(cache: Cache, namespace: str, name: str) -> Explanation | None:
    """The explanation of one task; None when the cache has no such task."""
    task = cache.tasks.get(namespace, name)
    if task is None:
        return None
    status = task.status
    if status.state != TaskState.ACTIVE:
        return Explanation(status.state, status.pool_node_name, status.result or status.state, "", 0, 0, ())
    job = cache.jobs.get(namespace, task.spec.job_name)
    pool = cache.pools.get(namespace, job.spec.pool_name) if job is not None else None
    refusal = first_refusal(Question(task.spec.job_name, task.spec.required_slots, job, pool), _CHECKS)
    if refusal is None:
        return Explanation(status.state, "", Reason.WAITING, "It waits for its turn, or has just been sent.", 0, 0, ())
    return Explanation(status.state, "", refusal.reason, refusal.sentence, 0, 0, (("", refusal.sentence),))
