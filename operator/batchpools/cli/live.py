"""Idle and Running as they are this moment, over what `status` says, which follows within 30 s (pools: 5 s).

The leader tells, through the aggregated API; where there is none, `status` is shown and a note says so.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from batchpools.api import names
from batchpools.cli import aggregated
from batchpools.cli.access import Access, CliError
from batchpools.core.views import Meta, PoolNodeView, PoolView, SlotCounts, View
from batchpools.kube.errors import KubeError

_Key = tuple[str, str]  # namespace, PoolNode


class NodeRuns(View, frozen=True):
    """What `ops.node_runs` tells of one node."""

    metadata: Meta
    pool_name: str
    state: str
    slots_used: int
    running_tasks: int
    total_tasks_run: int


class _NodeRunsList(msgspec.Struct):
    items: list[NodeRuns]


async def as_they_are(access: Access, views: Sequence[Any], *, everywhere: bool) -> list[Any]:
    """The views of pools or nodes with what the leader tells; as they were when nobody does."""
    scope = "" if everywhere else f"/namespaces/{access.namespace}"
    path = f"/apis/{names.OPS_GROUP}/{names.VERSION}{scope}/noderuns"
    access.teach(f"kubectl get --raw '{path}'")
    try:
        told = (await aggregated.ask(access, path, _NodeRunsList)).items
    except (CliError, KubeError) as error:
        access.note(f"Idle, Running and slots are as last recorded, up to 30 s ago: {error}")
        return list(views)
    runs = {(one.metadata.namespace, one.metadata.name): one for one in told}
    return [_pool(one, runs) if isinstance(one, PoolView) else _node(one, runs) for one in views]


def _node(node: PoolNodeView, runs: Mapping[_Key, NodeRuns]) -> PoolNodeView:
    now = runs.get((node.metadata.namespace, node.metadata.name))
    if now is None:
        return node
    status = replace(node.status, state=now.state, running_tasks=now.running_tasks, total_tasks_run=now.total_tasks_run)
    return replace(node, status=status)


def _pool(pool: PoolView, runs: Mapping[_Key, NodeRuns]) -> PoolView:
    meta = pool.metadata
    nodes = [one for (space, _), one in runs.items() if (space, one.pool_name) == (meta.namespace, meta.name)]
    counts = Counter(one.state for one in nodes)
    slots = SlotCounts(total=pool.status.task_slots.total, used=sum(one.slots_used for one in nodes))
    states = {state[:1].lower() + state[1:]: number for state, number in sorted(counts.items())}
    return replace(pool, status=replace(pool.status, node_counts=states, task_slots=slots))
