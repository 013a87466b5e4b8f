"""All that a decision about one job may look at, frozen."""

from dataclasses import dataclass, field

from batchpools.core.views import JobScheduleView, JobView, PoolView, TaskCounts, TaskView


@dataclass(frozen=True, slots=True)
class JobSituation:
    """A job and what is known of the things around it.

    settled: the counts show nothing that waits or runs; only then, and in a deletion, `tasks` are given: all Tasks that
    name the job, from the cache. conflicts: names of inline tasks whose object is not ours.
    confirmed_gone: names of made tasks that a live GET did not find. runs_ended: the ledger confirmed that nothing of
    the job runs any more (asked for by the effect EndJob). counts_due: the last write of counters is long enough ago.
    auto_pool: the pool that was made for this very job, as the cache shows it; pool_refusal: why the API server did not take it.
    manager: the Task of its job manager, as the cache shows it.
    schedule: the one that made the job, as the cache shows it.
    closing: the namespace is being deleted. When the job is to go, `tasks` without any are what the API server says.
    """

    job: JobView
    tasks: tuple[TaskView, ...] = ()
    settled: bool = True
    counts: TaskCounts = field(default_factory=TaskCounts)
    pool_exists: bool = True
    auto_pool: PoolView | None = None
    pool_refusal: str = ""
    manager: TaskView | None = None
    schedule: JobScheduleView | None = None
    conflicts: frozenset[str] = frozenset()
    confirmed_gone: frozenset[str] = frozenset()
    runs_ended: bool = False
    counts_due: bool = True
    closing: bool = False
