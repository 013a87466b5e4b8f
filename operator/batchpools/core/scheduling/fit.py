"""Why a task cannot go to a node or into a pool now: a chain of checks, each answers with a refusal or None."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batchpools.api.names import TASK_CONTAINER
from batchpools.api.reasons import Reason
from batchpools.api.states import JobState
from batchpools.core.pools.template import containers_of
from batchpools.core.scheduling.placement import Room
from batchpools.core.views import JobView, PoolView


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason and a sentence; node is empty when it is not about one."""

    reason: Reason
    sentence: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A task that wants to run, and what is there for it. unheard: nodes not heard from since the election."""

    job_name: str
    slots: int
    job: JobView | None
    pool: PoolView | None
    rooms: Sequence[Room] = ()
    unheard: Sequence[str] = ()
    container: str = TASK_CONTAINER


def job_exists(question: Question) -> Refusal | None:
    """The job must be there."""
    if question.job is None:
        return Refusal(Reason.JOB_NOT_FOUND, f"Job {question.job_name!r} is not in this namespace.")
    return None


def job_is_active(question: Question) -> Refusal | None:
    """The job must be active."""
    job = question.job
    if job is not None and (job.status.state != JobState.ACTIVE or job.metadata.deletion_timestamp is not None):
        return Refusal(Reason.JOB_NOT_ACTIVE, f"Job {question.job_name!r} is {job.status.state}.")
    return None


def pool_exists(question: Question) -> Refusal | None:
    """The job's pool must be there, and stay."""
    if question.job is None or (question.pool is not None and question.pool.metadata.deletion_timestamp is None):
        return None
    return Refusal(Reason.POOL_NOT_FOUND, f"Pool {question.job.pool!r} is not in this namespace.")


def container_exists(question: Question) -> Refusal | None:
    """The pool's template must have the task's container."""
    pool = question.pool
    if pool is None or question.container == TASK_CONTAINER or question.container in containers_of(pool.spec):
        return None
    there = ", ".join(sorted(containers_of(pool.spec)))
    sentence = f"Pool {pool.metadata.name!r} has no container {question.container!r}; its containers are: {there}."
    return Refusal(Reason.CONTAINER_NOT_FOUND, sentence)


def slots_fit_the_pool(question: Question) -> Refusal | None:
    """No node of the pool may be too small."""
    pool = question.pool
    if pool is None or question.slots <= pool.spec.task_slots_per_node:
        return None
    sentence = f"The task needs {question.slots} slots, nodes of pool {pool.metadata.name!r} have {pool.spec.task_slots_per_node}."
    return Refusal(Reason.REQUIRED_SLOTS_TOO_LARGE, sentence)


def nodes_were_heard(question: Question) -> Refusal | None:
    """No node that might be running it may be silent."""
    if not question.unheard:
        return None
    names = ", ".join(sorted(question.unheard)[:5])
    sentence = f"The task may be running on a node that has not reported since the last change of leader: {names}."
    return Refusal(Reason.NODES_NOT_HEARD, sentence)


def nodes_exist(question: Question) -> Refusal | None:
    """At least one node must take tasks."""
    if question.pool is None or question.rooms:
        return None
    return Refusal(Reason.NO_NODES, f"No node of pool {question.pool.metadata.name!r} is ready.")


CHECKS: tuple[Callable[[Question], Refusal | None], ...] = (
    job_exists,
    job_is_active,
    pool_exists,
    container_exists,
    slots_fit_the_pool,
    nodes_were_heard,
    nodes_exist,
)


def first_refusal(
    question: Question, checks: Sequence[Callable[[Question], Refusal | None]] = CHECKS
) -> Refusal | None:
    """The first check that says no."""
    return next((refusal for check in checks if (refusal := check(question)) is not None), None)


def room_refusals(question: Question) -> list[Refusal]:
    """Which nodes have too few free slots, or a pod of before the task's container was in the template; one refusal each."""
    without = [room for room in question.rooms if question.container not in room.containers]
    return [
        Refusal(Reason.CONTAINER_NOT_FOUND, f"Its pod has no container {question.container!r}.", room.node)
        for room in without
    ] + [
        Refusal(
            Reason.NO_FREE_SLOTS, f"{room.free} of {room.total} slots are free, {question.slots} are needed.", room.node
        )
        for room in question.rooms
        if room.free < question.slots
    ]
