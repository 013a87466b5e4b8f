"""Decides what becomes of a node's pods of former generations. Pure.

The number of the next pod is persisted only once nothing runs in the former one: confirmed by its agent, written by the
kubelet, or its time is over (safety rule S4.1). So that number is also the record that the former pod is accounted for:
it needs no other, and outlives the leader that wrote it.
"""

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.plan import Delete, Effect, ReleaseNode, RemoveFinalizer
from batchpools.core.pools import pod_facts
from batchpools.core.views import PodView, PoolNodeView


def is_accounted(node: PoolNodeView, pod: PodView) -> bool:
    """Whether it is certain, and persisted, that nothing runs in this pod of the node."""
    number = pod.metadata.name.rpartition("-")[2]
    return number.isdecimal() and int(number) < node.status.pod_generation


def is_in_the_way(node: PoolNodeView, pod: PodView) -> bool:
    """Whether the node waits for it. One that is let go, and stays because its machine is lost, holds nothing up."""
    return not is_accounted(node, pod) or names.FINALIZER_POD in pod.metadata.finalizers


def clear(node: PoolNodeView, pods: tuple[PodView, ...]) -> tuple[Effect, ...]:
    """Have them deleted; let go of those that are dead or accounted for."""
    effects: list[Effect] = []
    for pod in pods:
        key, uid = Key("Pod", pod.metadata.namespace, pod.metadata.name), pod.metadata.uid
        if pod.metadata.deletion_timestamp is None:
            effects.append(Delete(key, uid, pod.metadata.resource_version))
        held = names.FINALIZER_POD in pod.metadata.finalizers
        if held and (is_accounted(node, pod) or pod_facts.is_dead(pod)):
            effects += [ReleaseNode(uid), RemoveFinalizer(key, uid, names.FINALIZER_POD)]
    return tuple(effects)
