"""All that a decision about one pool may look at, frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from batchpools.api.reasons import Reason
from batchpools.api.states import NodeState
from batchpools.core.autoscale.run import Step
from batchpools.core.packages.resolution import NO_PACKAGES, Packages
from batchpools.core.pools.emptying import is_marked
from batchpools.core.pools.target import is_stopped
from batchpools.core.pools.template import read_template
from batchpools.core.pools.template_rules import refused
from batchpools.core.views import PodView, PoolNodeView, PoolView

NO_POD = frozenset({Reason.ALLOCATION_FAILED, Reason.NAME_CONFLICT, Reason.POD_UNSCHEDULABLE})


@dataclass(frozen=True)
class PoolSituation:
    """A pool, its nodes, and what the ledger says of them. What follows from that for each node is found out once.

    used_slots: by node name; managing: names of nodes where a job manager is; slots: (total, used) of ready nodes; counts_due:
    the last write of counters is long enough ago.
    leaving: uids of nodes whose deletion was asked for, marks: by uid whether a node was last marked or taken back, renewing: of
    nodes that were marked for a new pod; the cache may show none of it yet. cordoned: pod uids to which no task goes, since their
    nodes were chosen to leave. refusal: the API server's sentence for the last node that it did not make. closing: the
    namespace is being deleted. When the pool is to go, `nodes` without any are what the API server says. scaled: what
    autoscaling says of it now, if it was asked. probe: the pod that finds out what its image is, if the cache shows one (before the
    pool goes, if the API server has one), probe_refusal: the API server's sentence for the last that it did not make. elevation:
    the API server's sentence when it takes no pods of a pool that allows elevated tasks. packages: what its references mean now.
    """

    pool: PoolView
    nodes: tuple[PoolNodeView, ...] = ()
    used_slots: Mapping[str, int] = field(default_factory=dict)
    managing: frozenset[str] = frozenset()
    slots: tuple[int, int] = (0, 0)
    counts_due: bool = True
    leaving: frozenset[str] = frozenset()
    marks: Mapping[str, bool] = field(default_factory=dict)
    cordoned: frozenset[str] = frozenset()
    renewing: frozenset[str] = frozenset()
    refusal: str = ""
    closing: bool = False
    scaled: Step | None = None
    probe: PodView | None = None
    probe_refusal: str = ""
    elevation: str = ""
    packages: Packages = NO_PACKAGES

    @cached_property
    def is_held_up(self) -> bool:
        """Whether no pod can be made that would work, until somebody changes something."""
        return bool(self.elevation or self.packages.missing or self.template_refusal)

    @cached_property
    def template_refusal(self) -> str:
        """Why the pool's template cannot be used, as a sentence; empty when it can."""
        return refused(read_template(self.pool.spec))

    def is_leaving(self, node: PoolNodeView) -> bool:
        """Whether a node is on its way out: it counts no more, but keeps its name until it is gone."""
        return node.metadata.deletion_timestamp is not None or node.metadata.uid in self.leaving

    def is_marked(self, node: PoolNodeView) -> bool:
        """Whether a node leaves once its tasks have ended, and may be taken back until then."""
        return self.marks.get(node.metadata.uid, is_marked(node)) and not self.is_leaving(node)

    @cached_property
    def staying(self) -> tuple[PoolNodeView, ...]:
        """The nodes that are to stay."""
        return tuple(node for node in self.nodes if not self.is_leaving(node) and not self.is_marked(node))

    def staying_of(self, is_dedicated: bool) -> tuple[PoolNodeView, ...]:
        """Those of one sort."""
        return tuple(node for node in self.staying if node.spec.is_dedicated == is_dedicated)

    def marked_of(self, is_dedicated: bool) -> tuple[PoolNodeView, ...]:
        """The marked nodes of one sort."""
        return tuple(node for node in self.nodes if self.is_marked(node) and node.spec.is_dedicated == is_dedicated)

    @property
    def is_stopped(self) -> bool:
        """Whether the resize to the spec's targets was stopped."""
        return is_stopped(self.pool)

    @cached_property
    def unallocated(self) -> frozenset[str]:
        """Uids of nodes that have no machine yet. One that was preempted had one, and counts on."""
        return frozenset(node.metadata.uid for node in self.nodes if not _has_machine(node))


def _has_machine(node: PoolNodeView) -> bool:
    if node.status.state == NodeState.PREEMPTED:
        return True
    waits = any(error.code in NO_POD for error in node.status.errors)
    return node.status.state != NodeState.CREATING and not waits
