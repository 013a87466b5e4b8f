"""Reads what a runner says into events of the machine. `operator/runner/protocol.go` is the reference."""

from batchpools.agent.runner_client import Note
from batchpools.api.names import TASK_CONTAINER
from batchpools.core import execution_events as events
from batchpools.core.ended import Ended
from batchpools.core.lost_container import MemoryScarce

START_TASK_ID = "start-task:"  # the ids of a start task's runs begin with it; no execution id does


def is_of_start_task(note: Note) -> bool:
    """Whether a note speaks of a start task's run: no run of the machine's."""
    return str(note.get("id", "")).startswith(START_TASK_ID)


def event_of_hello(hello: Note, *, serves: bool = True, container: str = TASK_CONTAINER) -> events.RunnerUp:
    """All that a container's runner knows of tasks when an agent connects. serves: whether tasks may be run there now."""
    running = (one for one in hello["running"] if not is_of_start_task(one))
    finished = (one for one in hello["finished"] if not is_of_start_task(one))
    return events.RunnerUp(
        hello["bootId"],
        tuple((one["id"], one["label"], one["startedAt"]) for one in running),
        tuple((one["id"], one["label"], outcome_of(one)) for one in finished),
        tuple(one for one in hello["acked"] if not one.startswith(START_TASK_ID)),
        serves,
        container,
    )


def event_of_note(note: Note, container: str = TASK_CONTAINER) -> events.Event | None:
    """What a note of a container's runner means for runs; None when it says nothing of them."""
    match note["op"]:
        case "started":
            return events.RunStarted(note["id"], note["startedAt"])
        case "finished":
            return events.RunFinished(note["id"], note["label"], outcome_of(note), container)
        case "unknown":
            return events.RunUnknown(note["id"], container)
        case "memory":
            return MemoryScarce(note["id"], note["bytes"], note["used"], note["limit"], container)
        case "stopping":
            return events.Stopping()
    return None


def outcome_of(note: Note) -> Ended:
    """How a run ended."""
    return Ended(
        cause=note["cause"],
        exit_code=note["exitCode"],
        started_at=note["startedAt"],
        ended_at=note["endedAt"],
        user_cpu=note["userCpu"],
        kernel_cpu=note["kernelCpu"],
        max_memory_bytes=note["maxRss"],
        code=note["code"],
        message=note["message"],
    )
