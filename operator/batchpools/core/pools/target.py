"""Decides how many nodes a pool is to have now, and what becomes of the tasks of those that leave. Pure.

This is the only place that knows where the target comes from. Source: REST reference, Pool resize and autoscale.
"""

from dataclasses import dataclass

from batchpools.api.states import NodeDeallocationOption
from batchpools.core.views import PoolView, StoppedResize


@dataclass(frozen=True, slots=True)
class Target:
    """Nodes wanted of each sort, and by which option others leave."""

    dedicated: int = 0
    low_priority: int = 0
    option: NodeDeallocationOption = NodeDeallocationOption.REQUEUE

    @property
    def nodes(self) -> int:
        """All of them."""
        return self.dedicated + self.low_priority


def target_of(pool: PoolView) -> Target:
    """The target in force.

    A pool that is being deleted goes to 0 by Requeue. Of an autoscaled pool status has the targets and the option, which an
    evaluation wrote; a pool whose autoscaling was switched off keeps them until its spec has targets. A stopped resize leaves
    a pool at the size that status tells, until the spec's targets change.
    """
    spec, status = pool.spec, pool.status
    if pool.metadata.deletion_timestamp is not None:
        return Target()
    option = NodeDeallocationOption(spec.node_deallocation_option)
    if spec.auto_scale is not None:
        option = NodeDeallocationOption(status.node_deallocation_option or option)
        return Target(status.target_dedicated_nodes, status.target_low_priority_nodes, option)
    if keeps_its_size(pool) or is_stopped(pool):
        return Target(status.target_dedicated_nodes, status.target_low_priority_nodes, option)
    return Target(spec.target_dedicated_nodes, spec.target_low_priority_nodes, option)


def keeps_its_size(pool: PoolView) -> bool:
    """Whether autoscaling was switched off, and nothing was said since of how many nodes there shall be."""
    spec = pool.spec
    said = spec.target_dedicated_nodes or spec.target_low_priority_nodes
    return spec.auto_scale is None and pool.status.auto_scale_run is not None and not said


def is_stopped(pool: PoolView) -> bool:
    """Whether the resize to the targets that the spec has was stopped."""
    return pool.spec.auto_scale is None and pool.status.stopped_resize == asked_for(pool)


def asked_for(pool: PoolView) -> StoppedResize:
    """The spec's targets, as status remembers them when a resize to them is stopped."""
    return StoppedResize(
        target_dedicated_nodes=pool.spec.target_dedicated_nodes,
        target_low_priority_nodes=pool.spec.target_low_priority_nodes,
    )
