"""What a CRD says beside its schema: names, columns, subresources, selectable fields. Facts only."""

from dataclasses import dataclass
from typing import Any

from batchpools.api.application_package import ApplicationPackage
from batchpools.api.common import Model
from batchpools.api.job import Job
from batchpools.api.job_schedule import JobSchedule
from batchpools.api.pool import Pool
from batchpools.api.poolnode import PoolNode
from batchpools.api.task import Task

Column = tuple[str, str, str]  # name, JSON path, type; an upper-case name ending in * is wide only


@dataclass(frozen=True, slots=True)
class Kind:
    """One CRD."""

    model: type[Model]
    plural: str
    short: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    scale: dict[str, Any] | None = None


_AGE: Column = ("Age", ".metadata.creationTimestamp", "date")

KINDS = (
    Kind(
        Pool,
        "pools",
        "bpool",
        (
            ("Target", ".status.targetNodes", "integer"),
            ("Nodes", ".status.currentNodes", "integer"),
            ("Idle", ".status.nodeCounts.idle", "integer"),
            ("Running", ".status.nodeCounts.running", "integer"),
            ("Faulty", ".status.faultyNodes", "integer"),
            ("Slots", ".status.taskSlots.total", "integer"),
            ("Ready", ".status.conditions[?(@.type=='Ready')].status", "string"),
            ("Allocation*", ".status.allocationState", "string"),
            ("Autoscale*", ".status.autoScaleRun.timestamp", "date"),
            ("Image*", ".status.image", "string"),
            _AGE,
        ),
        categories=("batchpools",),
        scale={
            "specReplicasPath": ".spec.targetDedicatedNodes",
            "statusReplicasPath": ".status.currentDedicatedNodes",
            "labelSelectorPath": ".status.selector",
        },
    ),
    Kind(
        PoolNode,
        "poolnodes",
        "bnode",
        (
            ("Pool", ".spec.poolName", "string"),
            ("State", ".status.state", "string"),
            ("Tasks", ".status.runningTasks", "integer"),
            ("Slots", ".status.taskSlots", "integer"),
            ("Start", ".status.startTaskInfo.result", "string"),
            ("Node", ".status.nodeName", "string"),
            _AGE,
        ),
        selectable=(".spec.poolName", ".status.state"),
    ),
    Kind(
        Job,
        "jobs",
        "bjob",
        (
            ("Pool", ".status.poolName", "string"),
            ("State", ".status.state", "string"),
            ("Result", ".status.result", "string"),
            ("Prio", ".spec.priority", "integer"),
            ("Active", ".status.taskCounts.active", "integer"),
            ("Running", ".status.taskCounts.running", "integer"),
            ("OK", ".status.taskCounts.succeeded", "integer"),
            ("Failed", ".status.taskCounts.failed", "integer"),
            ("Reason*", ".status.terminateReason", "string"),
            _AGE,
        ),
        selectable=(".spec.poolName", ".status.state"),
        categories=("batchpools",),
    ),
    Kind(
        Task,
        "tasks",
        "btask",
        (
            ("Job", ".spec.jobName", "string"),
            ("State", ".status.state", "string"),
            ("Result", ".status.result", "string"),
            ("Exit", ".status.exitCode", "integer"),
            ("PoolNode", ".status.poolNodeName", "string"),
            ("Retries", ".status.retryCount", "integer"),
            _AGE,
        ),
        selectable=(".spec.jobName", ".spec.id", ".status.state", ".status.result", ".status.poolNodeName"),
    ),
    Kind(
        JobSchedule,
        "jobschedules",
        "bjs",
        (
            ("Schedule", ".status.schedule", "string"),
            ("Suspend", ".spec.suspend", "boolean"),
            ("Active", ".status.activeJob", "string"),
            ("Last", ".status.lastScheduleTime", "date"),
            ("Next", ".status.nextRunTime", "string"),  # a date would be shown as an age
            ("State*", ".status.state", "string"),
            _AGE,
        ),
        selectable=(".status.state",),
        categories=("batchpools",),
    ),
    Kind(
        ApplicationPackage,
        "applicationpackages",
        "bapp",
        (
            ("Default", ".spec.defaultVersion", "string"),
            ("Verified", ".status.conditions[?(@.type=='Verified')].status", "string"),
            ("Why*", ".status.conditions[?(@.type=='Verified')].message", "string"),
            _AGE,
        ),
    ),
)
