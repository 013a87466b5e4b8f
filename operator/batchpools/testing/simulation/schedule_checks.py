"""What must hold of job schedules: at most one active job each, no number and no turn twice, nothing kept beyond its limits."""

from collections.abc import Callable

from batchpools.api import names
from batchpools.kube.resources import JOB_SCHEDULES, JOBS
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation.workload import NAMESPACE
from batchpools.testing.simulation.world import World

_OVER = {"Completed", "Disabled"}


class ScheduleChecker:
    """Watches schedules and their jobs; `says` takes a violation."""

    def __init__(self, world: World, says: Callable[[str], None]) -> None:
        self._world = world
        self._says = says
        self._active: dict[str, set[str]] = {}  # uid of a schedule -> uids of its jobs that have not ended
        self._made: dict[str, dict[int, str]] = {}  # uid of a schedule -> number -> for which time
        self._recorded: dict[str, int] = {}
        world.kube.observe(self._changed)

    def _changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        if kind == "JobSchedule" and new is not None:
            uid, count = new["metadata"]["uid"], new["status"]["jobsCreated"]
            if count < self._recorded.get(uid, 0):
                self._says(f"a schedule counted {self._recorded[uid]} jobs, and now {count}")
            self._recorded[uid] = count
        elif kind == "Job":
            self._job(old, new)

    def _job(self, old: Object | None, new: Object | None) -> None:
        item = new or old
        owner = _owner(item) if item is not None else ""
        if item is None or not owner:
            return
        meta = item["metadata"]
        active = self._active.setdefault(owner, set())
        if new is None or new["status"]["state"] == "Completed":
            active.discard(meta["uid"])
        else:
            active.add(meta["uid"])
        if len(active) > 1:
            self._says(f"{len(active)} jobs of one schedule are active, {meta['name']} among them")
        if old is None:
            self._note(owner, meta)

    def _note(self, owner: str, meta: Object) -> None:
        """A job was made. One that was deleted before anybody had recorded it may be made again."""
        number, due = int(meta["name"].rpartition("-")[2]), meta["annotations"][names.ANNOTATION_SCHEDULED_FOR]
        self._world.note(f"run {meta['name']} for {due}")
        made = self._made.setdefault(owner, {})
        if number <= self._recorded.get(owner, 0):
            self._says(f"{meta['name']} was made, and its schedule had recorded {self._recorded[owner]} jobs")
        if any(due <= other for earlier, other in made.items() if earlier < number):
            self._says(f"{meta['name']} was made for {due}, which is no later than an earlier one was made for")
        made[number] = due

    # ---------------------------------------------------------------- in the end

    def unsettled(self) -> str:
        """What a schedule that makes no more jobs has not done yet; empty when nothing."""
        for item in self._world.kube.objects(JOB_SCHEDULES, NAMESPACE):
            meta, spec, status = item["metadata"], item["spec"], item["status"]
            if status["state"] not in _OVER or status.get("activeJob"):
                return f"schedule {meta['name']} is {status['state']} with job {status.get('activeJob')!r}"
            jobs = [one for one in self._world.kube.objects(JOBS, NAMESPACE) if _owner(one) == meta["uid"]]
            if status["jobsCreated"] != max(self._made.get(meta["uid"], {}), default=0):
                return f"schedule {meta['name']} counts {status['jobsCreated']} jobs"
            good = sum(one["status"].get("result") == "Success" for one in jobs)
            most = spec.get("successfulJobsHistoryLimit", 3), spec.get("failedJobsHistoryLimit", 1)
            if good > most[0] or len(jobs) - good > most[1]:
                return f"schedule {meta['name']} keeps {good} and {len(jobs) - good} jobs, {most} are its limits"
        return ""


def _owner(job: Object) -> str:
    owners = job["metadata"].get("ownerReferences", ())
    return next((str(one["uid"]) for one in owners if one["kind"] == "JobSchedule"), "")
