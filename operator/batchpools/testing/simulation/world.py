"""A whole cluster in one process: API server, two replicas, machines, and what lies between them. It plays, and judges nothing.

Everything that is left to chance comes from the seed, so that a seed is a history; what is to happen comes from outside.
"""

import random as chance
from collections.abc import Mapping
from random import Random
from typing import Any

from batchpools.kube.resources import PODS
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation.downloads import Downloads
from batchpools.testing.simulation.kubelet import Kubelets
from batchpools.testing.simulation.link import Link
from batchpools.testing.simulation.loop import ProcessClock, Scheduler
from batchpools.testing.simulation.node_pod import NodePod
from batchpools.testing.simulation.operators import Operator
from batchpools.testing.simulation.runner import Processes

REPLICAS, MACHINES = 2, 3
_GARBAGE_EVERY = 4.0


class Parts:
    """What a world is made of; a planted bug replaces one of them."""

    operator: type[Operator] = Operator
    node_pod: type[NodePod] = NodePod
    kube: type[FakeKube] = FakeKube


class World:
    """`run(until)` lets virtual time pass."""

    def __init__(self, seed: int, parts: Parts | None = None, machines: int = MACHINES) -> None:
        parts = parts or Parts()
        self.random = Random()  # noqa: S311 (a played world)
        self.reseed(seed)
        self.scheduler = Scheduler()
        self.server = self.scheduler.process("api-server")
        self.clock = ProcessClock(self.scheduler)
        self.processes = Processes()
        self.downloads = Downloads()
        self.log: list[str] = []
        self.processes.log = self.note
        self._parts = parts
        with self.server.as_running():
            self.kube = parts.kube(self.clock)
            self.kube.answer_reviews("TokenReview", self._review)
            self.link = Link(self.random)
            self.kubelets = Kubelets(self.kube, self.server, self.random, machines, self._make_pod)
            self.operators = [
                parts.operator(self.scheduler, self.kube, self.server, self.link, number, self.random)
                for number in range(REPLICAS)
            ]
        self.on_acknowledged: list[Any] = []
        self.deleted_nodes: set[str] = set()  # names of nodes that users have deleted
        self.may_requeue_for: set[str] = set()  # reasons for which users have let tasks be killed
        self.server.call_later(_GARBAGE_EVERY, self._collect_garbage)

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self.scheduler.now

    def reseed(self, seed: int) -> None:
        """What is left to chance from now on is this seed's."""
        self.random.seed(seed)
        chance.seed(seed)  # jitter in the code under test

    def note(self, line: str) -> None:
        """A line of the history."""
        self.log.append(f"{self.now:9.4f} {line}")

    def run(self, until: float) -> None:
        """Let time pass."""
        self.scheduler.run(until)

    def dispose(self) -> None:
        """The history is over: nothing of it goes on."""
        self.scheduler.dispose()

    def leader(self) -> Operator | None:
        """Who leads, by the Lease; None when nobody of those who live does."""
        return next((one for one in self.operators if one.lives and one.replica.elector.epoch is not None), None)

    def pods(self) -> list[NodePod]:
        """Everything that runs on machines, oldest first."""
        return sorted((pod for _, pod in self.kubelets.pods()), key=lambda pod: pod.uid)

    # ---------------------------------------------------------------- inside

    def _make_pod(self, manifest: Object, on_change: Any) -> NodePod:
        pod = self._parts.node_pod(self.scheduler, manifest, self.link, self.processes, on_change, self.downloads)
        pod.on_acknowledged = self._acknowledged
        return pod

    def _acknowledged(self, execution: str) -> None:
        for listener in self.on_acknowledged:
            listener(execution)

    def _review(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """A token is the uid of a pod that the API server knows."""
        uid = manifest["spec"]["token"]
        for item in self.kube.objects(PODS):
            meta = item["metadata"]
            if meta["uid"] == uid:
                extra = {
                    "authentication.kubernetes.io/pod-name": [meta["name"]],
                    "authentication.kubernetes.io/pod-uid": [uid],
                }
                user = {"username": f"system:serviceaccount:{meta['namespace']}:default", "extra": extra}
                return {"authenticated": True, "user": user, "audiences": manifest["spec"]["audiences"]}
        return {"authenticated": False}

    def _collect_garbage(self) -> None:
        self.kube.collect_garbage()
        self.server.call_later(_GARBAGE_EVERY, self._collect_garbage)
