"""Shell of the jobs: wakes on edges of jobs, tasks and pools, gathers a `JobSituation`, has the plan applied."""

from collections.abc import Callable
from dataclasses import replace

from msgspec import structs

from batchpools.api import names
from batchpools.api.states import JobState
from batchpools.core.identity import Key
from batchpools.core.jobs.auto_pool import is_auto_pool_of
from batchpools.core.jobs.children import children_of
from batchpools.core.jobs.completion import ends_by_itself, unseen
from batchpools.core.jobs.manager import manager_name
from batchpools.core.jobs.plan import COUNTER_INTERVAL, plan_job
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.ledger import RunLedger
from batchpools.core.views import JobScheduleView, JobView, PoolView, TaskView
from batchpools.kube.applier import Applier, Outcome, Refusal
from batchpools.kube.cache import Cache
from batchpools.kube.live import Namespaces, listed, live
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import TASKS
from batchpools.telemetry.clock import Clock

CACHE_TIME = 5.0  # seconds after which a made task that the cache does not show is asked for
ASKED_AT_ONCE = 50


class JobController:
    """Reconciles Jobs."""

    def __init__(self, cache: Cache, api: KubeApi, applier: Applier, ledger: RunLedger, clock: Clock) -> None:
        self._cache = cache
        self._api = api
        self._applier = applier
        self._ledger = ledger
        self._clock = clock
        self._namespaces = Namespaces(api, clock)
        self._counted: dict[Key, float] = {}
        self._conflicts: dict[Key, frozenset[str]] = {}
        self._gone: dict[Key, frozenset[str]] = {}
        self._pool_refusals: dict[Key, str] = {}  # the answer to the last create of a job's own pool
        self._created_at: dict[Key, float] = {}
        self._made: dict[Key, tuple[str, int]] = {}  # uid and tasksCreated that we wrote: the cache may not show it yet

    def wire(self, wake: Callable[[Key], None]) -> None:
        """Wake a job when it, its pool or one of its tasks changes."""

        def job_changed(old: JobView | None, new: JobView | None) -> None:
            view = new or old
            if view is not None:
                wake(Key("Job", view.metadata.namespace, view.metadata.name))

        def task_changed(old: TaskView | None, new: TaskView | None) -> None:
            view = new or old
            if view is not None:
                wake(Key("Job", view.metadata.namespace, view.spec.job_name))

        def pool_changed(old: PoolView | None, new: PoolView | None) -> None:
            view = new or old
            own = view is not None and names.LABEL_AUTO_POOL_OF in view.metadata.labels
            if view is not None and (own or old is None or new is None):
                for job in self._cache.jobs.indexed("by_pool", (view.metadata.namespace, view.metadata.name)):
                    wake(Key("Job", job.metadata.namespace, job.metadata.name))

        def schedule_changed(old: JobScheduleView | None, new: JobScheduleView | None) -> None:
            if new is not None and new.spec.terminate is not None and (old is None or old.spec.terminate is None):
                for job in self._cache.jobs.indexed("by_schedule", new.metadata.uid):
                    wake(Key("Job", job.metadata.namespace, job.metadata.name))

        self._cache.jobs.subscribe(job_changed)
        self._cache.schedules.subscribe(schedule_changed)
        self._cache.tasks.subscribe(task_changed)
        self._cache.pools.subscribe(pool_changed)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one job nearer to its end; seconds until the next look, None = on the next edge."""
        job = self._cache.jobs.get(key.namespace, key.name)
        if job is None:
            for held in (
                self._counted, self._conflicts, self._gone, self._created_at, self._made, self._pool_refusals,
            ):  # fmt: skip
                held.pop(key, None)
            return None
        looked = self._situation(key, self._with_own_write(key, job))
        situation = await (
            self._confirm(key, looked) if job.metadata.deletion_timestamp is None else self._last(looked)
        )
        if situation is None:
            return CACHE_TIME
        plan = plan_job(situation, now=self._clock.now())
        refusals = await self._applier.apply(key, job.metadata.uid, plan, current=job.status)
        refused = self._note_pool(key, refusals)
        taken = {one.key.name for one in refusals if one.outcome == Outcome.NAME_CONFLICT and one.key.kind == "Task"}
        if plan.effects:
            self._created_at[key] = self._clock.monotonic()
            kept = {name for name in self._conflicts.get(key, frozenset()) if name in taken}
            self._conflicts[key] = frozenset(kept | taken)
        if plan.status is not None:
            self._counted[key] = self._clock.monotonic()
            self._made[key] = (job.metadata.uid, plan.status.tasks_created)
        return 0.0 if refused else plan.requeue_after

    def _note_pool(self, key: Key, refusals: tuple[Refusal, ...]) -> bool:
        """Whether the API server did not take the job's own pool: the next plan ends the job for it."""
        told = [one.sentence for one in refusals if one.key.kind == "Pool" and not one.only_needs_time]
        if told:
            self._pool_refusals[key] = told[0]
        return bool(told)

    def _with_own_write(self, key: Key, job: JobView) -> JobView:
        """The job as we know it to be: what was made is not made again before the cache shows that it was."""
        uid, made = self._made.get(key, ("", 0))
        if uid != job.metadata.uid or made <= job.status.tasks_created:
            return job
        return structs.replace(job, status=structs.replace(job.status, tasks_created=made))

    def _situation(self, key: Key, job: JobView) -> JobSituation:
        counts = self._ledger.job_counts(key.namespace, key.name)
        settled = counts.active == 0 and counts.running == 0
        wanted = settled or job.metadata.deletion_timestamp is not None
        tasks = tuple(self._cache.tasks.indexed("by_job", (key.namespace, key.name))) if wanted else ()
        manager = manager_name(job)
        last = self._counted.get(key)
        pool = self._cache.pools.get(key.namespace, job.pool)
        return JobSituation(
            job=job,
            tasks=tasks,
            settled=settled,
            counts=counts,
            pool_exists=pool is not None,
            auto_pool=pool if pool is not None and is_auto_pool_of(pool, job) else None,
            pool_refusal=self._pool_refusals.get(key, ""),
            manager=self._cache.tasks.get(key.namespace, manager) if manager else None,
            schedule=self._cache.schedules.by_uid(job.schedule.uid) if job.schedule is not None else None,
            conflicts=self._conflicts.get(key, frozenset()),
            confirmed_gone=self._gone.get(key, frozenset()),
            runs_ended=self._ledger.is_job_quiet(key.namespace, key.name),
            counts_due=last is None or self._clock.monotonic() - last >= COUNTER_INTERVAL,
        )

    async def _confirm(self, key: Key, situation: JobSituation) -> JobSituation | None:
        """Before a job ends: tasks that were made and that the cache does not show are asked for. None = look again later."""
        job = situation.job
        made = job.status.tasks_created >= len(children_of(job))
        ends = job.status.state == JobState.ACTIVE and made and ends_by_itself(situation)
        if not situation.settled or not (ends or job.status.state == JobState.TERMINATING):
            return situation
        missing = unseen(situation)
        if not missing:
            return situation
        if self._clock.monotonic() - self._created_at.setdefault(key, self._clock.monotonic()) < CACHE_TIME:
            return None
        gone, taken = set(situation.confirmed_gone), set(situation.conflicts)
        for name in missing[:ASKED_AT_ONCE]:
            owner = await self._owner_of(key.namespace, name)
            if owner is None:
                gone.add(name)
            elif owner != job.metadata.uid:
                taken.add(name)
        self._gone[key], self._conflicts[key] = frozenset(gone), frozenset(taken)
        return replace(situation, conflicts=frozenset(taken), confirmed_gone=frozenset(gone))

    async def _last(self, situation: JobSituation) -> JobSituation:
        """Before a job goes: no task that names it is left, also none that the cache does not show (rules S2.2, S7.1)."""
        meta = situation.job.metadata
        if await self._namespaces.is_closing(meta.namespace):
            return replace(situation, closing=True)
        if situation.tasks or not situation.runs_ended:
            return situation
        found = await listed(self._api, TASKS, TaskView, meta.namespace, fields=f"spec.jobName={meta.name}")
        return replace(situation, tasks=found)

    async def _owner_of(self, namespace: str, name: str) -> str | None:
        """The uid of a task's controller, as the API server says now; None when there is no such task."""
        view = await live(self._api, TASKS, TaskView, namespace, name)
        if view is None:
            return None
        return next((owner.uid for owner in view.metadata.owner_references if owner.controller), "")
