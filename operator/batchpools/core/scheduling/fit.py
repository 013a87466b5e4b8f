"""Why a task cannot go to a node or into a pool now: a chain of checks, each answers with a refusal or None."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batchpools.api.names import TASK_CONTAINER
from batchpools.api.reasons import Reason
from batchpools.api.states import JobState
from batchpools.core.pools.template import containers_of
from batchpools.core.scheduling.placement import Room
from batchpools.core.views import JobManagerTask, JobView, PoolView


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason and a sentence; node is empty when it is not about one."""

    reason: Reason
    sentence: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A task that wants to run, and what is there for it. unheard: nodes not heard from since the election.

    fetches: files are brought for it; manager: what it is told beside, if it is its job's manager; behind: whether its job's
    manager waits.
    """

    job_name: str
    slots: int
    job: JobView | None
    pool: PoolView | None
    rooms: Sequence[Room] = ()
    unheard: Sequence[str] = ()
    container: str = TASK_CONTAINER
    fetches: bool = False
    manager: JobManagerTask | None = None
    behind: bool = False

    @property
    def is_exclusive(self) -> bool:
        """Whether nothing is to run beside it."""
        return self.manager is not None and self.manager.run_exclusive

    @property
    def is_dedicated(self) -> bool:
        """Whether no low-priority node takes it."""
        return self.manager is not None and not self.manager.allow_low_priority_node


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


def manager_was_made(question: Question) -> Refusal | None:
    """The job's manager goes first: it must have been made."""
    job = question.job
    if job is None or job.spec.job_manager_task is None or question.manager is not None or job.status.tasks_created:
        return None
    return Refusal(
        Reason.JOB_MANAGER_FIRST, f"The manager of job {question.job_name!r} goes first, and is not there yet."
    )


def manager_has_gone(question: Question) -> Refusal | None:
    """And it must not wait."""
    if not question.behind:
        return None
    return Refusal(
        Reason.JOB_MANAGER_FIRST, f"The manager of job {question.job_name!r} goes first, and waits for a node."
    )


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


def dedicated_node_exists(question: Question) -> Refusal | None:
    """For a manager that no low-priority node may have."""
    if question.pool is None or not question.is_dedicated or any(room.is_dedicated for room in question.rooms):
        return None
    name = question.pool.metadata.name
    sentence = f"No dedicated node of pool {name!r} is ready, and the job manager says allowLowPriorityNode: false."
    return Refusal(Reason.NO_DEDICATED_NODE, sentence)


def empty_node_exists(question: Question) -> Refusal | None:
    """For a manager that has its node for itself."""
    rooms = [room for room in question.rooms if room.is_dedicated or not question.is_dedicated]
    if question.pool is None or not question.is_exclusive or any(room.free == room.total for room in rooms):
        return None
    name = question.pool.metadata.name
    sentence = f"The job manager runs alone on its node, and on each of the {len(rooms)} nodes of pool {name!r} something runs."
    return Refusal(Reason.NO_EMPTY_NODE, sentence)


CHECKS: tuple[Callable[[Question], Refusal | None], ...] = (
    job_exists,
    job_is_active,
    manager_was_made,
    pool_exists,
    container_exists,
    slots_fit_the_pool,
    nodes_were_heard,
    manager_has_gone,
    nodes_exist,
    dedicated_node_exists,
    empty_node_exists,
)
MANAGER_CHECKS = (nodes_exist, dedicated_node_exists, empty_node_exists)  # what a manager in the queue waits for


def first_refusal(
    question: Question, checks: Sequence[Callable[[Question], Refusal | None]] = CHECKS
) -> Refusal | None:
    """The first check that says no."""
    return next((refusal for check in checks if (refusal := check(question)) is not None), None)


def room_refusals(question: Question) -> list[Refusal]:
    """Why which nodes do not take it: a pod of before the task's container was in the template or files were brought, a
    low-priority node, too few free slots; one refusal each.
    """
    refusals = [
        Refusal(Reason.CONTAINER_NOT_FOUND, f"Its pod has no container {question.container!r}.", room.node)
        for room in question.rooms
        if question.container not in room.containers
    ]
    if question.fetches:
        sentence = "Its agent is of an earlier release and brings no files."
        refusals += [Refusal(Reason.UPGRADING, sentence, room.node) for room in question.rooms if not room.fetches]
    if question.is_dedicated:
        sentence = "It is a low-priority node."
        low = (room for room in question.rooms if not room.is_dedicated)
        refusals += [Refusal(Reason.NO_DEDICATED_NODE, sentence, room.node) for room in low]
    for room in question.rooms:
        needed = room.total if question.is_exclusive else question.slots
        if room.free < needed:
            sentence = f"{room.free} of {room.total} slots are free, {needed} are needed."
            refusals.append(Refusal(Reason.NO_FREE_SLOTS, sentence, room.node))
    return refusals
