"""What users do to a job schedule while it works. One function an act, as in `acts`; only histories with a schedule have them."""

from collections.abc import Callable
from random import Random

from batchpools.kube.resources import JOB_SCHEDULES, JOBS
from batchpools.testing.simulation import workload
from batchpools.testing.simulation.stage import Act, Stage, ask
from batchpools.testing.simulation.workload import NAMESPACE, SCHEDULE

_INTERVALS = ("2s", "3s", "6s")
_TERMINATE = {"reason": "enough"}


def _suspend(stage: Stage, act: Act) -> bool:
    """And resume it after a while, with an even flavour."""

    def resume() -> None:
        if not stage.is_calm:
            _change(stage, "suspend", False)

    if act.flavour % 2 == 0:
        stage.later(act.seconds, resume)
    return _change(stage, "suspend", True)


def _change_times(stage: Stage, act: Act) -> bool:
    times = {"recurrenceInterval": _INTERVALS[act.flavour % 3]}
    return _change(stage, "schedule", times if act.target % 2 else {**times, "startWindow": "1s"})


def _change_limits(stage: Stage, act: Act) -> bool:
    kind = "successful" if act.target % 2 else "failed"
    return _change(stage, f"{kind}JobsHistoryLimit", act.flavour % 3)


def _delete_job(stage: Stage, act: Act) -> bool:
    jobs = [one for one in stage.world.kube.objects(JOBS, NAMESPACE) if one["metadata"].get("ownerReferences")]
    return bool(jobs) and stage.delete(JOBS, jobs[act.target % len(jobs)])


def _terminate(stage: Stage, _: Act) -> bool:
    return _change(stage, "terminate", _TERMINATE)


def _recreate(stage: Stage, act: Act) -> bool:
    """Delete it, and make another one of its name: its jobs go after a while, and hold their names until then."""
    kube = stage.world.kube
    item = kube.object(JOB_SCHEDULES, NAMESPACE, SCHEDULE)
    if item is None:
        return False
    fresh = workload.schedule(Random(act.flavour + act.target))  # noqa: S311 (a played world)
    stage.delete(JOB_SCHEDULES, item)

    def again() -> None:
        if not stage.is_calm:
            ask(stage, lambda: kube.create(JOB_SCHEDULES, NAMESPACE, fresh))

    stage.later(act.seconds / 10, again)
    return True


def calm_schedule(stage: Stage) -> None:
    """In the end it makes no more jobs: it is terminated, or suspended."""
    if stage.world.kube.object(JOB_SCHEDULES, NAMESPACE, SCHEDULE) is None:
        return
    if stage.world.random.random() < 0.5:
        _change(stage, "terminate", _TERMINATE)
    else:
        _change(stage, "suspend", True)


def _change(stage: Stage, field: str, value: object) -> bool:
    kube = stage.world.kube
    if kube.object(JOB_SCHEDULES, NAMESPACE, SCHEDULE) is None:
        return False
    operations = [{"op": "add", "path": f"/spec/{field}", "value": value}]
    ask(stage, lambda: kube.patch(JOB_SCHEDULES, NAMESPACE, SCHEDULE, operations))
    return True


SCHEDULE_ACTS: dict[str, Callable[[Stage, Act], bool]] = {
    "suspend-schedule": _suspend,
    "change-times": _change_times,
    "change-history-limit": _change_limits,
    "delete-scheduled-job": _delete_job,
    "terminate-schedule": _terminate,
    "recreate-schedule": _recreate,
}
