"""What the CRDs' defaults give a fresh object with no write (safety rule S5.4). A test compares it with the CRDs themselves."""

from typing import Any

_FINISHED = {
    "type": "Finished",
    "status": "False",
    "reason": "Waiting",
    "message": "",
    "lastTransitionTime": "1970-01-01T00:00:00Z",
}

FRESH_STATUS: dict[str, dict[str, Any]] = {
    "Pool": {"state": "Active"},
    "PoolNode": {"state": "Creating"},
    "Job": {"state": "Active", "conditions": [_FINISHED]},
    "Task": {"state": "Active", "conditions": [_FINISHED]},
    "Pod": {"phase": "Pending"},
}
