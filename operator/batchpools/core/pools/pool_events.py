"""Decides what is told of a pool in Events, for `kubectl describe`: what a resize does, and that nodes are broken. Pure.

An Event follows a change of what status tells, never a task. What is told again in the same words is one Event (`kube.applier`).
"""

from collections.abc import Callable

from batchpools.api.reasons import Condition, Reason
from batchpools.api.states import AllocationState, PoolState
from batchpools.core.conditions import find_condition
from batchpools.core.identity import Key
from batchpools.core.plan import Event
from batchpools.core.views import ImageCheck, PoolStatus, PoolView


def pool_events(pool: PoolView, now: PoolStatus) -> tuple[Event, ...]:
    """What to tell when the pool's status becomes `now`."""
    before = pool.status
    key = Key("Pool", pool.metadata.namespace, pool.metadata.name)

    def event(reason: str, message: str, *, warning: bool = False) -> Event:
        return Event(key, pool.metadata.uid, reason, message, warning)

    told: list[Event] = []
    if now.state == PoolState.DELETING:
        is_first = before.state != PoolState.DELETING
        words = f"The pool goes, with its {_nodes(now.current_nodes)}; tasks that run are requeued."
        return (event("PoolDeleting", words),) if is_first else ()
    is_new = not before.observed_generation
    targets = [(one.target_dedicated_nodes, one.target_low_priority_nodes) for one in (before, now)]
    if (is_new or targets[0] != targets[1]) and now.allocation_state == AllocationState.RESIZING:
        told.append(event("ResizeStarted", f"From {now.current_nodes} to {_nodes(now.target_nodes)}{_low(now)}."))
    was_told = {error.code for error in before.resize_errors}
    fresh = [error for error in now.resize_errors if error.code not in was_told]
    told += [event(one.code, one.message, warning=one.code != Reason.RESIZE_STOPPED) for one in fresh]
    was_resizing = before.allocation_state != AllocationState.STEADY
    if was_resizing and now.allocation_state == AllocationState.STEADY and not now.resize_errors:
        told.append(event("ResizeCompleted", f"The pool has its {_nodes(now.target_nodes)}{_low(now)}."))
    broken = find_condition(now.conditions, Condition.DEGRADED)
    known = find_condition(before.conditions, Condition.DEGRADED)
    if broken is not None and broken.status == "True" and (known is None or known.status != "True"):
        told.append(event(broken.reason, broken.message, warning=True))
    return (*told, *_image(before, now, event))


def _image(before: PoolStatus, now: PoolStatus, event: Callable[..., Event]) -> tuple[Event, ...]:
    """That a tag is another image than before, and that it cannot be found out."""
    known, found = before.image_check or ImageCheck(), now.image_check
    if found is None:
        return ()
    if found.message and found.message != known.message:
        return (event(Reason.IMAGE_CHECK_FAILED, found.message, warning=True),)
    has_moved = found.image == known.image and known.digest not in {"", found.digest}
    words = f"{found.image} is now {found.digest}; nodes with another image get a new pod."
    return (event("ImageMoved", words),) if has_moved else ()


def _nodes(count: int) -> str:
    return f"{count} node" if count == 1 else f"{count} nodes"


def _low(status: PoolStatus) -> str:
    low = status.target_low_priority_nodes
    return f", {low} of them low-priority" if low else ""
