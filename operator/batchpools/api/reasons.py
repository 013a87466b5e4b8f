"""The reasons and codes that conditions, failures and refusals carry: one documented enum each. Only the names."""

from enum import StrEnum


class Condition(StrEnum):
    """Condition types."""

    READY = "Ready"
    DEGRADED = "Degraded"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SCHEDULED = "Scheduled"
    REGISTERED = "Registered"
    START_TASK_DONE = "StartTaskDone"
    IMAGE_CHECKED = "ImageChecked"
    VERIFIED = "Verified"
    SCHEDULABLE = "Schedulable"
    COMPLETE = "Complete"
    FAILED = "Failed"
    FINISHED = "Finished"


class Reason(StrEnum):
    """Why a condition is as it is."""

    # tasks and jobs: why they wait
    JOB_NOT_FOUND = "JobNotFound"
    POOL_NOT_FOUND = "PoolNotFound"
    NO_NODES = "NoNodes"
    NO_FREE_SLOTS = "NoFreeSlots"
    REQUIRED_SLOTS_TOO_LARGE = "RequiredSlotsTooLarge"
    NODES_NOT_HEARD = "NodesNotHeard"
    JOB_MANAGER_FIRST = "JobManagerFirst"
    NO_EMPTY_NODE = "NoEmptyNode"
    NO_DEDICATED_NODE = "NoDedicatedNode"
    JOB_NOT_ACTIVE = "JobNotActive"
    CONTAINER_NOT_FOUND = "ContainerNotFound"
    JOB_COMPLETED = "JobCompleted"
    NAME_CONFLICT = "NameConflict"
    TASK_EXISTS = "TaskExists"
    # tasks and jobs: how they stand
    WAITING = "Waiting"
    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ALL_TASKS_COMPLETE = "AllTasksComplete"
    TASKS_FAILED = "TasksFailed"
    SCHEDULING_ERROR = "SchedulingError"
    DELETED = "Deleted"
    TERMINATE_JOB_SCHEDULE = "TerminateJobSchedule"
    JM_COMPLETE = "JMComplete"
    USER_TERMINATE = "UserTerminate"
    # schedules
    SCHEDULE_INVALID = "ScheduleInvalid"
    JOB_REFUSED = "JobRefused"
    NO_MORE_JOBS = "NoMoreJobs"
    # pools and nodes
    RESIZING = "Resizing"
    STEADY = "Steady"
    TARGET_REACHED = "TargetReached"
    NO_USABLE_NODES = "NoUsableNodes"
    NODES_FAULTY = "NodesFaulty"
    NODES_HEALTHY = "NodesHealthy"
    ALLOCATION_FAILED = "AllocationFailed"
    QUOTA_REACHED = "AccountCoreQuotaReached"
    LOW_PRIORITY_QUOTA_REACHED = "AccountLowPriorityCoreQuotaReached"
    ALLOCATION_TIMED_OUT = "AllocationTimedOut"
    RESIZE_STOPPED = "ResizeStopped"
    TEMPLATE_INVALID = "TemplateInvalid"
    FORMULA_INVALID = "FormulaInvalid"
    ACCEPTED = "Accepted"
    POD_CREATED = "PodCreated"
    POD_PENDING = "PodPending"
    POD_SCHEDULED = "PodScheduled"
    POD_UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CRASH_LOOP = "CrashLoopBackOff"
    POD_FAILED = "PodFailed"
    AGENT_CONNECTED = "AgentConnected"
    AGENT_NOT_CONNECTED = "AgentNotConnected"
    AGENT_SILENT = "AgentSilent"
    NO_START_TASK = "NoStartTask"
    START_TASK_RUNNING = "StartTaskRunning"
    START_TASK_SUCCEEDED = "StartTaskSucceeded"
    START_TASK_FAILED = "StartTaskFailed"
    NODE_READY = "NodeReady"
    REFERENCE_MISSING = "ReferenceMissing"
    DRAINING = "Draining"
    TASK_LAUNCH_FAILED = "TaskLaunchFailed"
    DISK_FULL = "DiskFull"
    UPGRADING = "Upgrading"
    ELEVATION_FORBIDDEN = "ElevationForbidden"
    IMAGE_FOUND = "ImageFound"
    IMAGE_CHECK_FAILED = "ImageCheckFailed"
    INVALID_PACKAGE_REFERENCES = "InvalidApplicationPackageReferences"
    # application packages, and the nodes that are to have them
    PACKAGE_ERROR = "ApplicationPackageError"
    PACKAGE_VERIFIED = "PackageVerified"
    PACKAGE_NOT_USED = "PackageNotUsed"


