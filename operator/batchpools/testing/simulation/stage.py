"""Where acts are performed: a world, its users' pool, and the healing of everything."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from batchpools.kube.errors import KubeError
from batchpools.kube.port import Resource
from batchpools.kube.resources import POOL_NODES, POOLS
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation.loop import Process
from batchpools.testing.simulation.node_pod import NodePod
from batchpools.testing.simulation.operators import Operator
from batchpools.testing.simulation.workload import NAMESPACE, POOL, Size
from batchpools.testing.simulation.world import World


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens at a virtual second."""

    at: float
    kind: str
    target: int = 0
    seconds: float = 0.0
    flavour: int = 0


class Stage:
    """A world in which acts are performed. `count` says how often each kind really happened."""

    def __init__(self, world: World, size: Size) -> None:
        self.world = world
        self.size = size
        self.count: dict[str, int] = {}
        self.dedicated, self.low_priority = size.nodes, 0
        self.manager: Object | None = None  # of the job with inline tasks
        self.is_over = False  # users apply nothing any more
        self.is_calm = False  # and what they began with a schedule is not undone any more

    def note_act(self, act: Act, happened: bool) -> None:
        """Count an act that really happened."""
        if happened:
            self.count[act.kind] = self.count.get(act.kind, 0) + 1
            self.world.note(f"act {act.kind} {act.target} {act.seconds:.2f} {act.flavour}")

    def later(self, seconds: float, heal: Callable[[], None]) -> None:
        """Heal after a while."""
        self.world.server.call_later(seconds, heal)

    def operator(self, act: Act) -> Operator | None:
        """The leader (even target) or the other one, if it lives."""
        leader = self.world.leader()
        if leader is None:
            chosen = self.world.operators[act.target % len(self.world.operators)]
        elif act.target % 2 == 0:
            chosen = leader
        else:
            chosen = next(one for one in self.world.operators if one is not leader)
        return chosen if chosen.lives else None

    def pod(self, act: Act) -> NodePod | None:
        """One of the running pods."""
        pods = self.world.pods()
        return pods[act.target % len(pods)] if pods else None

    def found(self, resource: Resource, act: Act) -> Object | None:
        """One of the living objects of a kind that users see."""
        there = [
            one for one in self.world.kube.objects(resource, NAMESPACE) if "deletionTimestamp" not in one["metadata"]
        ]
        return there[act.target % len(there)] if there else None

    @property
    def target_nodes(self) -> int:
        """How many nodes the user wants."""
        return self.dedicated + self.low_priority

    def delete(self, resource: Resource, item: Object, grace: int | None = None) -> bool:
        """A user deletes one life of an object."""
        meta = item["metadata"]
        kube = self.world.kube
        ask(self, lambda: kube.delete(resource, meta["namespace"], meta["name"], uid=meta["uid"], grace_seconds=grace))
        return True

    def change_pool(self, **fields: Any) -> bool:
        """A user changes the pool's spec, if there is one; None takes a field away."""
        kube = self.world.kube
        if kube.object(POOLS, NAMESPACE, POOL) is None:
            return False
        operations: list[Object] = [
            {"op": "remove", "path": f"/spec/{name}"}
            if value is None
            else {"op": "add", "path": f"/spec/{name}", "value": value}
            for name, value in fields.items()
        ]
        ask(self, lambda: kube.patch(POOLS, NAMESPACE, POOL, operations))
        return True

    def calm(self) -> None:
        """Everything heals."""
        world = self.world
        self.is_calm = True
        for operator in world.operators:
            operator.weather.reset()
            operator.process.paused = False
            if not operator.lives:
                operator.start()
        for machine in world.kubelets.machines:
            world.kubelets.set_cut(machine, False)
        for pod in world.pods():
            for process in processes(pod):
                process.paused = False
            for way in world.link.ways_of(pod.uid):
                way.delay = min(way.delay, 0.01)
                way.cut(up=False, down=False)
        for item in world.kube.objects(POOL_NODES, NAMESPACE):
            if item["spec"].get("schedulingState") == "Disabled":
                set_scheduling(self, item["metadata"]["name"], "Enabled", "Requeue")
        world.note("calm")


def processes(pod: NodePod) -> list[Process]:
    """The living and the dead of a pod."""
    runners = [one.runner.process for one in pod.containers if one.runner is not None]
    return [*([pod.agent] if pod.agent is not None else []), *runners]


def ask(stage: Stage, call: Callable[[], object]) -> None:
    """A user's request; a refusal is the user's to see."""

    async def asking() -> None:
        try:
            await call()  # type: ignore[misc]
        except KubeError as error:
            stage.world.note(f"refused: {error.sentence}")

    stage.world.server.create_task(asking())


def set_scheduling(stage: Stage, name: str, state: str, option: str) -> None:
    """Enable or disable a node."""
    operations = [
        {"op": "add", "path": "/spec/schedulingState", "value": state},
        {"op": "add", "path": "/spec/schedulingDisableOption", "value": option},
    ]
    ask(stage, lambda: stage.world.kube.patch(POOL_NODES, NAMESPACE, name, operations))
