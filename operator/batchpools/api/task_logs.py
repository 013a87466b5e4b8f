"""Where the output of tasks goes beside their files."""

from pydantic import Field

from batchpools.api.common import Model
from batchpools.api.states import ToContainerLog


class TaskLogs(Model):
    """Output of tasks in the log of the task container, for kubectl logs and log stacks."""

    to_container_log: ToContainerLog = Field(
        default=ToContainerLog.NONE,
        description="Whose output goes there when they have ended, the last 64 KiB, as `<job>/<task>#attempt| line`: None, Failed, "
        "All.",
    )
