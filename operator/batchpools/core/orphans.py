"""Decides what becomes of objects whose owner is no more (safety rule S7.1). Pure.

Owner references are there for people, and for the cluster's garbage collector, which may be late or off: nothing here relies
on them being followed. That the owner is gone somebody has asked the API server before.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from batchpools.api import names
from batchpools.api.reasons import RequeueReason
from batchpools.core.identity import Key
from batchpools.core.ledger import Contact
from batchpools.core.plan import Delete, DrainNode, Effect, ReleaseNode, RemoveFinalizer
from batchpools.core.pools import pod_facts
from batchpools.core.views import Meta, OwnerReference, PodView, PoolNodeView

ChildT = TypeVar("ChildT", bound="_HasMeta")


class _HasMeta(Protocol):
    @property
    def metadata(self) -> Meta: ...


def owner_of(meta: Meta, kind: str) -> OwnerReference | None:
    """The controller of that kind which an object names; None when it names none."""
    ours = (owner for owner in meta.owner_references if owner.controller and owner.kind == kind)
    return next(ours, None)


def without_owner(
    children: Iterable[ChildT], kind: str, owners: Iterable[str]
) -> Iterator[tuple[ChildT, OwnerReference]]:
    """Children whose owner of that kind is not among these uids, with what they say of it."""
    known = set(owners)
    for child in children:
        owner = owner_of(child.metadata, kind)
        if owner is not None and owner.uid not in known:
            yield child, owner


def nodeless(pods: Iterable[PodView], nodes: Iterable[PoolNodeView]) -> list[PodView]:
    """Node pods that may run tasks although no PoolNode tells of them: somebody took the finalizer off theirs."""
    found = without_owner(pods, "PoolNode", (node.metadata.uid for node in nodes))
    return [pod for pod, _ in found if not pod_facts.is_dead(pod)]


def delete(key: Key, meta: Meta) -> tuple[Effect, ...]:
    """An object that needs no more care than its deletion; its own controller does the rest, if it has one."""
    return () if meta.deletion_timestamp is not None else (Delete(key, meta.uid, meta.resource_version),)


def bury_pod(pod: PodView, contact: Contact) -> tuple[Effect, ...]:
    """A node pod without its node: its runs are ended, it is deleted, and let go once nothing runs there (S4.1)."""
    meta = pod.metadata
    key = Key("Pod", meta.namespace, meta.name)
    effects: list[Effect] = [DrainNode(meta.uid, RequeueReason.NODE_LOST), *delete(key, meta)]
    if pod_facts.is_dead(pod):
        effects.append(ReleaseNode(meta.uid))
    if pod_facts.is_dead(pod) or contact is Contact.GIVEN_UP:
        effects.append(RemoveFinalizer(key, meta.uid, names.FINALIZER_POD))
    return tuple(effects)