class FailureCode(StrEnum):
    """Azure's codes in failureInfo of tasks and start tasks, and some of ours."""

    FAILURE_EXIT_CODE = "FailureExitCode"
    TASK_ENDED = "TaskEnded"
    COMMAND_PROGRAM_NOT_FOUND = "CommandProgramNotFound"
    COMMAND_LAUNCH_FAILED = "CommandLaunchFailed"
    BLOB_NOT_FOUND = "BlobNotFound"
    BLOB_ACCESS_DENIED = "BlobAccessDenied"
    BLOB_DOWNLOAD_TIMED_OUT = "BlobDownloadTimedOut"
    BLOB_DOWNLOAD_MISC_ERROR = "BlobDownloadMiscError"
    RESOURCE_CONTAINER_NOT_FOUND = "ResourceContainerNotFound"
    RESOURCE_CONTAINER_ACCESS_DENIED = "ResourceContainerAccessDenied"
    RESOURCE_CONTAINER_LIST_TIMED_OUT = "ResourceContainerListTimedOut"
    RESOURCE_CONTAINER_LIST_MISC_ERROR = "ResourceContainerListMiscError"
    RESOURCE_DIRECTORY_CREATE_FAILED = "ResourceDirectoryCreateFailed"
    RESOURCE_FILE_CREATE_FAILED = "ResourceFileCreateFailed"
    RESOURCE_FILE_WRITE_FAILED = "ResourceFileWriteFailed"
    DISK_FULL = "DiskFull"
    OUT_OF_MEMORY = "OutOfMemory"
    JOB_COMPLETED = "JobCompleted"
    TASK_EXISTS = "TaskExists"
    ELEVATION_NOT_ALLOWED = "ElevationNotAllowed"
    CONTAINER_INVALID_SETTINGS = "ContainerInvalidSettings"
    STATUS_REJECTED = "StatusRejected"
    UNKNOWN = "Unknown"


class SchedulingErrorCode(StrEnum):
    """Azure's codes in schedulingError of a job with a pool of its own."""

    QUOTA_REACHED = "AutoPoolCreationFailedWithQuotaReached"
    INVALID_SETTINGS = "InvalidAutoPoolSettings"
    INVALID_FORMULA = "InvalidAutoScaleFormulaInAutoPool"


class RequeueReason(StrEnum):
    """Why a task went back to the queue through no fault of its own; the keys of status.requeueReasons."""

    CONTAINER_LOST = "ContainerLost"
    LEADER_CHANGED = "LeaderChanged"  # a leader that is no more had asked for its end, and recorded nowhere why
    NODE_DISABLED = "NodeDisabled"
    DISPLACED_BY_JOB_MANAGER = (
        "DisplacedByJobManager"  # the manager of its job, or of one of higher priority, had to run again
    )
    NODE_LOST = "NodeLost"
    NODE_REBOOTED = "NodeRebooted"
    NODE_REIMAGED = "NodeReimaged"
    NODE_REMOVED = "NodeRemoved"
    NODE_STOPPED = "NodeStopped"
    NODE_UNREACHABLE = "NodeUnreachable"
    OUT_OF_MEMORY = "OutOfMemory"  # its container was lost, and it had the most memory: the third time it fails
    POOL_RESIZED = "PoolResized"
    NODE_UPGRADED = "NodeUpgraded"
    START_REFUSED = "StartRefused"
