"""Decides which nodes a pool makes, takes back, and lets go. Deterministic: a node takes the lowest free number. Pure.

Dedicated and low-priority nodes are counted apart. A node that is to finish its tasks first is marked, and goes once they have
ended; a pool that grows meanwhile takes marked nodes back before it makes others. Source: REST reference,
Pool resize.
"""

from dataclasses import dataclass

from batchpools.api.states import NodeDeallocationOption
from batchpools.core.pools.emptying import why_ended
from batchpools.core.pools.order import in_order
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.target import Target
from batchpools.core.views import PoolNodeView

NODES_PER_PLAN = 50

Nodes = tuple[PoolNodeView, ...]


@dataclass(frozen=True, slots=True)
class Moves:
    """What brings a pool nearer to its target.

    make: (name, is_dedicated); keep: marked nodes that stay after all; mark: nodes that go when their tasks have ended;
    delete: nodes that go now.
    """

    make: tuple[tuple[str, bool], ...] = ()
    keep: Nodes = ()
    mark: Nodes = ()
    delete: Nodes = ()


def next_step(situation: PoolSituation, target: Target, *, may_make: bool = True) -> Moves:
    """The next step of a resize. Nodes that are being deleted count neither way, but keep their names until they are gone."""
    taken = {node.metadata.name for node in situation.nodes}
    make: list[tuple[str, bool]] = []
    keep: list[PoolNodeView] = []
    mark: list[PoolNodeView] = []
    delete: list[PoolNodeView] = []
    for is_dedicated, wanted in ((True, target.dedicated), (False, target.low_priority)):
        staying, marked = situation.staying_of(is_dedicated), situation.marked_of(is_dedicated)
        missing = wanted - len(staying)
        ordered = in_order(marked, situation.used_slots, managing=situation.managing)
        kept = ordered[-missing:] if missing > 0 else []
        keep += kept
        count = min(missing - len(kept), NODES_PER_PLAN - len(make)) if may_make else 0
        names = names_to_make(situation.pool.metadata.name, taken, count, is_dedicated=is_dedicated)
        make += [(name, is_dedicated) for name in names]
        first = situation.unallocated if situation.is_stopped else frozenset()
        leaving = in_order(staying, situation.used_slots, first, situation.managing)[: max(-missing, 0)]
        going = [*(node for node in ordered if node not in kept), *leaving]
        now = [node for node in going if _goes_now(node, situation, target.option)]
        delete += now
        mark += [node for node in leaving if node not in now]
    return Moves(tuple(make), tuple(keep), tuple(mark), tuple(delete))


def node_name(pool: str, number: int, *, is_dedicated: bool = True) -> str:
    """`<pool>-0003`, and `<pool>-l0003` for a low-priority node."""
    return f"{pool}-{'' if is_dedicated else 'l'}{number:04d}"


def names_to_make(pool: str, taken: set[str], count: int, *, is_dedicated: bool = True) -> list[str]:
    """Names for `count` new nodes: the lowest numbers that no node holds, also none that is still leaving.

    The sorts share no names: so a cache that does not show yet what was made only has the same names made again.
    """
    found: list[str] = []
    number = 0
    while len(found) < count:
        name = node_name(pool, number, is_dedicated=is_dedicated)
        if name not in taken:
            found.append(name)
        number += 1
    return found


def _goes_now(node: PoolNodeView, situation: PoolSituation, option: NodeDeallocationOption) -> bool:
    """Whether nothing of the node is waited for: its tasks are killed, or it has none; retained data the node itself awaits."""
    if why_ended(option) is not None or not node.status.pod_uid:
        return True
    is_idle = not situation.used_slots.get(node.metadata.name, 0)
    return is_idle and option is NodeDeallocationOption.TASK_COMPLETION
