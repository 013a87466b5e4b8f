"""What must hold of jobs and their managers: a manager is made once, its node does not leave while another one could, and tasks
are displaced for one alone.
"""

from collections.abc import Callable

from batchpools.api import names
from batchpools.core.jobs.manager import manager_name, manages
from batchpools.kube.resources import JOBS, POOL_NODES, POOLS
from batchpools.replica import Replica
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation.workload import NAMESPACE, POOL, is_ours
from batchpools.testing.simulation.world import World

KNOWN_AFTER = 3.0  # seconds for which a manager's status says where it runs before everybody who decides must know


class JobChecker:
    """Watches jobs, managers and nodes; `says` takes a violation."""

    def __init__(self, world: World, says: Callable[[str], None]) -> None:
        self._world = world
        self._says = says
        self._terminated: set[str] = set()
        self._runs_since: dict[
            str, tuple[str, float]
        ] = {}  # uid of a manager's Task -> node, since when its status says so
        self._managers: dict[str, str] = {}  # uid of a job -> of its manager's Task
        world.kube.observe(self._changed)

    def is_terminated(self, job: str) -> bool:
        """Whether a job of that name was ever ended before all of its tasks had."""
        return job in self._terminated

    def is_exclusive(self, task: Object) -> bool:
        """Whether nothing may run beside this task."""
        job = self._world.kube.object(JOBS, NAMESPACE, task["spec"]["jobName"])
        manager = job["spec"].get("jobManagerTask") if job is not None else None
        return bool(_is_manager(task) and manager and manager.get("runExclusive", True))

    def _changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        if kind == "Job" and new is not None and new["status"]["state"] == "Terminating":
            self._terminated.add(new["metadata"]["name"])
        elif kind == "Task":
            self._task(old, new)
        elif kind == "PoolNode" and new is not None and old is not None and _leaves(new) and not _leaves(old):
            self._left(new)

    def _task(self, old: Object | None, new: Object | None) -> None:
        item = new or old
        if old is not None and new is not None and _displaced(new) > _displaced(old):
            self._displaced(new)
        if item is None or not _is_manager(item):
            return
        uid, job = item["metadata"]["uid"], item["metadata"]["ownerReferences"][0]["uid"]
        status = new["status"] if new is not None else {"state": "Gone"}
        if old is None and self._managers.setdefault(job, uid) != uid and self._made(item["spec"]["jobName"], job):
            self._says(f"{item['metadata']['name']} was made a second time for the same job")
        if status["state"] != "Running":
            self._runs_since.pop(uid, None)
        elif self._runs_since.get(uid, ("", 0.0))[0] != status["poolNodeName"]:
            self._runs_since[uid] = (status["poolNodeName"], self._world.now)

    def _displaced(self, task: Object) -> None:
        """A task had to make room: there is a job with a manager, and it is no manager itself."""
        name = task["metadata"]["name"]
        self._world.note(f"displaced {name}")
        if not self._managers or _is_manager(task):
            self._says(f"{name} had to make room for a job manager")

    def _made(self, name: str, uid: str) -> bool:
        """Whether the job says that its manager was made."""
        job = self._world.kube.object(JOBS, NAMESPACE, name)
        return job is not None and job["metadata"]["uid"] == uid and job["status"]["tasksCreated"] > 0

    def _left(self, node: Object) -> None:
        """The operator has chosen a node to leave: not one with a manager while one without could, as it knew."""
        name, leader = node["metadata"]["name"], self._world.leader()
        pool = self._world.kube.object(POOLS, NAMESPACE, POOL)
        by_user = name in self._world.deleted_nodes or (node["spec"].get("action") or {}).get("type") == "Remove"
        if leader is None or pool is None or "deletionTimestamp" in pool["metadata"] or by_user:
            return
        managing = self._managing(leader.replica)
        if name not in managing or not is_ours("PoolNode", node):
            return
        for other in self._world.kube.objects(POOL_NODES, NAMESPACE):
            other_name = other["metadata"]["name"]
            known = leader.replica.cache.nodes.get(NAMESPACE, other_name)
            same = is_ours("PoolNode", other) and other["spec"]["isDedicated"] == node["spec"]["isDedicated"]
            if same and known is not None and not _leaves(other) and other_name not in managing:
                self._says(f"{name} leaves with its job manager while {other_name} stays")
                return

    def _managing(self, replica: Replica) -> set[str]:
        """Nodes of which the leader must know that a manager runs there, and those of which it may."""
        found = set()
        for job in replica.cache.jobs:
            task = replica.cache.tasks.get(NAMESPACE, manager_name(job) or "-")
            if task is None or manages(task, job) is None:
                continue
            node, since = self._runs_since.get(task.metadata.uid, ("", 0.0))
            if task.status.state == "Running" and self._world.now - since >= KNOWN_AFTER:
                found.add(node)
        return found


def _is_manager(task: Object) -> bool:
    return bool(task["metadata"].get("labels", {}).get(names.LABEL_JOB_MANAGER) == "true")


def _displaced(task: Object) -> int:
    return int(task["status"]["requeueReasons"].get("DisplacedByJobManager", 0))


def _leaves(node: Object) -> bool:
    meta = node["metadata"]
    return "deletionTimestamp" in meta or meta.get("annotations", {}).get(names.ANNOTATION_LEAVING) == "true"
