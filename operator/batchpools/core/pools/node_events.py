"""Decides what is told of a node in Events, for `kubectl describe`: that local data is lost with a pod. Pure.

Nobody is told of what was asked for: a reimage, a changed template, a node that leaves. A pod that never began had nothing.
"""

from batchpools.api.states import NodeActionType
from batchpools.core.identity import Key
from batchpools.core.plan import Event
from batchpools.core.pools import node_action, pod_facts
from batchpools.core.pools.emptying import is_marked
from batchpools.core.pools.upgrade import is_renewing
from batchpools.core.views import PodView, PoolNodeView, PoolView


def pod_lost(node: PoolNodeView, pool: PoolView | None, pod: PodView | None) -> tuple[Event, ...]:
    """What to tell when the next pod of a node is due; pod: the former one, None when somebody took its object away."""
    action, meta = node_action.pending(node), node.metadata
    is_asked = is_renewing(node, pool) or (action is not None and action.type == NodeActionType.REIMAGE)
    leaves = meta.deletion_timestamp is not None or is_marked(node)
    if is_asked or leaves or not node.status.boot_id:
        return ()
    why = pod_facts.disruption(pod) if pod is not None else ""
    told = f"Pod {node.status.pod_name} has ended{f' ({why})' if why else ''}: what tasks had left on the node is lost."
    words = f"{told} It keeps its name and gets another pod."
    return (Event(Key("PoolNode", meta.namespace, meta.name), meta.uid, "LocalDataLost", words[:1024], warning=True),)
