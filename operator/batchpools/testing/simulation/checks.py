"""What must hold in every history: the invariants of exactly once, checked at each event, and what must hold in the end.

It believes nobody: runs are counted by processes, results by what the API server holds, and both against what each task was made
to do. A violation is a sentence.
"""

from dataclasses import dataclass, field
from typing import Any

from batchpools.api import names
from batchpools.core.identity import ExecutionId
from batchpools.kube.resources import (
    APPLICATION_PACKAGES,
    BUDGETS,
    JOB_SCHEDULES,
    JOBS,
    NETWORK_POLICIES,
    PODS,
    POOL_NODES,
    POOLS,
    TASKS,
)
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation import workload
from batchpools.testing.simulation.files import has_files, is_absent
from batchpools.testing.simulation.job_checks import JobChecker
from batchpools.testing.simulation.pool_checks import PoolChecker
from batchpools.testing.simulation.scaling_checks import ScalingChecker
from batchpools.testing.simulation.schedule_checks import ScheduleChecker
from batchpools.testing.simulation.workload import NAMESPACE, POOL, is_ours
from batchpools.testing.simulation.world import World

_NOT_RUN = {
    "JobCompleted",
    "TaskExists",
    "ElevationNotAllowed",
    "BlobNotFound",
}  # codes of tasks that end without a run
_ENDED = {"Completed", "Terminating"}  # states of a job
_ASKED = {"NodeDisabled", "NodeRebooted", "NodeReimaged", "NodeRemoved"}
_FROZEN = (
    "state",
    "result",
    "exitCode",
    "executionID",
    "attempt",
    "retryCount",
    "requeueCount",
    "failureInfo",
    "startTime",
    "endTime",
)


@dataclass(slots=True)
class _Life:
    """One life of a task: what it was made to do, and how it ended."""

    name: str
    code: int
    retries: int
    slots: int
    job: str
    epoch: int  # at its creation: what is lost together with a leader is known to nobody
    end: Object | None = None
    acknowledged: set[str] = field(default_factory=set)


