"""Shell of the job schedules: wakes on edges of schedules, their jobs and pools, and by time; has the plan applied.

Before anything is written about a schedule it is read from the API server: a cache that lags must neither make a job twice nor
undo a status (safety rule S2.2). One that waits is only looked at, and costs no request.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.plan import Create
from batchpools.core.schedules.plan import plan_schedule
from batchpools.core.schedules.situation import Refused, ScheduleSituation
from batchpools.core.views import JobScheduleView, JobView, PoolView
from batchpools.kube.applier import Applier, Outcome, Refusal
from batchpools.kube.cache import Cache
from batchpools.kube.live import live
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import JOB_SCHEDULES, JOBS
from batchpools.telemetry.clock import Clock


class ScheduleController:
    """Reconciles JobSchedules."""

    def __init__(self, cache: Cache, api: KubeApi, applier: Applier, clock: Clock) -> None:
        self._cache = cache
        self._api = api
        self._applier = applier
        self._clock = clock
        self._refused: dict[Key, Refused] = {}  # the answer to the last create; a restart asks again
        self._asked: dict[Key, str] = {}  # the last job that we had made: neither cache nor status may know of it yet

    def wire(self, wake: Callable[[Key], None]) -> None:
        """Wake a schedule when it changes, and when one of its jobs comes, ends or goes."""

        def schedule_changed(old: JobScheduleView | None, new: JobScheduleView | None) -> None:
            view = new or old
            if view is not None:
                wake(Key("JobSchedule", view.metadata.namespace, view.metadata.name))

        def job_changed(old: JobView | None, new: JobView | None) -> None:
            view = new or old
            owner = view.schedule if view is not None else None
            if view is None or owner is None:
                return
            if old is None or new is None or old.status.state != new.status.state:
                wake(Key("JobSchedule", view.metadata.namespace, owner.name))

        def pool_changed(old: PoolView | None, new: PoolView | None) -> None:
            owner = new.metadata.labels.get(names.LABEL_JOB_SCHEDULE) if new is not None else None
            if old is None and new is not None and owner is not None:
                wake(Key("JobSchedule", new.metadata.namespace, owner))

        self._cache.schedules.subscribe(schedule_changed)
        self._cache.pools.subscribe(pool_changed)
        self._cache.jobs.subscribe(job_changed)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one schedule on; seconds until the next look, None = on the next edge."""
        schedule = self._cache.schedules.get(key.namespace, key.name)
        if schedule is None:
            self._refused.pop(key, None)
            self._asked.pop(key, None)
            return None
        plan = plan_schedule(self._situation(key, schedule), now=self._clock.now())
        if plan.status is None and not plan.effects and key not in self._asked:
            return plan.requeue_after
        held = await live(self._api, JOB_SCHEDULES, JobScheduleView, key.namespace, key.name)
        if held is None or held.metadata.uid != schedule.metadata.uid:
            return None
        situation = await self._with_unseen(self._situation(key, held), self._asked.get(key, ""))
        plan = plan_schedule(situation, now=self._clock.now())
        asked = [one.key for one in plan.effects if isinstance(one, Create)]
        if asked:
            self._asked[key] = asked[0].name  # also when no answer comes
        refusals = await self._applier.apply(key, held.metadata.uid, plan, current=held.status)
        was_made = bool(asked) and asked[0] not in {one.key for one in refusals}
        if not was_made:
            self._asked.pop(key, None)
        return 0.0 if self._note(key, refusals) or was_made else plan.requeue_after

    def _note(self, key: Key, refusals: tuple[Refusal, ...]) -> bool:
        """Whether there is something new to tell of a job that was not made."""
        refused = None
        for one in refusals:
            if not one.only_needs_time and one.key.kind == "Job":
                refused = Refused(one.sentence, is_conflict=one.outcome == Outcome.NAME_CONFLICT)
        known = self._refused.pop(key, None)
        if refused is not None:
            self._refused[key] = refused
        return refused is not None and refused != known

    def _situation(self, key: Key, schedule: JobScheduleView) -> ScheduleSituation:
        jobs = tuple(self._cache.jobs.indexed("by_schedule", schedule.metadata.uid))
        pools = tuple(self._cache.pools.indexed("by_owner", schedule.metadata.uid))
        zone = _zone(schedule.spec.schedule.time_zone)
        return ScheduleSituation(schedule, jobs, zone, self._refused.get(key), pools)

    async def _with_unseen(self, situation: ScheduleSituation, asked: str) -> ScheduleSituation:
        """With the job that status calls active and the one asked for, if the API server has them and the cache does not."""
        schedule = situation.schedule
        seen = {job.metadata.name for job in situation.jobs}
        found = [await self._job(schedule, name) for name in sorted({schedule.status.active_job, asked} - seen - {""})]
        return replace(situation, jobs=(*situation.jobs, *(job for job in found if job is not None)))

    async def _job(self, schedule: JobScheduleView, name: str) -> JobView | None:
        """A job of this life of the schedule, as the API server has it."""
        job = await live(self._api, JOBS, JobView, schedule.metadata.namespace, name)
        is_of = job is not None and job.schedule is not None and job.schedule.uid == schedule.metadata.uid
        return job if is_of else None


def _zone(name: str) -> tzinfo | None:
    """A time zone by its name, from the tables of the machine or of the package tzdata; None when there is none."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
