"""The CEL rules of the CRDs that speak of a change, as FakeKube evaluates them: what may follow upon what. Pure.

Rules about one object alone are left to the real API server (tests/crds). A test holds the sentences to the CRDs, and the
contract suite each rule to the real API server.
"""

from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
Holds = Callable[[Any, Any], bool]

_FIXED = "command, commandLine, env, resourceFiles, requiredSlots, elevated, container, jobName and id of a task cannot change"
_EPOCH = "written by a leader that has been replaced: its epoch is older than the one recorded"


def refusal(kind: str, old: Object, new: Object) -> str:
    """The sentence of the first rule that a change breaks; empty when it breaks none."""
    for part, rules in (("spec", SPEC), ("status", STATUS)):
        before, after = old.get(part), new.get(part)
        if before is None or after is None or before == after:
            continue
        for sentence, holds in rules.get(kind, ()):
            if not holds(before, after):
                return f"{part}: Invalid value: {sentence}"
    for whole, sentence, holds in WHOLE:
        if kind == whole and not holds(old, new):
            return f"Invalid value: {sentence}"
    return ""


def _same(*fields: str) -> Holds:
    return lambda before, after: all(before.get(field) == after.get(field) for field in fields)


def _only_more_tasks(before: Object, after: Object) -> bool:
    held, given = before.get("tasks"), after.get("tasks")
    return not held or [one["id"] for one in given or ()][: len(held)] == [one["id"] for one in held]


def _tasks_stay_as_they_are(before: Object, after: Object) -> bool:
    given = {one["id"]: one for one in after.get("tasks") or ()}
    return all(given.get(one["id"], one) == one for one in before.get("tasks") or ())


def _no_way_back(before: Object, after: Object) -> bool:
    key, word = "onAllTasksComplete", "TerminateJob"
    return before.get(key) != word or after.get(key) == word


def _same_of_auto_pool(field: str) -> Holds:
    def holds(before: Object, after: Object) -> bool:
        held, given = before.get("autoPool"), after.get("autoPool")
        return held is None or given is None or _same(field)(held, given)

    return holds


def _another_action_has_another_id(before: Object, after: Object) -> bool:
    held, given = before.get("action"), after.get("action")
    return held is None or given is None or held == given or bool(held["requestId"] != given["requestId"])


def _epoch_rises(before: Object, after: Object) -> bool:
    return before.get("epoch") is None or (after.get("epoch") is not None and after["epoch"] >= before["epoch"])


def _stays_ended(before: Object, after: Object) -> bool:
    return before["state"] != "Completed" or bool(after["state"] == "Completed")


def _gets_no_tasks_once_ended(old: Object, new: Object) -> bool:
    if old.get("status", {}).get("state") != "Completed":
        return True
    return len(new["spec"].get("tasks") or ()) == len(old["spec"].get("tasks") or ())


def _keeps_its_times_once_ended(old: Object, new: Object) -> bool:
    ended = old.get("status", {}).get("state") == "Completed"
    return not ended or old["spec"].get("schedule") == new["spec"].get("schedule")


def _counts_up(before: Object, after: Object) -> bool:
    return bool(after.get("jobsCreated", 0) >= before.get("jobsCreated", 0))


def _stays_terminated(before: Object, after: Object) -> bool:
    return "terminate" not in before or "terminate" in after


# Of whole objects, by kind.
WHOLE: list[tuple[str, str, Holds]] = [
    ("Job", "tasks cannot be added to a job that has ended", _gets_no_tasks_once_ended),
    ("JobSchedule", "a schedule that has ended takes no other times: make another one", _keeps_its_times_once_ended),
]

SPEC: dict[str, list[tuple[str, Holds]]] = {
    "PoolNode": [
        ("a node stays in its pool: poolName cannot change", _same("poolName")),
        ("isDedicated cannot change: it says how the node was made", _same("isDedicated")),
        ("another action needs another requestId", _another_action_has_another_id),
    ],
    "Job": [
        ("poolName cannot change", _same("poolName")),
        ("autoPoolNamePrefix cannot change", _same_of_auto_pool("autoPoolNamePrefix")),
        ("poolLifetime cannot change", _same_of_auto_pool("poolLifetime")),
        ("tasks may only be added at the end", _only_more_tasks),
        ("a task of a job cannot change once it is there", _tasks_stay_as_they_are),
        ("there is no way back from onAllTasksComplete: TerminateJob", _no_way_back),
        ("jobManagerTask cannot change", _same("jobManagerTask")),
        ("there is no way back from terminate", _stays_terminated),
    ],
    "JobSchedule": [("there is no way back from terminate", _stays_terminated)],
    "Task": [
        (_FIXED, _same("jobName", "id", "command", "commandLine", "env", "resourceFiles")),
        (_FIXED, _same("requiredSlots", "elevated", "container")),
    ],
}

STATUS: dict[str, list[tuple[str, Holds]]] = {
    "Pool": [(_EPOCH, _epoch_rises)],
    "PoolNode": [(_EPOCH, _epoch_rises)],
    "Job": [(_EPOCH, _epoch_rises), ("a job that has ended stays ended", _stays_ended)],
    "JobSchedule": [
        (_EPOCH, _epoch_rises),
        ("the number of the last job never goes back", _counts_up),
        ("a schedule that has ended stays ended", _stays_ended),
    ],
    "ApplicationPackage": [(_EPOCH, _epoch_rises)],
    "Task": [(_EPOCH, _epoch_rises), ("a task that has ended stays ended", _stays_ended)],
}
