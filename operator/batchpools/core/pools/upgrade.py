"""Decides which nodes get a new pod since their pool's template has changed, or its tag has moved: a few at a time. Pure.

The pool's plan marks a node (an annotation: what its pod is to become); the node's plan empties it by the pool's deallocation
option and makes the new pod. A mark counts only while it names what the pool wants now, so a template that is changed back
takes it back. Source: REST reference, Pool upgradePolicy; decisions in docs/decisions.md.
"""

from collections.abc import Collection, Mapping, Sequence

from batchpools.api import names
from batchpools.api.states import NodeState, UpgradeMode
from batchpools.core.pools.image_digest import checked_digest, has_another_image
from batchpools.core.pools.order import in_order
from batchpools.core.pools.pod_hash import pod_hash
from batchpools.core.views import PoolNodeView, PoolView

_OF_DIGEST = 10  # characters
_USABLE = {NodeState.IDLE, NodeState.RUNNING}
_BROKEN = {NodeState.UNUSABLE, NodeState.START_TASK_FAILED}
_STARTING = {NodeState.CREATING, NodeState.STARTING, NodeState.WAITING_FOR_START_TASK}


def is_outdated(node: PoolNodeView, pool: PoolView) -> bool:
    """Whether the node has a pod that would be made otherwise now."""
    has = node.status.template_hash
    if not (node.status.pod_uid and has):
        return False
    return has != pod_hash(pool.spec, is_dedicated=node.spec.is_dedicated) or has_another_image(node, pool)


def wanted_pod(pool: PoolView, *, is_dedicated: bool) -> str:
    """Changes when a pod of that sort that is made now would be another one; its image is what it is known to be."""
    made, digest = pod_hash(pool.spec, is_dedicated=is_dedicated), checked_digest(pool)
    return f"{made}-{digest[-_OF_DIGEST:]}" if digest else made


def is_renewing(node: PoolNodeView, pool: PoolView | None) -> bool:
    """Whether a node is to be emptied and given another pod; the answer is a function of what is persisted."""
    if pool is None or names.ANNOTATION_RENEW not in node.metadata.annotations:
        return False
    wanted = wanted_pod(pool, is_dedicated=node.spec.is_dedicated)
    return node.metadata.annotations[names.ANNOTATION_RENEW] == wanted and is_outdated(node, pool)


def nodes_to_renew(
    pool: PoolView,
    nodes: Sequence[PoolNodeView],
    used_slots: Mapping[str, int],
    asked: Collection[str] = (),
    managing: Collection[str] = (),
) -> list[PoolNodeView]:
    """The nodes to mark now. asked: uids of nodes marked already, which the cache may not show yet.

    A node that is broken is renewed at once: it makes nothing worse, and a template that is corrected reaches it. Of those that
    start `maxUnavailable` at a time, of those that work so many that no more of the pool's nodes are out of use; idle ones
    first, those with a job manager (`managing`, by name) last. One that is silent is left alone: its tasks may go on, and it is
    heard again or gets another pod anyway.
    """
    policy = pool.spec.upgrade_policy
    if policy.mode != UpgradeMode.AUTOMATIC:
        return []
    marked = [node for node in nodes if node.metadata.uid in asked or is_renewing(node, pool)]
    gone = {node.metadata.uid for node in marked}
    outdated = [node for node in nodes if node.metadata.uid not in gone and is_outdated(node, pool)]
    if not outdated:
        return []
    most = policy.max_unavailable
    broken = [node for node in outdated if node.status.state in _BROKEN]
    starting = [node for node in outdated if node.status.state in _STARTING][: max(most - len(gone), 0)]
    gone |= {node.metadata.uid for node in nodes if node.status.state not in _USABLE}
    working = [node for node in outdated if node.status.state in _USABLE]
    return [*broken, *starting, *in_order(working, used_slots, managing=managing)[: max(most - len(gone), 0)]]
