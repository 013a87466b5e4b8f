"""What the CRDs' defaults make of a status: filled in at creation and at each write, with no write of ours (safety rule S5.4).

A test compares this with the CRDs themselves.
"""

from typing import Any

_NOT_FINISHED = {
    "type": "Finished",
    "status": "False",
    "reason": "Waiting",
    "message": "",
    "lastTransitionTime": "1970-01-01T00:00:00Z",
    "observedGeneration": 0,
}
_EVERY: dict[str, Any] = {"observedGeneration": 0, "epoch": 0, "conditions": []}

# Kind -> fields that are filled in when a status lacks them.
STATUS_FIELDS: dict[str, dict[str, Any]] = {
    "Pool": {
        **_EVERY,
        "state": "Active",
        "allocationState": "Steady",
        "selector": "",
        "image": "",
        "targetDedicatedNodes": 0,
        "currentDedicatedNodes": 0,
        "targetNodes": 0,
        "currentNodes": 0,
        "faultyNodes": 0,
        "targetLowPriorityNodes": 0,
        "currentLowPriorityNodes": 0,
        "nodeCounts": {},
        "taskSlots": {"total": 0, "used": 0},
        "resizeErrors": [],
    },
    "PoolNode": {
        **_EVERY,
        "state": "Creating",
        "nodeUnreachableTimeout": "",
        "podGeneration": 0,
        "podName": "",
        "podUID": "",
        "podIP": "",
        "bootID": "",
        "nodeName": "",
        "image": "",
        "templateHash": "",
        "imageDigest": "",
        "imageID": "",
        "recentTasks": [],
        "taskSlots": 0,
        "runningTasks": 0,
        "totalTasksRun": 0,
        "totalTasksSucceeded": 0,
        "errors": [],
    },
    "Job": {
        **_EVERY,
        "state": "Active",
        "poolName": "",
        "terminateReason": "",
        "tasksCreated": 0,
        "taskCounts": {"active": 0, "running": 0, "completed": 0, "succeeded": 0, "failed": 0},
    },
    "Task": {
        **_EVERY,
        "state": "Active",
        "poolNodeName": "",
        "executionID": "",
        "attempt": 0,
        "retryCount": 0,
        "requeueCount": 0,
        "requeueReasons": {},
    },
    "JobSchedule": {
        **_EVERY,
        "state": "Active",
        "schedule": "",
        "recentJob": "",
        "activeJob": "",
        "jobsCreated": 0,
    },
    "ApplicationPackage": {**_EVERY, "versions": []},
    "Pod": {},
}

# Kind -> the whole status of an object that comes without one.
FRESH_STATUS: dict[str, dict[str, Any]] = {
    "Pool": {"state": "Active"},
    "PoolNode": {"state": "Creating"},
    "Job": {"state": "Active", "conditions": [_NOT_FINISHED]},
    "Task": {"state": "Active", "conditions": [_NOT_FINISHED]},
    "JobSchedule": {"state": "Active", "conditions": [_NOT_FINISHED]},
    "ApplicationPackage": {},
    "Pod": {"phase": "Pending"},
}


def filled(kind: str, status: dict[str, Any] | None = None) -> dict[str, Any]:
    """A status as it is stored: what it lacks is filled in; None is the status of a fresh object. Values are shared."""
    given = FRESH_STATUS[kind] if status is None else status
    return {**STATUS_FIELDS[kind], **given}