class Checker:
    """Watches a world from its beginning. `violations` are sentences; the first one is what counts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lives: dict[str, _Life] = {}
        self._present: dict[str, Object] = {}  # uid -> task as the API server has it
        self._leader = ""
        self._epoch = 0
        self.violations: list[str] = []
        self._pool = PoolChecker(world, self.says)
        world.kube.observe(self._changed)
        world.processes.on_start = self._started
        world.processes.on_remove = self._removed
        world.processes.on_violation = self.says
        world.on_acknowledged.append(self._acknowledged)
        ScalingChecker(world, self.says)
        self._schedules = ScheduleChecker(world, self.says)
        self._jobs = JobChecker(world, self.says)

    @property
    def tasks(self) -> int:
        """Lives of tasks that were checked."""
        return len(self._lives)

    def says(self, sentence: str) -> None:
        """A violation."""
        self.violations.append(f"at {self._world.now:.3f}: {sentence}")
        self._world.note(f"VIOLATION {sentence}")

    # ---------------------------------------------------------------- at each event

    def _changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        item = new or old
        self._pool.changed(kind, new, old)
        if kind == "ApplicationPackage" and new is not None:
            self._package(new)
        if kind == "Lease" and new is not None:
            self._lease(new)
        if kind != "Task" or item is None or item["metadata"]["namespace"] != NAMESPACE:
            return
        uid = item["metadata"]["uid"]
        if new is None:
            self._present.pop(uid, None)
            self._world.note(f"gone {item['metadata']['name']} {uid[-4:]}")
            return
        if uid not in self._lives:
            self._lives[uid] = _life(new, self._epoch)
        self._present[uid] = new
        if old is not None:
            self._pool.requeued(old, new)
        if old is None or old.get("status") != new["status"]:
            self._status(uid, self._lives[uid], new["status"])

    def _package(self, package: Object) -> None:
        """What is said to be verified some node has had in place."""
        for one in package["status"].get("versions", ()):
            if one.get("verified") and one["fingerprint"] not in self._world.downloads.had:
                self.says(
                    f"version {one['version']} of {package['metadata']['name']} is verified, and no node has had it"
                )

    def _lease(self, lease: Object) -> None:
        spec = lease["spec"]
        told = f"lease {spec.get('holderIdentity')} {spec.get('leaseTransitions')}"
        if told != self._leader:
            self._leader = told
            self._epoch = spec.get("leaseTransitions", 0)
            self._world.note(told)

    def _status(self, uid: str, life: _Life, status: Object) -> None:
        self._world.note(
            f"task {life.name} {uid[-4:]} {status['state']} {status.get('result', '')} {status.get('exitCode')} "
            f"{status['executionID'][-6:]} retries {status['retryCount']} requeues {status['requeueCount']} "
            f"{(status.get('failureInfo') or {}).get('code', '')}"
        )
        if life.end is not None:
            if any(life.end.get(name) != status.get(name) for name in _FROZEN):
                self.says(f"{life.name} had ended and its status was changed")
            return
        if status["executionID"] and not status["executionID"].startswith(uid):
            self.says(f"{life.name} was given a run of another life: {status['executionID']}")
        if status["retryCount"] > life.retries:
            self.says(f"{life.name} was retried {status['retryCount']} times, {life.retries} are allowed")
        for reason in sorted(_ASKED & status.get("requeueReasons", {}).keys() - self._world.may_requeue_for):
            self.says(f"{life.name} was requeued for {reason}, and nobody has asked for that")
        if status["state"] == "Completed":
            life.end = status
            self._ended(uid, life, status)

    def _ended(self, uid: str, life: _Life, status: Object) -> None:
        """The result is that of a run of this very life, and the one that its command has."""
        code = (status.get("failureInfo") or {}).get("code", "")
        if code in _NOT_RUN:
            self._ended_without_run(uid, life, code)
            return
        if code == "TaskEnded":
            if not self._jobs.is_terminated(life.job):
                self._pool.terminated(life.name)
            return
        wanted = ("Success", 0) if life.code == 0 else ("Failure", life.code)
        if (status.get("result"), status.get("exitCode")) != wanted:
            self.says(
                f"{life.name} ended with {status.get('result')} {status.get('exitCode')} {code}, its command with {life.code}"
            )
        if status["executionID"] not in self._world.processes.finished:
            self.says(f"{life.name} has the result of run {status['executionID']}, which did not end by itself")
        runs = sum(one.startswith(uid) for one in self._world.processes.started)
        if runs > 1 + status["retryCount"] + status["requeueCount"] and self._epoch == life.epoch:
            self.says(
                f"{life.name} ran {runs} times: {status['retryCount']} retries, {status['requeueCount']} requeues told"
            )
        may_end = self._pool.may_end_tasks or self._jobs.is_terminated(life.job)
        if life.code and status["retryCount"] != life.retries and not may_end:
            self.says(f"{life.name} failed after {status['retryCount']} retries, {life.retries} are its due")
        if not life.code and status["retryCount"]:
            self.says(f"{life.name} succeeds at once, and {status['retryCount']} retries were counted")

    def _ended_without_run(self, uid: str, life: _Life, code: str) -> None:
        job = self._world.kube.object(JOBS, NAMESPACE, life.job)
        if code == "JobCompleted" and job is not None and job["status"]["state"] not in _ENDED:
            self.says(f"{life.name} ended since its job had, but job {life.job} is {job['status']['state']}")
        if code == "ElevationNotAllowed" and not self._present[uid]["spec"].get("elevated"):
            self.says(f"{life.name} ended as {code}, and it asked for nothing")
        if code == "BlobNotFound" and not is_absent(self._present[uid]["spec"]):
            self.says(f"{life.name} ended as {code}, and all of its files can be had")
        if any(one.startswith(uid) for one in self._world.processes.live):
            self.says(f"{life.name} ended as {code} while it runs")

    def _started(self, execution: str, node: str, container: str) -> None:
        """A process begins, with everything that runs beside it."""
        uid = execution.split(":", maxsplit=1)[0]
        life, item = self._lives.get(uid), self._present.get(uid)
        if life is None:
            self.says(f"a run of a task that there never was: {execution}")
            return
        if life.end is not None:
            self.says(f"{life.name} had ended and was started again: {execution} on {node}")
        if item is not None:
            if has_files(item["spec"]) and (uid, node) not in self._world.processes.brought:
                self.says(f"{life.name} runs on {node} without its files")
            if is_absent(item["spec"]):
                self.says(f"{life.name} runs on {node}, and one of its files cannot be had")
            wanted = item["spec"].get("container", names.TASK_CONTAINER)
            if wanted != container:
                self.says(f"{life.name} runs in container {container} of {node}, and wants {wanted}")
            self._slots(node)

    def _removed(self, execution: str, node: str) -> None:
        """Directories of tasks that have not ended stay: they may run there again."""
        item = self._present.get(execution.split(":", maxsplit=1)[0])
        self._world.note(f"remove what {execution[-12:]} left on {node}")
        if item is not None and item["status"]["state"] != "Completed":
            self.says(f"{item['metadata']['name']} has not ended, and what it left on {node} was removed")

    def _slots(self, node: str) -> None:
        pod = next((one for one in self._world.pods() if one.name == node), None)
        if pod is None:
            self.says(f"a run on {node}, which is not there")
            return
        runs = (task for task, place in self._world.processes.live.values() if place == node)
        used = sum(self._slots_of(uid, pod.slots) for uid in runs)
        if used > pod.slots:
            self.says(f"{used} slots are used on {node}, which has {pod.slots}")

    def _slots_of(self, uid: str, whole: int) -> int:
        """An exclusive manager takes all slots of its node: nothing runs beside it."""
        item = self._present.get(uid)
        return whole if item is not None and self._jobs.is_exclusive(item) else self._lives[uid].slots

    def _acknowledged(self, execution: str) -> None:
        """A result is forgotten on its node: then the API server has it, or it does not count any more."""
        run = ExecutionId.parse(execution)
        life, item = self._lives.get(run.task_uid), self._present.get(run.task_uid)
        if life is None or item is None or life.end is not None:
            return
        life.acknowledged.add(execution)
        status = item["status"]
        try:
            recorded = ExecutionId.parse(status["executionID"]).order
        except ValueError:
            recorded = (0, 0)
        settled = recorded > run.order or (recorded == run.order and status["state"] == "Active")
        if execution in self._world.processes.finished and not settled and not self._is_newer(run):
            self.says(f"the result of {execution} was acknowledged, and the API server does not have it")

    def _is_newer(self, run: ExecutionId) -> bool:
        """Whether a later run of the same task has begun, be it that it awaits its files."""
        begun = (*self._world.processes.started, *(one for pod in self._world.pods() for one in pod.runs))
        mine = (one for one in begun if one.startswith(run.task_uid))
        return any(ExecutionId.parse(one).order > run.order for one in mine)

    # ---------------------------------------------------------------- in the end

    def unsettled(self, target_nodes: int) -> str:
        """What has not come to its end yet; empty when everything that can run has run, and every count is right."""
        kube = self._world.kube
        for task in kube.objects(TASKS, NAMESPACE):
            if task["status"]["state"] != "Completed" and kube.object(JOBS, NAMESPACE, task["spec"]["jobName"]):
                return f"task {task['metadata']['name']} is {task['status']['state']}"
        for job in kube.objects(JOBS, NAMESPACE):
            if trouble := self._job(job):
                return trouble
        if trouble := self._schedules.unsettled() or self._nodes(target_nodes):
            return trouble
        if busy := list(self._world.processes.live):
            return f"{busy[0]} runs"
        return self._book()

    def _job(self, job: Object) -> str:
        name, status = job["metadata"]["name"], job["status"]
        ends = job["spec"].get("onAllTasksComplete") == "TerminateJob"
        if ends and status["state"] != "Completed":
            return f"job {name} is {status['state']}"
        if "deletionTimestamp" in job["metadata"]:
            return f"job {name} is being deleted"
        tasks = [one for one in self._world.kube.objects(TASKS, NAMESPACE) if one["spec"]["jobName"] == name]
        good = sum(one["status"].get("result") == "Success" for one in tasks)
        counts = {"active": 0, "running": 0, "completed": len(tasks), "succeeded": good, "failed": len(tasks) - good}
        if not ends and status["taskCounts"] != counts:
            return f"job {name} counts {status['taskCounts']}, its tasks are {counts}"
        return ""

    def _nodes(self, target: int) -> str:
        nodes = [one for one in self._world.kube.objects(POOL_NODES, NAMESPACE) if is_ours("PoolNode", one)]
        pool = self._world.kube.object(POOLS, NAMESPACE, POOL)
        if pool is None:
            return ""
        if len(nodes) != target:
            return f"there are {len(nodes)} nodes, wanted {target}"
        states = {one["status"]["state"] for one in nodes}
        if not states <= {"Idle", "Running"}:
            return f"nodes are {sorted(states)}"
        image, policy = workload.image_of(pool), pool["spec"].get("upgradePolicy") or {}
        images = {one["status"].get("image") for one in nodes} - {image}
        if not images and "imageCheckInterval" in policy:
            pods = self._world.kube.objects(PODS, NAMESPACE)
            ran = {one["status"]["containerStatuses"][0].get("imageID") for one in pods if _is_of_node(one)}
            images = ran - {self._world.kubelets.digest_of(image)}
        return f"nodes still run {sorted(map(str, images))}" if images else ""

    def _book(self) -> str:
        """The leader's book agrees: nothing is taken, nothing waits, every count equals a recount."""
        leader = self._world.leader()
        if leader is None or not leader.leads:
            return "nobody leads"
        ledger = leader.replica.ledger
        if self._world.kube.object(POOLS, NAMESPACE, POOL) and ledger.pool_slots(NAMESPACE, POOL)[1]:
            return f"the leader counts {ledger.pool_slots(NAMESPACE, POOL)[1]} slots as used"
        for job in self._world.kube.objects(JOBS, NAMESPACE):
            name = job["metadata"]["name"]
            tasks = [one for one in self._world.kube.objects(TASKS, NAMESPACE) if one["spec"]["jobName"] == name]
            counts = ledger.job_counts(NAMESPACE, name)
            if (counts.active, counts.running, counts.completed) != (0, 0, len(tasks)):
                return f"the leader counts {counts} for job {name} with {len(tasks)} tasks"
        if pods := [one.name for one in self._world.pods() if not one.is_quiet]:
            return f"{pods[0]} keeps results that nobody acknowledged"
        return ""

    def left_over(self) -> str:
        """What is still there although everything was deleted; empty when nothing is."""
        for resource in (
            APPLICATION_PACKAGES,
            JOB_SCHEDULES,
            TASKS,
            JOBS,
            PODS,
            POOL_NODES,
            POOLS,
            NETWORK_POLICIES,
            BUDGETS,
        ):
            if items := self._world.kube.objects(resource, NAMESPACE):
                return f"{resource.kind} {items[0]['metadata']['name']} {items[0]['metadata'].get('finalizers', '')}"
        if self._world.pods():
            return f"processes of {self._world.pods()[0].name}"
        if self._world.processes.live:
            return f"runs {list(self._world.processes.live)}"
        leader = self._world.leader()
        if leader is not None and (entries := leader.replica.ledger.entries):
            return f"the leader's book has {entries} tasks"
        return ""

    def finish(self) -> None:
        """What others have noticed."""
        for sentence in self._world.scheduler.defects():
            self.says(sentence)


def _is_of_node(pod: Object) -> bool:
    meta = pod["metadata"]
    is_in_pool = meta.get("labels", {}).get(names.LABEL_POOL) == POOL
    return is_in_pool and any(owner["kind"] == "PoolNode" for owner in meta["ownerReferences"])


def _life(task: Object, epoch: int) -> _Life:
    spec: Any = task["spec"]
    _, _, code = spec["command"]
    retries = (spec.get("constraints") or {}).get("maxTaskRetryCount") or 0
    slots = int(spec.get("requiredSlots", 1))
    return _Life(task["metadata"]["name"], int(code), int(retries), slots, spec["jobName"], max(epoch, 1))
