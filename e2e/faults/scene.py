"""The stage on which faults are injected: a cluster of its own, the operator with a short Lease, one pool, the witnesses."""

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from e2e.cluster.local import LocalCluster
from e2e.cluster.processes import PodProcesses
from e2e.faults import load
from e2e.faults.checker import violations
from e2e.faults.history import Expected, Fault, History, boottime, read_runs
from e2e.faults.witnesses import Machine, TaskWatch
from e2e.operator_install import Installation
from e2e.stories import Namespace, job, pool, until

NUMBER = 3  # of the local cluster: another one than that of the stories
NODES, SLOTS = 3, 4
UNREACHABLE = 15.0  # seconds: T, after which a node that no leader vouches for ends its tasks
LEASE = 6.0
_POOL = "demo"
_MEMORY = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}


@dataclass
class Wave:
    """The tasks of one fault."""

    job: str
    expected: list[Expected] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class Scene:
    """What a fault can be done to, and the waves so far."""

    def __init__(self) -> None:
        self.cluster = LocalCluster(NUMBER)
        self.operator = Installation(self.cluster)
        self.waves: list[Wave] = []
        self._undo = ExitStack()

    def begin(self) -> None:
        """Cluster, operator, pool and witnesses; about half a minute."""
        self.cluster.down()
        self._undo.callback(self.cluster.down)
        self.operator.install()
        self.processes = PodProcesses(self.cluster.at)
        self.space = Namespace("faults", self.operator.kubeconfig, self.operator.kubectl_program)
        self.space.kubectl("create", "namespace", self.space.name)
        timeout = f"{UNREACHABLE:.0f}s"
        self.space.apply(pool(_POOL, NODES, SLOTS, nodeUnreachableTimeout=timeout, resources=_MEMORY))
        self.machine = Machine(self.cluster)
        self.machine.start()
        self._undo.callback(self.machine.stop)
        self.watch = TaskWatch(self.operator.kubeconfig, self.space.name)
        self.watch.start()
        self._undo.callback(self.watch.stop)
        self.space.ready_pool(_POOL, NODES)

    def end(self) -> None:
        """Everything goes."""
        self._undo.close()

    # ---------------------------------------------------------------- waves

    def start_wave(self, name: str, tasks: int, *, hogs: int = 0) -> Wave:
        """Create tasks on a pool that is whole, and wait until a tenth of them has ended."""
        self.space.ready_pool(_POOL, NODES)
        self.space.apply(job(name, pool_name=_POOL, onAllTasksComplete="NoAction"))
        made = [load.short_task(name, number) for number in range(tasks)]
        for number in range(hogs):
            made.insert(tasks // 4, load.hog(name, number))
        wave = Wave(name, load.create(self.space, made))
        self.waves.append(wave)
        until(lambda: tasks - self.unfinished(wave) >= tasks // 10, f"a tenth of {name} has ended")
        return wave

    def unfinished(self, wave: Wave) -> int:
        """How many tasks of it have not ended."""
        return sum(one.uid not in self.watch.over for one in wave.expected)

    def finish_wave(self, wave: Wave, patience: float = 120.0) -> None:
        """Wait until all of it has ended and nothing of it runs, or patience is over: the check then says what is left."""
        end = time.monotonic() + patience
        while time.monotonic() < end and (self.unfinished(wave) or self._alive(wave)):
            time.sleep(0.2)

    def violations(self, wave: Wave) -> list[str]:
        """What the history of a wave breaks."""
        uids = {one.uid for one in wave.expected}
        runs, unreadable = read_runs(self.machine.files(), dict(self.machine.sightings))
        mine = [run for run in runs if run.execution.task_uid in uids]
        seen = [event for event in list(self.watch.events) if event.uid in uids]
        return violations(History(wave.expected, mine, seen, wave.faults, unreadable, self._alive(wave)))

    def _alive(self, wave: Wave) -> list[str]:
        uids = {one.uid for one in wave.expected}
        return sorted(one for one in self.machine.alive() if one.partition(":")[0] in uids)

    # ---------------------------------------------------------------- who is where

    def pods(self) -> list[tuple[str, str]]:
        """(pod, uid) of every node, by name."""
        nodes = sorted(self.space.nodes(_POOL), key=lambda node: str(node["metadata"]["name"]))
        return [(node["status"]["podName"], node["status"]["podUID"]) for node in nodes]

    def leader_process(self) -> int:
        """The leading operator's pid on this machine."""
        shown = self.operator.kubectl("get", "pod", self.operator.leader(), "-o", "json")
        return self.processes.find(json.loads(shown)["metadata"]["uid"], "-m", "batchpools", "operator")

    def agent_process(self, pod_uid: str) -> int:
        """A node's agent."""
        return self.processes.find(pod_uid, "-m", "batchpools", "agent")

    def runner_process(self, pod_uid: str) -> int:
        """PID 1 of a node's task container."""
        return self.processes.find(pod_uid, "serve", "--mode")


def fault(kind: str, began: float, *pods: str, reasons: str = "") -> Fault:
    """A fault that has just ended."""
    return Fault(kind, began, boottime(), frozenset(pods), frozenset(reasons.split()))
