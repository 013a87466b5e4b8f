"""Joins the three witnesses of a history and names everything that breaks a promise. Pure: `tests/faults` shows what it finds.

The promises: at most one live run of a task at any time; one end, which stays; counts that match what was injected; a result that
belongs to exactly one finished run; nothing lost; nothing run again that no fault has touched.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from e2e.faults.history import RESOLUTION, Expected, Fault, History, Run, Seen, by_uid

UNREPORTED = 5.0  # seconds before a fault in which a run may have finished whose result died with its pod
_TERMINAL = (
    "state",
    "result",
    "executionID",
    "attempt",
    "exitCode",
    "startTime",
    "endTime",
    "retryCount",
    "requeueCount",
)


def violations(history: History) -> list[str]:
    """A sentence for each broken promise; empty: all were kept."""
    found = [f"a line of a task cannot be read: {one}" for one in history.unreadable]
    found += [f"run {one} still has processes" for one in history.still_alive]
    runs = by_uid(history.runs)
    seen = _seen_of(history.seen)
    for task in history.expected:
        mine, events = runs.pop(task.uid, []), seen.get(task.uid, [])
        found += [f"{task.name}: {one}" for one in _of_task(task, mine, events, history.faults)]
    found += [
        f"run {run.execution} of {run.task} belongs to no task that was created" for few in runs.values() for run in few
    ]
    return found


def _of_task(task: Expected, runs: Sequence[Run], events: Sequence[Seen], faults: Sequence[Fault]) -> Iterator[str]:
    yield from _overlaps(runs)
    ends = [event for event in events if event.is_over]
    if not ends:
        yield f"lost: it has not ended ({events[-1].status if events else 'never seen'})"
        return
    yield from _changes_after_the_end(events, ends[0])
    final = ends[0].status
    if final.get("result") != task.result:
        yield f"ended with {final.get('result')} instead of {task.result}: {final.get('failureInfo')}"
    yield from _wrong_runs(task, runs, final, faults)
    yield from _wrong_counts(task, runs, final, faults)


def _overlaps(runs: Sequence[Run]) -> Iterator[str]:
    """At most one live run: a start while another run still wrote its end, or still had processes."""
    for earlier, later in itertools.pairwise(runs):
        if earlier.lived_until > later.began + RESOLUTION:
            yield (
                f"two live runs: {earlier.execution.order} on {earlier.pod_uid} lived until {earlier.lived_until:.2f}, "
                f"{later.execution.order} on {later.pod_uid} began at {later.began:.2f}"
            )


def _changes_after_the_end(events: Sequence[Seen], end: Seen) -> Iterator[str]:
    epoch = 0
    for event in events:
        if event.status.get("epoch", 0) < epoch:
            yield f"its status went from epoch {epoch} back to {event.status.get('epoch', 0)}"
        epoch = max(epoch, event.status.get("epoch", 0))
    for event in events[events.index(end) + 1 :]:
        if event.type == "DELETED":
            yield "deleted by nobody that we know"
        elif _terminal(event.status) != _terminal(end.status):
            yield f"its end changed: {_terminal(end.status)} became {_terminal(event.status)}"


def _wrong_runs(
    task: Expected, runs: Sequence[Run], final: Mapping[str, Any], faults: Sequence[Fault]
) -> Iterator[str]:
    """As many runs left by themselves as were wanted, the last is the one that the status names, and faults cost the others."""
    named = next((run for run in runs if str(run.execution) == final.get("executionID")), None)
    if named is None:
        yield f"its status names run {final.get('executionID')!r}, which is none of {[run.execution.order for run in runs]}"
        return
    if named is not max(runs, key=lambda run: run.execution.order):
        yield f"its status names run {named.execution.order}, but a later one was begun"
    if (named.ended is None) != task.is_killed:
        yield f"its status names run {named.execution.order}, which {'never' if named.ended is None else 'yet'} wrote its end"
    elif named.ended is not None and named.code != final.get("exitCode"):
        yield f"its exit code is {final.get('exitCode')}, but its run left with {named.code}"
    touched = [run for run in runs if run is not named and _is_touched(run, faults)]
    own = [run for run in runs if run is named or run.ended is not None]
    least = sum(run not in touched for run in own)  # a run that left by itself just before a fault may have told nobody
    if not least <= task.tries <= len(own):
        yield f"{least} to {len(own)} runs left by themselves instead of {task.tries}"
    for run in runs:
        if run not in own and run not in touched:
            yield f"run {run.execution.order} was ended, and no fault has touched it"


def _wrong_counts(
    task: Expected, runs: Sequence[Run], final: Mapping[str, Any], faults: Sequence[Fault]
) -> Iterator[str]:
    """Retries are the user's, requeues are ours. A run that a fault met before it wrote its first line is counted all the same."""
    retries, requeues = final.get("retryCount", 0), final.get("requeueCount", 0)
    reasons: Mapping[str, int] = final.get("requeueReasons", {})
    if retries != task.tries - 1:
        yield f"retryCount is {retries} instead of {task.tries - 1}"
    again = len(runs) - task.tries
    unseen = sum(bool(fault.pods) for fault in faults)
    if not again <= requeues <= again + unseen:
        yield f"requeueCount is {requeues}, and it ran {again} times more than it was to"
    if sum(reasons.values()) != requeues:
        yield f"requeueReasons {dict(reasons)} do not add up to {requeues}"
    allowed = frozenset[str]().union(*(fault.reasons for fault in faults))
    if not reasons.keys() <= allowed:
        yield f"requeueReasons are {dict(reasons)}, injected was {sorted(allowed)}"


def _is_touched(run: Run, faults: Sequence[Fault]) -> bool:
    """Whether a fault may have cost this run, or its result."""
    return any(
        run.pod_uid in fault.pods and run.began <= fault.ended and run.lived_until >= fault.began - UNREPORTED
        for fault in faults
    )


def _seen_of(events: Sequence[Seen]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for event in events:
        found.setdefault(event.uid, []).append(event)
    return found


def _terminal(status: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(status.get(key) for key in _TERMINAL)
