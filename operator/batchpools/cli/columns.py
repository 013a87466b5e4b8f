"""Which columns the table of each kind has, and what stands in them. It prints nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from batchpools.api.reasons import Condition
from batchpools.cli.tables import age, bar
from batchpools.core.conditions import find_condition
from batchpools.core.jobs.completion import ends_by_itself
from batchpools.core.jobs.situation import JobSituation
from batchpools.core.views import ApplicationPackageView, JobScheduleView, JobView, PoolNodeView, PoolView, TaskView
from batchpools.kube.port import Resource
from batchpools.kube.resources import APPLICATION_PACKAGES, JOB_SCHEDULES, JOBS, POOL_NODES, POOLS, TASKS

_ERROR_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and the cell of a view; `wide`: only with -o wide."""

    heading: str
    cell: Callable[[Any], object]
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is read and shown; `short` is what kubectl calls it. AGE follows the columns that are always shown."""

    resource: Resource
    view: Any
    short: str
    columns: Sequence[Column]


def rows(kind: Kind, views: Sequence[Any], now: datetime, *, wide: bool) -> list[list[object]]:
    """Heading and one row a view."""
    usual = [column for column in kind.columns if not column.wide]
    more = [column for column in kind.columns if column.wide and wide]
    found: list[list[object]] = [[*(column.heading for column in usual), "AGE", *(column.heading for column in more)]]
    for view in views:
        old = age(view.metadata.creation_timestamp, now)
        found.append([*(column.cell(view) for column in usual), old, *(column.cell(view) for column in more)])
    return found


def _states(pool: PoolView) -> str:
    return ", ".join(f"{number} {state}" for state, number in pool.status.node_counts.items()) or "none"


def _total(job: JobView) -> int:
    counts = job.status.task_counts
    return counts.active + counts.running + counts.completed


def _progress(job: JobView) -> str:
    counts = job.status.task_counts
    return bar(counts.completed, counts.failed, _total(job))


def _exit_code(task: TaskView) -> object:
    return "" if task.status.exit_code is None else task.status.exit_code


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M:%SZ")


def _stalled(schedule: JobScheduleView) -> str:
    stalled = find_condition(schedule.status.conditions, Condition.STALLED)
    return stalled.message[:_ERROR_WIDTH] if stalled is not None and stalled.status == "True" else ""


def _trouble(node: PoolNodeView) -> str:
    return node.status.errors[0].message[:_ERROR_WIDTH] if node.status.errors else ""


_NAME: Callable[[Any], object] = lambda view: view.metadata.name  # noqa: E731 (a cell like the others)

_POOL = (
    Column("POOL", _NAME),
    Column("NODES", lambda one: f"{one.status.current_nodes}/{one.status.target_nodes}"),
    Column("STATES", _states),
    Column("SLOTS", lambda one: f"{one.status.task_slots.used}/{one.status.task_slots.total}"),
    Column("IMAGE", lambda one: one.status.image, wide=True),
    Column("SLOTS/NODE", lambda one: one.spec.task_slots_per_node, wide=True),
    Column("FILL", lambda one: one.spec.task_scheduling_policy.node_fill_type, wide=True),
    Column("ALLOCATION", lambda one: one.status.allocation_state, wide=True),
)
_NODE = (
    Column("NODE", _NAME),
    Column("POOL", lambda one: one.spec.pool_name),
    Column("STATE", lambda one: one.status.state),
    Column("TASKS", lambda one: f"{one.status.running_tasks}/{one.status.task_slots}"),
    Column("ON", lambda one: one.status.node_name),
    Column("ERROR", _trouble),
    Column("POD", lambda one: one.status.pod_name, wide=True),
    Column("IP", lambda one: one.status.pod_ip, wide=True),
    Column("RUN", lambda one: one.status.total_tasks_run, wide=True),
    Column("IMAGE", lambda one: one.status.image, wide=True),
)
_JOB = (
    Column("JOB", _NAME),
    Column("POOL", lambda one: one.pool),
    Column("STATE", lambda one: one.status.result or one.status.state),
    Column("PROGRESS", _progress),
    Column("DONE", lambda one: f"{one.status.task_counts.completed}/{_total(one)}"),
    Column("RUNNING", lambda one: one.status.task_counts.running),
    Column("FAILED", lambda one: one.status.task_counts.failed),
    Column("PRIORITY", lambda one: one.spec.priority, wide=True),
    Column("ENDS", lambda one: "by itself" if ends_by_itself(JobSituation(one)) else "when told", wide=True),
)
_TASK = (
    Column("TASK", _NAME),
    Column("STATE", lambda one: one.status.result or one.status.state),
    Column("EXIT", _exit_code),
    Column("NODE", lambda one: one.status.pool_node_name),
    Column("RETRIES", lambda one: f"{one.status.retry_count}+{one.status.requeue_count}"),
    Column("JOB", lambda one: one.spec.job_name, wide=True),
    Column("SLOTS", lambda one: one.spec.required_slots, wide=True),
    Column("TOOK", lambda one: one.status.stats.wall_clock_time if one.status.stats else "", wide=True),
    Column("FAILURE", lambda one: one.status.failure_info.code if one.status.failure_info else "", wide=True),
)
_SCHEDULE = (
    Column("SCHEDULE", _NAME),
    Column("TIMES", lambda one: one.status.schedule),
    Column("STATE", lambda one: one.status.state),
    Column("ACTIVE", lambda one: one.status.active_job),
    Column("LAST", lambda one: _moment(one.status.last_schedule_time)),
    Column("NEXT", lambda one: _moment(one.status.next_run_time)),
    Column("JOBS", lambda one: one.status.jobs_created),
    Column("TROUBLE", _stalled),
    Column("RECENT", lambda one: one.status.recent_job, wide=True),
)

_PACKAGE = (
    Column("PACKAGE", _NAME),
    Column("DEFAULT", lambda one: one.spec.default_version),
    Column("VERSIONS", lambda one: ", ".join(each.version for each in one.spec.versions)),
    Column("VERIFIED", lambda one: f"{sum(each.verified for each in one.status.versions)}/{len(one.spec.versions)}"),
    Column(
        "TROUBLE", lambda one: next((each.message for each in one.status.versions if each.message), "")[:_ERROR_WIDTH]
    ),
    Column("FROM", lambda one: ", ".join(each.url or each.config_map_name for each in one.spec.versions), wide=True),
)

KINDS: Mapping[str, Kind] = {
    "pools": Kind(POOLS, PoolView, "bpool", _POOL),
    "nodes": Kind(POOL_NODES, PoolNodeView, "bnode", _NODE),
    "jobs": Kind(JOBS, JobView, "bjob", _JOB),
    "tasks": Kind(TASKS, TaskView, "btask", _TASK),
    "packages": Kind(APPLICATION_PACKAGES, ApplicationPackageView, "bapp", _PACKAGE),
    "schedules": Kind(JOB_SCHEDULES, JobScheduleView, "bjs", _SCHEDULE),
}
SINGULAR: Mapping[str, str] = {kind.rstrip("s"): kind for kind in KINDS} | {
    one.short: kind for kind, one in KINDS.items()
}
