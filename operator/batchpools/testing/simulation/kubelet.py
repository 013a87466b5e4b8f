"""Machines: the scheduler, the kubelets and what they write of pods. They live in the API server's process and never crash.

A kubelet looks at the difference between what the API server has and what runs, and does one thing after another. A machine
that is cut off sees and writes nothing, while what runs there goes on.
"""

import hashlib
from collections.abc import Callable
from random import Random
from typing import Any

from batchpools.api import names
from batchpools.kube.errors import KubeError
from batchpools.kube.resources import PODS
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.simulation.loop import Process
from batchpools.testing.simulation.node_pod import NodePod, TaskContainer

_FINAL = {"Failed", "Succeeded"}
STOP_RESERVE = 10.0  # seconds before the end of its grace at which a runner leaves (safety rule S6.3)

MakePod = Callable[[dict[str, Any], Callable[[], None]], NodePod]


class Machine:
    """One machine and its kubelet. `cut`: it sees and is seen by nobody."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cut = False
        self.images: dict[str, str] = {}  # by name: what was pulled last
        self.pods: dict[str, NodePod] = {}


class Kubelets:
    """All machines; the last one's kubelet is older, and knows no restart of all containers.

    `make(manifest, on_change)` makes the processes of a pod.
    """

    def __init__(self, kube: FakeKube, process: Process, random: Random, machines: int, make: MakePod) -> None:
        self.machines = [Machine(f"machine-{number}") for number in range(machines)]
        self._kube = kube
        self._process = process
        self._random = random
        self._make = make
        self._items: dict[str, dict[str, Any]] = {}  # pods as the API server has them, by uid
        self._stops: dict[str, float] = {}  # pod uid -> when it is to be dead
        self._moves: dict[str, int] = {}  # how often a tag has moved
        self._pulled: dict[tuple[str, str], str] = {}  # (pod uid, container) -> what its image is
        kube.observe(self._changed)

    def pods(self) -> list[tuple[Machine, NodePod]]:
        """Everything that runs."""
        return [(machine, pod) for machine in self.machines for pod in machine.pods.values()]

    def set_cut(self, machine: Machine, cut: bool) -> None:
        """Cut a machine off, or let it be seen again: then it catches up."""
        machine.cut = cut
        if not cut:
            for uid in tuple(self._items):
                self._soon(uid)
            for uid in machine.pods:
                self._soon(uid)

    def evict(self, pod: NodePod) -> None:
        """The kubelet ends a pod by itself: all its processes die, its object stays and says so."""
        pod.kill_runners()
        pod.kill_agent()
        pod.stopping = True
        self._soon(pod.uid)

    def move_tag(self, image: str) -> None:
        """Somebody pushes another image under that name. From the first one on pods tell what they have: before nobody asks."""
        self._moves[image] = self._moves.get(image, 0) + 1
        for uid in tuple(self._items):
            self._soon(uid)

    def digest_of(self, image: str) -> str:
        """What the registry has under that name now."""
        words = f"{image} {self._moves.get(image, 0)}"
        return f"registry/{image}@sha256:{hashlib.sha256(words.encode()).hexdigest()}"

    # ---------------------------------------------------------------- inside

    def _changed(self, kind: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        item = new or old
        if kind == "Pod" and item is not None:
            uid = item["metadata"]["uid"]
            if new is None:
                self._items.pop(uid, None)
            else:
                self._items[uid] = new
            self._soon(uid)

    def _soon(self, uid: str, delay: float = 0.0) -> None:
        self._process.call_later(delay + self._random.uniform(0.02, 0.2), self._look, uid)

    def _look(self, uid: str) -> None:
        item = self._items.get(uid)
        machine = self._machine_of(uid, item)
        if machine is not None and machine.cut:
            return
        pod = machine.pods.get(uid) if machine is not None else None
        if item is None:
            if pod is not None and machine is not None:
                self._stop(pod, 2.0)  # whoever took its object away, its processes end too
                if not pod.agent_lives and not pod.runner_lives:
                    machine.pods.pop(uid)
        elif not item["spec"].get("nodeName"):
            if "deletionTimestamp" not in item["metadata"]:
                self._schedule(item)
        elif machine is not None and names.LABEL_IMAGE_CHECK in item["metadata"]["labels"]:
            self._sync_probe(machine, item)
        elif machine is not None:
            self._sync(machine, item, pod)

    def _machine_of(self, uid: str, item: dict[str, Any] | None) -> Machine | None:
        name = item["spec"].get("nodeName") if item is not None else ""
        return next((one for one in self.machines if one.name == name or uid in one.pods), None)

    def _schedule(self, item: dict[str, Any]) -> None:
        free = [one for one in self.machines if not one.cut] or self.machines
        chosen = min(free, key=lambda one: (len(one.pods), self._random.random()))
        meta = item["metadata"]
        self._kube.bind_pod(meta["namespace"], meta["name"], chosen.name)

    def _sync(self, machine: Machine, item: dict[str, Any], pod: NodePod | None) -> None:
        meta, doomed = item["metadata"], "deletionTimestamp" in item["metadata"]
        final = item["status"].get("phase") in _FINAL
        if pod is None:
            if final or doomed:
                self._finish(machine, item, None)
            else:
                self._start(machine, item)
            return
        if doomed or pod.stopping:
            self._stop(pod, float(meta.get("deletionGracePeriodSeconds", 0)))
        if not pod.agent_lives and not pod.runner_lives and pod.stopping:
            self._finish(machine, item, pod)
        elif not pod.stopping:
            self._restart(machine, item, pod)

    def _sync_probe(self, machine: Machine, item: dict[str, Any]) -> None:
        """A pod that has its image pulled, runs and ends: seen waiting first."""
        meta, container = item["metadata"], item["spec"]["containers"][0]
        if "deletionTimestamp" in meta:
            self._kube.end_pod(meta["namespace"], meta["name"])
        elif not item["status"].get("containerStatuses"):
            self._write(item, phase="Pending", containerStatuses=[_container(container["name"], -1, False)])
        elif item["status"].get("phase") not in _FINAL:
            ended = {"name": container["name"], "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}
            pulled = self._pull(machine, container)
            self._write(item, phase="Succeeded", containerStatuses=[{**ended, "imageID": pulled}])

    def _pull(self, machine: Machine, container: dict[str, Any]) -> str:
        """What a container gets that starts now."""
        image = container["image"]
        if container["imagePullPolicy"] == "Always":
            machine.images[image] = self.digest_of(image)
        return machine.images.setdefault(image, self.digest_of(image))

    def _start_container(self, machine: Machine, item: dict[str, Any], pod: NodePod, container: TaskContainer) -> None:
        made = next(one for one in item["spec"]["containers"] if one["name"] == container.name)
        self._pulled[pod.uid, container.name] = self._pull(machine, made)
        container.start()

    def _start(self, machine: Machine, item: dict[str, Any]) -> None:
        uid = item["metadata"]["uid"]
        pod = self._make(item, lambda: self._soon(uid))
        pod.knows_restart_rule = machine is not self.machines[-1]
        machine.pods[uid] = pod
        pod.start_agent()
        self._tell(item, pod)

        def main() -> None:
            if not pod.stopping:
                for container in pod.containers:
                    if container.restarts < 0:
                        self._start_container(machine, item, pod, container)
                self._soon(uid)

        self._process.call_later(self._random.uniform(0.1, 0.6), main)

    def _restart(self, machine: Machine, item: dict[str, Any], pod: NodePod) -> None:
        """Containers that have died start again after a while; then the status says how they stand."""
        uid = pod.uid

        def again() -> None:
            if pod.stopping:
                return
            if not pod.agent_lives:
                pod.start_agent()
            for container in pod.containers:
                if container.is_down:
                    self._start_container(machine, item, pod, container)
            self._soon(uid)

        if not pod.agent_lives or any(one.is_down for one in pod.containers):
            self._process.call_later(self._random.uniform(0.3, 2.0), again)
        self._tell(item, pod)

    def _stop(self, pod: NodePod, grace: float) -> None:
        """SIGTERM to the containers of tasks, then to the agent, then SIGKILL when the grace is over."""
        now = self._process.time()
        end = min(self._stops.get(pod.uid, now + grace), now + grace)
        self._stops[pod.uid] = end
        self._process.call_at(end, self._kill, pod)
        if pod.stopping:
            return
        pod.stopping = True
        for one in pod.containers:
            if one.runner is not None and one.lives:
                one.runner.process.call_soon(one.runner.stop)
        self._await_runner(pod)

    def _await_runner(self, pod: NodePod) -> None:
        """Runners leave once everything is acknowledged, or in time before the end; then the agent is told to stop."""
        left = self._process.time() >= self._stops[pod.uid] - STOP_RESERVE
        for one in pod.containers:
            if (
                one.runner is not None
                and one.lives
                and (left or (one.runner.is_quiet and not one.runner.process.paused))
            ):
                one.kill()
        if pod.runner_lives:
            self._process.call_later(0.2, self._await_runner, pod)
        else:
            pod.stop_agent()

    def _kill(self, pod: NodePod) -> None:
        if self._process.time() >= self._stops[pod.uid]:
            pod.kill_runners()
            pod.kill_agent()
            self._soon(pod.uid)

    def _finish(self, machine: Machine, item: dict[str, Any], pod: NodePod | None) -> None:
        """Write that everything is dead; then let a deleted pod's object go."""
        meta = item["metadata"]
        machine.pods.pop(meta["uid"], None)
        try:
            if item["status"].get("phase") not in _FINAL or pod is not None:
                self._tell_dead(item, pod)
            if "deletionTimestamp" in meta:
                self._kube.end_pod(meta["namespace"], meta["name"])
        except KubeError:
            return  # gone meanwhile

    def _tell(self, item: dict[str, Any], pod: NodePod) -> None:
        self._write(
            item,
            phase="Running" if pod.runner_lives else item["status"].get("phase", "Pending"),
            podIP="10.0.0.1",
            initContainerStatuses=[
                {
                    "name": names.INSTALL_CONTAINER,
                    "restartCount": pod.restarts,
                    "state": {"terminated": {"exitCode": 0}},
                },
                _container(names.AGENT_CONTAINER, pod.agent_restarts, pod.agent_lives),
            ],
            containerStatuses=[
                {**_container(one.name, one.restarts, one.lives), **self._image_of(pod, one)} for one in pod.containers
            ],
        )

    def _image_of(self, pod: NodePod, container: TaskContainer) -> dict[str, str]:
        place = (pod.uid, container.name)
        return {"imageID": self._pulled[place]} if self._moves and place in self._pulled else {}

    def _tell_dead(self, item: dict[str, Any], pod: NodePod | None) -> None:
        restarts = {one.name: one.restarts for one in pod.containers} if pod is not None else {}
        there = [one["name"] for one in item["spec"]["containers"]]
        agent = {"name": names.AGENT_CONTAINER, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}
        self._write(
            item,
            phase="Failed",
            initContainerStatuses=[agent],
            containerStatuses=[_container(name, restarts.get(name, -1), False) for name in there],
        )

    def _write(self, item: dict[str, Any], **status: Any) -> None:
        meta = item["metadata"]
        held = self._kube.object(PODS, meta["namespace"], meta["name"])
        if held is not None and held["metadata"]["uid"] == meta["uid"]:
            self._kube.set_status(PODS, meta["namespace"], meta["name"], **status)


def _container(name: str, restarts: int, lives: bool) -> dict[str, Any]:
    """A container's status; restarts -1: it has never been started."""
    if restarts < 0:
        return {"name": name, "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}
    state: dict[str, Any] = {"running": {}} if lives else {"terminated": {"exitCode": 137}}
    return {"name": name, "restartCount": restarts, "state": state}
