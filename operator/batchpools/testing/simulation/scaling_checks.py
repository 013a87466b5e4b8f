"""What must hold of a pool that is autoscaled by the preset: nothing that runs is killed for its size, and it stays within bounds.

It looks at a pool that was autoscaled from its beginning on: what was being emptied by another option before does not count.
"""

from collections.abc import Callable

from batchpools.api import names
from batchpools.kube.resources import JOBS
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation.pool_checks import killed
from batchpools.testing.simulation.workload import NAMESPACE, POOL, is_ours
from batchpools.testing.simulation.world import World


class ScalingChecker:
    """Watches pools, nodes and tasks; `says` takes a violation."""

    def __init__(self, world: World, says: Callable[[str], None]) -> None:
        self._world = world
        self._says = says
        self._most = 0  # nodes that the pool has ever been allowed
        self._is_scaled = False
        self._requeued: dict[str, int] = {}
        self._staying: set[str] = set()
        world.kube.observe(self._changed)

    def _changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        item = new or old
        if item is None or item["metadata"]["namespace"] != NAMESPACE or not is_ours(kind, item):
            return
        if kind == "Pool":
            self._pool(old, new)
        elif kind == "PoolNode":
            self._node(item, is_there=new is not None)
        elif kind == "Task" and new is not None:
            self._task(new)

    def _pool(self, old: Object | None, new: Object | None) -> None:
        asked = new["spec"].get("autoScale") if new is not None and "deletionTimestamp" not in new["metadata"] else None
        self._is_scaled = asked is not None and (old is None or self._is_scaled)
        if asked is not None:
            self._most = max(self._most, asked["maxNodes"])

    def _node(self, node: Object, *, is_there: bool) -> None:
        meta = node["metadata"]
        leaves = meta.get("annotations", {}).get(names.ANNOTATION_LEAVING) == "true" or "deletionTimestamp" in meta
        if is_there and not leaves:
            self._staying.add(meta["name"])
        else:
            self._staying.discard(meta["name"])
        if self._is_scaled and len(self._staying) > self._most:
            self._says(
                f"there are {len(self._staying)} nodes that stay, the pool was never allowed more than {self._most}"
            )

    def _task(self, task: Object) -> None:
        told = killed(self._world, task)
        uid, name = task["metadata"]["uid"], task["metadata"]["name"]
        if told > self._requeued.get(uid, 0) and self._is_scaled and self._is_wanted(task):
            self._says(f"{name} was killed with its node, whose tasks were to be awaited")
        self._requeued[uid] = told

    def _is_wanted(self, task: Object) -> bool:
        """Whether its job is there, in this pool, and stays: what runs for one that goes is killed."""
        job = self._world.kube.object(JOBS, NAMESPACE, task["spec"]["jobName"])
        owners = {one["uid"] for one in task["metadata"].get("ownerReferences", [])}
        if job is None or "deletionTimestamp" in job["metadata"] or job["spec"].get("poolName") != POOL:
            return False
        return not owners or job["metadata"]["uid"] in owners
