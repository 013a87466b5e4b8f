"""Decides which changes of a pool make its nodes' pods outdated: the hash of what makes a pod. Pure.

The start task is not in it: a changed one reaches nodes as they restart (REST reference, Pool Patch). Nor are the timeouts, which
count for pods that are made from now on, nor what the operator adds (its image, its CA).
"""

import hashlib
import json
from functools import lru_cache
from typing import Any

from batchpools.core.pools.template import template_for
from batchpools.core.views import PoolSpec

_LENGTH = 10
_KEPT = 256  # specs


class _Read:
    """A spec as it was read once: it never changes, and nothing but itself is the same."""

    __slots__ = ("spec",)

    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec

    def __hash__(self) -> int:
        return id(self.spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Read) and other.spec is self.spec


def pod_hash(spec: PoolSpec, *, is_dedicated: bool = True) -> str:
    """Changes when a pod of that sort that is made now would be another one. Made once, however many nodes ask for it."""
    return _hash_of(_Read(spec), is_dedicated)


@lru_cache(_KEPT)
def _hash_of(read: _Read, is_dedicated: bool) -> str:
    spec = read.spec
    template = template_for(spec, is_dedicated=is_dedicated)
    parts: list[Any] = [
        template.labels,
        template.annotations,
        template.container,
        template.volumes,
        template.placement,
        template.security,
        spec.node_disk_size,
        spec.task_slots_per_node,
        [[one.secret_name, *one.visibility] for one in spec.certificate_references],
        spec.secret_references,
        spec.config_map_references,
        spec.task_logs.to_container_log,
        *([template.others] if template.others else []),  # without them it is what it was before there were any
    ]
    if spec.allow_elevated:  # else a pod is the same as before there was such a field
        parts.append("allowElevated")
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_LENGTH]
