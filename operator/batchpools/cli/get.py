"""`kubectl batch get [pools|nodes|jobs|tasks] [NAME]`: tables with progress; without a kind, pools and jobs."""

import argparse
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from batchpools.cli.access import Access
from batchpools.cli.tables import age, bar, table
from batchpools.core.views import JobView, PoolNodeView, PoolView, TaskView
from batchpools.kube.port import Resource
from batchpools.kube.resources import JOBS, POOL_NODES, POOLS, TASKS
from batchpools.telemetry.clock import SystemClock

Row = Callable[[Any, datetime], Sequence[object]]

_INTERNAL = "batchpools.dev/internal"


def _pool(view: PoolView, now: datetime) -> Sequence[object]:
    counts, slots = view.status.node_counts, view.status.task_slots
    states = ", ".join(f"{number} {state}" for state, number in counts.items()) or "none"
    nodes = f"{view.status.current_dedicated_nodes}/{view.spec.target_dedicated_nodes}"
    return view.metadata.name, nodes, states, f"{slots.used}/{slots.total}", age(view.metadata.creation_timestamp, now)


def _node(view: PoolNodeView, now: datetime) -> Sequence[object]:
    status = view.status
    trouble = status.errors[0].message[:60] if status.errors else ""
    tasks = f"{status.running_tasks}/{status.task_slots}"
    since = age(view.metadata.creation_timestamp, now)
    return view.metadata.name, view.spec.pool_name, status.state, tasks, status.node_name, since, trouble


def _job(view: JobView, now: datetime) -> Sequence[object]:
    counts = view.status.task_counts
    total = counts.active + counts.running + counts.completed
    done = f"{counts.completed}/{total}"
    state = view.status.result or view.status.state
    progress = bar(counts.completed, counts.failed, total)
    since = age(view.metadata.creation_timestamp, now)
    return view.metadata.name, view.spec.pool_name, state, progress, done, counts.running, counts.failed, since


def _task(view: TaskView, now: datetime) -> Sequence[object]:
    status = view.status
    exit_code = "" if status.exit_code is None else status.exit_code
    runs = f"{status.retry_count}+{status.requeue_count}"
    since = age(view.metadata.creation_timestamp, now)
    return view.metadata.name, status.result or status.state, exit_code, status.pool_node_name, runs, since


_KINDS: dict[str, tuple[Resource, Any, tuple[str, ...], Row, str]] = {
    "pools": (POOLS, PoolView, ("POOL", "NODES", "STATES", "SLOTS", "AGE"), _pool, "bpool"),
    "nodes": (POOL_NODES, PoolNodeView, ("NODE", "POOL", "STATE", "TASKS", "ON", "AGE", "ERROR"), _node, "bnode"),
    "jobs": (
        JOBS,
        JobView,
        ("JOB", "POOL", "STATE", "PROGRESS", "DONE", "RUNNING", "FAILED", "AGE"),
        _job,
        "bjob",
    ),
    "tasks": (TASKS, TaskView, ("TASK", "STATE", "EXIT", "NODE", "RETRIES", "AGE"), _task, "btask"),
}
_SINGULAR = {kind.rstrip("s"): kind for kind in _KINDS}


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser("get", parents=[common], help="pools, nodes, jobs and tasks with progress")
    verb.add_argument("kind", nargs="?", choices=[*_KINDS, *_SINGULAR], help="default: pools and jobs")
    verb.add_argument("name", nargs="?", default="", help="one object")
    verb.add_argument("-A", "--all-namespaces", action="store_true")
    verb.add_argument("-o", "--output", choices=["table", "json"], default="table")
    verb.add_argument("--job", default="", help="tasks of one job only")
    verb.set_defaults(run=run)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Print one table a kind."""
    wanted = _SINGULAR.get(options.kind, options.kind)
    for number, kind in enumerate([wanted] if wanted else ["pools", "jobs"]):
        if number:
            access.say()
        await _show(access, kind, options)
    return 0


async def _show(access: Access, kind: str, options: argparse.Namespace) -> None:
    resource, view, header, row, short = _KINDS[kind]
    selector = f"spec.jobName={options.job}" if options.job and kind == "tasks" else ""
    where = "-A" if options.all_namespaces else f"-n {access.namespace}"
    filtered = f" --field-selector={selector}" if selector else ""
    access.show(f"kubectl get {short} {options.name} {where}{filtered}".replace("  ", " "))
    if options.name:
        found = [await access.one(resource, view, options.name)]
    else:
        found = await access.all(resource, view, field_selector=selector, everywhere=options.all_namespaces)
    found = [one for one in found if _INTERNAL not in one.metadata.labels]
    if options.output == "json":
        access.say(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    if not found:
        access.say(f"No {kind} in {'any namespace' if options.all_namespaces else f'namespace {access.namespace}'}.")
        return
    now = SystemClock().now()
    rows = [row(one, now) for one in found]
    if options.all_namespaces:
        header = ("NAMESPACE", *header)
        rows = [(one.metadata.namespace, *cells) for one, cells in zip(found, rows, strict=True)]
    for line in table(header, rows):
        access.say(line)
