"""The closed vocabularies that messages carry as text. Only the names."""

from enum import StrEnum


class NodePhase(StrEnum):
    """How far a node has come."""

    STARTING = "Starting"
    START_TASK = "StartTask"
    START_TASK_FAILED = "StartTaskFailed"
    READY = "Ready"
    STOPPING = "Stopping"


class Cause(StrEnum):
    """Why a run ended. EXIT, WALL_CLOCK, OUTPUT_LIMIT, LAUNCH_FAILED, OUT_OF_MEMORY, DISK_FULL are the task's own; the others ours.

    BOOT_LOST with the code OutOfMemory: its container was lost while memory was scarce, and the run had the most of it.
    """

    EXIT = "exit"
    WALL_CLOCK = "wallClock"
    OUTPUT_LIMIT = "outputLimit"
    LAUNCH_FAILED = "launchFailed"
    KILLED = "killed"
    STOPPING = "stopping"
    OUT_OF_MEMORY = "outOfMemory"  # the node's memory was nearly full, and the run had the most of it
    DISK_FULL = "diskFull"  # the node's disk was nearly full, and the run's directory held the most of it
    EXPIRED = "expired"  # no leader vouched for the node in time: the dead-man timer ended it
    BOOT_LOST = "bootLost"  # the task container restarted under the run, or the agent while it brought files for it


class Refusal(StrEnum):
    """Why the hub refuses a session."""

    BAD_PROTOCOL = "BadProtocol"
    BAD_TOKEN = "BadToken"  # noqa: S105 (a code, not a password)
    UNKNOWN_NODE = "UnknownNode"
    BAD_FRAME = "BadFrame"
    TOO_MANY = "TooMany"
    FLOODING = "Flooding"  # more than a node can mean, or it does not read what it is told
