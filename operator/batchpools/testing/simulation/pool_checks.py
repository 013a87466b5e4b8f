"""What must hold of a pool's nodes in every history: never more than were wanted, and nothing killed that is to be awaited."""

from collections.abc import Callable

from batchpools.kube.resources import JOBS, POOL_NODES
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation.workload import NAMESPACE, is_ours
from batchpools.testing.simulation.world import World

LATE = 60.0  # seconds for which a target of before may still be acted upon: by a leader that was paused, or whose watch lags
_KILL = {"Requeue", "Terminate"}
_SORTS = {True: "targetDedicatedNodes", False: "targetLowPriorityNodes"}


class PoolChecker:
    """Watches the pool and its nodes. `says` takes a violation."""

    def __init__(self, world: World, says: Callable[[str], None]) -> None:
        self._world = world
        self._says = says
        self._options: set[str] = set()  # that were ever in force
        self._wanted: dict[bool, list[tuple[float, int]]] = {True: [], False: []}  # until when, how many
        self._nodes: dict[str, Object] = {}

    def changed(self, kind: str, new: Object | None, old: Object | None) -> None:
        """Something happened to a pool or a node."""
        item = new or old
        if item is None or item["metadata"]["namespace"] != NAMESPACE or not is_ours(kind, item):
            return
        if kind == "Pool":
            self._pool(item, is_gone=new is None)
        elif kind == "PoolNode":
            uid = item["metadata"]["uid"]
            is_new = uid not in self._nodes
            if new is None:
                self._nodes.pop(uid, None)
            else:
                self._nodes[uid] = new
                if is_new:
                    self._made(new)

    def requeued(self, before: Object, after: Object) -> None:
        """A task has changed: was it killed since its node leaves? With its job, or alone, it may be killed."""
        said = after["status"]
        if self._options & _KILL or killed(self._world, after) <= killed(self._world, before):
            return
        name = after["metadata"]["name"]
        job = self._world.kube.object(JOBS, NAMESPACE, after["spec"]["jobName"])
        node = self._world.kube.object(POOL_NODES, NAMESPACE, said.get("poolNodeName", ""))
        if (
            node is not None
            and is_ours("PoolNode", node)
            and not _stays(node)
            and job is not None
            and "deletionTimestamp" not in job["metadata"]
        ):
            self._says(f"{name} was killed since its node left, and the pool's option has always been to await it")

    def terminated(self, name: str) -> None:
        """A task was ended with its node."""
        if "Terminate" not in self._options:
            self._says(f"{name} was ended with its node, and the pool's option has never been Terminate")

    @property
    def may_end_tasks(self) -> bool:
        """Whether tasks may have been ended with their node."""
        return "Terminate" in self._options

    def _pool(self, pool: Object, *, is_gone: bool) -> None:
        spec = pool["spec"]
        doomed = is_gone or "deletionTimestamp" in pool["metadata"]
        self._options.add("Requeue" if doomed else spec.get("nodeDeallocationOption", "Requeue"))
        for is_dedicated, field in _SORTS.items():
            wanted = max(spec.get(field, 0), pool["status"].get(field, 0))  # of an autoscaled pool status has it
            self._wanted[is_dedicated].append((self._world.now, wanted))

    def _made(self, node: Object) -> None:
        """A node was made: there were less than were wanted, now or a while ago."""
        sort = node["spec"].get("isDedicated", True)
        there = sum(_stays(one) and one["spec"].get("isDedicated", True) == sort for one in self._nodes.values())
        told = self._wanted[sort]
        recent = [wanted for at, wanted in told if at >= self._world.now - LATE]
        before = [wanted for at, wanted in told if at < self._world.now - LATE]
        most = max([*recent, *before[-1:]], default=0)
        if there > most:
            self._says(f"{node['metadata']['name']} was made: {there} nodes of its sort, {most} were wanted at most")


def killed(world: World, task: Object) -> int:
    """How often a task was killed for the size of its pool. Unless somebody has asked for other kills, a former leader's is one."""
    reasons = task.get("status", {}).get("requeueReasons", {})
    return int(reasons.get("PoolResized", 0) + (0 if world.may_requeue_for else reasons.get("LeaderChanged", 0)))


def _stays(node: Object) -> bool:
    meta = node["metadata"]
    return "deletionTimestamp" not in meta and (meta.get("annotations") or {}).get("batchpools.dev/leaving") != "true"
