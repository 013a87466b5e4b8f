"""The names that formulas know: variables of the service, constants, deallocation words. It decides what may be assigned.

Names of the service are matched without regard to case, for official samples write them in several ways; those of users with.
Source: the article on automatic scaling (variables, TimeInterval constants); the last four variables are beyond Azure.
"""

from collections.abc import Mapping

from batchpools.core.autoscale.values import TICKS_PER_SECOND, TimeInterval, Word

TARGET_DEDICATED, TARGET_LOW_PRIORITY = "$TargetDedicatedNodes", "$TargetLowPriorityNodes"
DEALLOCATION = "$NodeDeallocationOption"
ALIASES = {"$targetdedicated": TARGET_DEDICATED, "$targetlowpriority": TARGET_LOW_PRIORITY}
WRITABLE = {name.lower(): name for name in (TARGET_DEDICATED, TARGET_LOW_PRIORITY, DEALLOCATION)}

RESOURCE_VARIABLES = (
    "$CPUPercent",
    "$MemoryBytes",
    "$DiskBytes",
    "$DiskReadBytes",
    "$DiskWriteBytes",
    "$DiskReadOps",
    "$DiskWriteOps",
    "$NetworkInBytes",
    "$NetworkOutBytes",
)
COUNTED_VARIABLES = (
    "$WallClockSeconds",
    "$ActiveTasks",
    "$RunningTasks",
    "$PendingTasks",
    "$SucceededTasks",
    "$FailedTasks",
    "$TaskSlotsPerNode",
    "$CurrentDedicatedNodes",
    "$CurrentLowPriorityNodes",
    "$PreemptedNodeCount",
    "$UsableNodeCount",
    "$ActiveTaskSlots",
    "$RunningTaskSlots",
    "$PendingTaskSlots",
)
SAMPLE_NODE_COUNT = "$SampleNodeCount"
SAMPLED: Mapping[str, str] = {
    name.lower(): name for name in (*RESOURCE_VARIABLES, SAMPLE_NODE_COUNT, *COUNTED_VARIABLES)
}

WORDS: Mapping[str, Word] = {
    word.lower(): Word(word) for word in ("Requeue", "Terminate", "TaskCompletion", "RetainedData")
}
_SECONDS = {
    "zero": 0.0,
    "100ns": 1e-7,
    "microsecond": 1e-6,
    "millisecond": 1e-3,
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86400.0,
    "week": 7 * 86400.0,
    "year": 365 * 86400.0,
}
INTERVALS: Mapping[str, TimeInterval] = {
    f"timeinterval_{unit}": TimeInterval(round(seconds * TICKS_PER_SECOND)) for unit, seconds in _SECONDS.items()
}

TIMESTAMP_MEMBERS = frozenset({"year", "month", "day", "weekday", "hour", "minute", "second"})
SAMPLE_METHODS: Mapping[str, tuple[int, int]] = {  # fewest and most arguments
    "getsample": (1, 3),
    "getsamplepercent": (1, 2),
    "getsampleperiod": (0, 0),
    "count": (0, 0),
    "historybegintime": (0, 0),
}


def service_name(name: str) -> str | None:
    """The canonical spelling of a variable of the service; None for any other name."""
    lower = name.lower()
    return WRITABLE.get(lower) or ALIASES.get(lower) or SAMPLED.get(lower)


def is_fixed(name: str) -> bool:
    """Whether a name means something of its own that no formula can change."""
    lower = name.lower()
    return lower in SAMPLED or lower in WORDS or lower in INTERVALS
