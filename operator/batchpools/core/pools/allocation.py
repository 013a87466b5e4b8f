"""Decides where a pool is in its resize: Steady, Resizing or Stopping, when it gives up, what a stop leaves. Pure.

Its memory is status: what was told, and since when. Source: REST reference, Pool allocationState, resizeErrors; Pool stop resize.
A resize that took longer than resizeTimeout has failed, and says so until the target is reached or another one is set; what is
missing is still made when there is room (docs/decisions.md).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from batchpools.api.durations import parse_duration
from batchpools.api.reasons import Reason
from batchpools.api.states import AllocationState
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.target import Target, asked_for, target_of
from batchpools.core.views import PoolAction, PoolStatus, ResizeError, StoppedResize


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where a pool is. since: when the state was entered, or another target given; errors: of the resize itself."""

    target: Target
    state: AllocationState
    since: datetime | None
    stopped: StoppedResize | None = None
    last_action: PoolAction | None = None
    errors: tuple[ResizeError, ...] = ()
    again: float | None = None  # seconds until time alone changes something


def allocation_of(situation: PoolSituation, now: datetime) -> Allocation:
    """Where the pool is now, from what was told of it, what is there, and what is asked for."""
    pool, told = situation.pool, situation.pool.status
    target = target_of(pool)
    is_reached = _is_reached(situation, target)
    action = told.last_action
    request = pool.spec.stop_resize.request_id if pool.spec.stop_resize is not None else ""
    if request and (action is None or action.request_id != request):
        is_told = told.observed_generation and _targets(told) == (target.dedicated, target.low_priority)
        if is_told and not is_reached:  # a target that comes with the request is newer than the resize to be stopped
            kept = _size_reached(situation, target)
            done = PoolAction(request_id=request, result="Stopped")
            stopped = asked_for(pool) if pool.spec.auto_scale is None else None  # else until the next evaluation
            return Allocation(kept, AllocationState.STOPPING, _whole(now), stopped, done)
        action = PoolAction(request_id=request, result="NothingToStop")
    stopped = told.stopped_resize if situation.is_stopped else None
    state = _state(situation, target, is_reached, now)
    is_retargeted = _targets(told) != (target.dedicated, target.low_priority)
    is_moved = state != told.allocation_state or (is_retargeted and state is AllocationState.RESIZING)
    since = _whole(now) if is_moved or told.allocation_state_transition_time is None else _since(told)
    errors = []
    if stopped is not None and state is not AllocationState.STOPPING:
        errors.append(
            ResizeError(code=Reason.RESIZE_STOPPED, message="The resize was stopped as spec.stopResize asked.")
        )
    elif state is AllocationState.STEADY and not is_reached:
        errors.append(_timed_out(situation, target))
    again = None
    if state is AllocationState.RESIZING and since is not None and pool.spec.auto_scale is None:
        again = max(1.0, (since + _timeout(situation) - now).total_seconds())
    return Allocation(target, state, since, stopped, action, tuple(errors), again)


def _state(situation: PoolSituation, target: Target, is_reached: bool, now: datetime) -> AllocationState:
    pool, told = situation.pool, situation.pool.status
    if is_reached:
        return AllocationState.STEADY
    if _targets(told) != (target.dedicated, target.low_priority):
        return AllocationState.RESIZING
    if told.allocation_state == AllocationState.STOPPING and situation.is_stopped:
        return AllocationState.STOPPING
    if pool.spec.auto_scale is not None:
        return AllocationState.RESIZING  # resizeTimeout has no effect there
    has_failed = any(error.code == Reason.ALLOCATION_TIMED_OUT for error in told.resize_errors)
    since = _since(told)
    is_late = (
        told.allocation_state == AllocationState.RESIZING and since is not None and now - since >= _timeout(situation)
    )
    return AllocationState.STEADY if has_failed or is_late else AllocationState.RESIZING


def _is_reached(situation: PoolSituation, target: Target) -> bool:
    """As many nodes of each sort as wanted, each with a machine, and none on its way out."""
    if len(situation.nodes) != target.nodes or len(situation.staying) != target.nodes or situation.unallocated:
        return False
    return len(situation.staying_of(True)) == target.dedicated


def _size_reached(situation: PoolSituation, target: Target) -> Target:
    """What is there when a resize is stopped: nodes that have a machine; those that were to finish their tasks are taken back."""

    def there(is_dedicated: bool) -> int:
        nodes = (*situation.staying_of(is_dedicated), *situation.marked_of(is_dedicated))
        return sum(node.metadata.uid not in situation.unallocated for node in nodes)

    return Target(there(True), there(False), target.option)


def _timed_out(situation: PoolSituation, target: Target) -> ResizeError:
    there = sum(node.metadata.uid not in situation.unallocated for node in situation.staying)
    leaving = len(situation.nodes) - len(situation.staying)
    words = f"{there} of {target.nodes} nodes are there" + (f", and {leaving} are still leaving" if leaving else "")
    sentence = f"After {situation.pool.spec.resize_timeout} {words}."
    return ResizeError(code=Reason.ALLOCATION_TIMED_OUT, message=sentence)


def _timeout(situation: PoolSituation) -> timedelta:
    return timedelta(seconds=parse_duration(situation.pool.spec.resize_timeout))


def _targets(told: PoolStatus) -> tuple[int, int]:
    return (told.target_dedicated_nodes, told.target_low_priority_nodes)


def _since(told: PoolStatus) -> datetime | None:
    return told.allocation_state_transition_time


def _whole(now: datetime) -> datetime:
    return now.replace(microsecond=0)
