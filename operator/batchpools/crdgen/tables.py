"""Writes the state tables of docs/architecture.md from the code, between their two markers."""

from pathlib import Path

from batchpools.api.states import AllocationState, JobScheduleState, JobState, NodeState, PoolState, TaskState
from batchpools.core.tasks.lifecycle import TABLE

_BEGIN, _END = "<!-- generated:states -->", "<!-- /generated:states -->"
_SHOWN = {
    "Pool": (PoolState, AllocationState),
    "PoolNode": (NodeState,),
    "Job": (JobState,),
    "Task": (TaskState,),
    "JobSchedule": (JobScheduleState,),
}


def write_tables(page: Path) -> None:
    """Replace what stands between the markers; ValueError when a marker is missing."""
    text = page.read_text()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the markers {_BEGIN} and {_END}")
    page.write_text(f"{before}{_BEGIN}\n{tables()}\n{_END}{after}")


def tables() -> str:
    """States that users see, and what may follow what in the leader's book of runs."""
    lines = ["What users see in `status`:", "", "| kind | states |", "|---|---|"]
    for kind, enums in _SHOWN.items():
        states = "; ".join(", ".join(enum) for enum in enums)
        lines.append(f"| {kind} | {states} |")
    lines += [
        "",
        "A task in the leader's book of runs (`core/tasks/lifecycle.py`); anything else raises with the task's story:",
    ]
    lines += ["", "| from | to |", "|---|---|"]
    lines += [f"| {state} | {', '.join(sorted(following)) or 'nothing'} |" for state, following in TABLE.items()]
    return "\n".join(lines)
