"""The states of every kind, in the words of Azure's REST reference (CamelCase here, lower case there). Only the names."""

from enum import StrEnum


class PoolState(StrEnum):
    """Whether a pool is in use or going away."""

    ACTIVE = "Active"
    DELETING = "Deleting"


class AllocationState(StrEnum):
    """Whether a pool's nodes are at their target."""

    STEADY = "Steady"
    RESIZING = "Resizing"
    STOPPING = "Stopping"


class NodeDeallocationOption(StrEnum):
    """What becomes of the tasks of a node that must be emptied."""

    REQUEUE = "Requeue"
    TERMINATE = "Terminate"
    TASK_COMPLETION = "TaskCompletion"
    RETAINED_DATA = "RetainedData"


class NodeFillType(StrEnum):
    """How tasks are placed on nodes with room."""

    SPREAD = "Spread"
    PACK = "Pack"


class SchedulingState(StrEnum):
    """Whether a node takes tasks, as its user wants it."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class DisableSchedulingOption(StrEnum):
    """What becomes of the tasks of a node that takes no more."""

    REQUEUE = "Requeue"
    TERMINATE = "Terminate"
    TASK_COMPLETION = "TaskCompletion"


class NodeActionType(StrEnum):
    """What a node may be asked to do once."""

    REBOOT = "Reboot"
    REIMAGE = "Reimage"
    REMOVE = "Remove"


class ActionResult(StrEnum):
    """How far an action has come."""

    IN_PROGRESS = "InProgress"
    DONE = "Done"


class NodeState(StrEnum):
    """Azure's one word for a node."""

    CREATING = "Creating"
    STARTING = "Starting"
    WAITING_FOR_START_TASK = "WaitingForStartTask"
    START_TASK_FAILED = "StartTaskFailed"
    IDLE = "Idle"
    RUNNING = "Running"
    OFFLINE = "Offline"
    REBOOTING = "Rebooting"
    REIMAGING = "Reimaging"
    UNUSABLE = "Unusable"
    DISCONNECTED = "Disconnected"
    UNKNOWN = "Unknown"
    LEAVING_POOL = "LeavingPool"
    PREEMPTED = "Preempted"
    UPGRADING_OS = "UpgradingOS"


class ToContainerLog(StrEnum):
    """Whose output goes into the log of the task container."""

    NONE = "None"
    FAILED = "Failed"
    ALL = "All"


class UpgradeMode(StrEnum):
    """How a changed template reaches the nodes of a pool."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class PackageFormat(StrEnum):
    """What the archive of an application package is."""

    ZIP = "Zip"
    TAR_GZ = "TarGz"


class JobState(StrEnum):
    """Where a job is in its life."""

    ACTIVE = "Active"
    TERMINATING = "Terminating"
    COMPLETED = "Completed"
    DELETING = "Deleting"


class JobScheduleState(StrEnum):
    """Where a schedule is in its life."""

    ACTIVE = "Active"
    DISABLED = "Disabled"
    TERMINATING = "Terminating"
    COMPLETED = "Completed"
    DELETING = "Deleting"


class PoolLifetime(StrEnum):
    """Whose the pool is that was made for a job."""

    JOB = "Job"
    JOB_SCHEDULE = "JobSchedule"


class OnAllTasksComplete(StrEnum):
    """What a job does when all of its tasks are complete."""

    NO_ACTION = "NoAction"
    TERMINATE_JOB = "TerminateJob"


class TaskState(StrEnum):
    """Where a task is in its life."""

    ACTIVE = "Active"
    RUNNING = "Running"
    COMPLETED = "Completed"


class Result(StrEnum):
    """How a job or a task ended."""

    SUCCESS = "Success"
    FAILURE = "Failure"


class FailureCategory(StrEnum):
    """Whose fault a failure is."""

    USER_ERROR = "UserError"
    SERVER_ERROR = "ServerError"


class StartTaskState(StrEnum):
    """Whether a node's start task has ended."""

    RUNNING = "Running"
    COMPLETED = "Completed"
