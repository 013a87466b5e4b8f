"""What every node does this moment, from the leader's book: state, slots, runs. `status` on the object follows within 30 s."""

from typing import Any

from batchpools.api import names
from batchpools.core.ledger import RunLedger
from batchpools.core.pools.node_state import live_state
from batchpools.core.views import PoolNodeView
from batchpools.kube.cache import Cache
from batchpools.ops.answers import GROUP_VERSION


def node_runs(cache: Cache, ledger: RunLedger, namespace: str) -> dict[str, Any]:
    """A NodeRunsList of a namespace, or of all when it is empty; items are named as their PoolNodes."""
    shown = (
        node
        for node in cache.nodes
        if namespace in {"", node.metadata.namespace} and names.LABEL_INTERNAL not in node.metadata.labels
    )
    items = sorted((_item(node, ledger) for node in shown), key=_by_name)
    return {"kind": "NodeRunsList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": items}


def _item(node: PoolNodeView, ledger: RunLedger) -> dict[str, Any]:
    runs = ledger.node_runs(node.status.pod_uid)
    return {
        "kind": "NodeRuns",
        "apiVersion": GROUP_VERSION,
        "metadata": {"name": node.metadata.name, "namespace": node.metadata.namespace},
        "poolName": node.spec.pool_name,
        "state": live_state(node.status.state, runs.slots_used),
        "slotsUsed": runs.slots_used,
        "runningTasks": runs.running_tasks,
        "totalTasksRun": runs.total_run,
    }


def _by_name(item: dict[str, Any]) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]
