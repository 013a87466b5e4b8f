"""Any history of a node: pods that come, die and are deleted, an operator that stops between two effects, late caches.

A small world plays API server, kubelet and ledger; `plan_node` decides. After every step what must never be is looked for,
and in the end, when nothing more goes wrong, the node must stand, and leave when it is told to.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.core.pools.situations import DEAD, NOW, READY, RUNNING, SETTINGS, node, pod, pool, waiting

from batchpools.core.ledger import Contact
from batchpools.core.plan import AddFinalizer, Create, Delete, DrainNode, Effect, ReleaseNode, RemoveFinalizer
from batchpools.core.pools.node_plan import NodeSituation, plan_node
from batchpools.core.views import PodView, PoolNodeView

CALM = 60  # steps without faults within which everything must have settled


@dataclass
class World:
    """What the API server holds. `lives`: pods that had a machine and whose containers nobody has ended yet.

    Of those, `confirmed` have ended their runs at an agent's word, `expired` at the runner's timer; `lost`: nobody hears
    of their machine, `taken`: somebody took our finalizer off, and the object went.
    """

    node: PoolNodeView | None = field(default_factory=node)
    pods: dict[str, PodView] = field(default_factory=dict)
    lives: set[str] = field(default_factory=set)
    drained: set[str] = field(default_factory=set)
    released: set[str] = field(default_factory=set)
    confirmed: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)  # named by a status: tasks are sent to no other pod (S1.2)
    highest: int = 0
    made: int = 0

    def is_quiet(self, uid: str) -> bool:
        """Whether no task runs in that pod."""
        never_sent_any = uid not in self.recorded
        return never_sent_any or uid not in self.lives or uid in self.confirmed or uid in self.expired

    def reconcile(self, stop_after: int = 99, *, status: bool = True) -> bool:
        """Carry out a plan, or its first effects only; False when there is nothing to do."""
        if self.node is None:
            return False
        present = self.pods.get(self.node.status.pod_name)
        uid = present.metadata.uid if present is not None else self.node.status.pod_uid
        situation = NodeSituation(
            node=self.node,
            pool=pool(),
            pod=present,
            settings=SETTINGS,
            other_pods=tuple(one for name, one in self.pods.items() if name != self.node.status.pod_name),
            report=READY if present is not None and uid in self.lives else None,
            drained=uid in self.drained and (uid not in self.lives or uid in self.confirmed or uid in self.expired),
            released=not uid or uid in self.released or uid in self.expired,
            contact=Contact.GIVEN_UP if uid in self.expired else Contact.IN_TOUCH,
        )
        plan = plan_node(situation, now=NOW + timedelta(minutes=5))
        for effect in plan.effects[:stop_after]:
            self.carry_out(effect)
        if status and stop_after >= len(plan.effects) and plan.status is not None and self.node is not None:
            assert plan.status.pod_generation >= self.highest, "a generation never goes back"
            if plan.status.pod_generation > self.highest:
                assert self.is_quiet(uid), "S4.1: the next number says that nothing runs in the former pod"
            self.highest = plan.status.pod_generation
            self.node = replace(self.node, status=plan.status)
            self.recorded.add(plan.status.pod_uid)
        return bool(plan.effects) or plan.status is not None

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case Create():
                assert self.node is not None
                assert effect.key.name == self.node.status.pod_name, "its number was persisted before"
                self.made += 1
                made = pod(effect.key.name, machine="", phase="Pending")
                named = replace(made, metadata=replace(made.metadata, uid=f"uid-{self.made}"))
                self.pods.setdefault(effect.key.name, named)
            case Delete():
                self.doom(effect.key.name)
            case DrainNode():
                self.drained.add(effect.pod_uid)
                if effect.pod_uid not in self.lost:
                    self.confirmed.add(effect.pod_uid)
            case ReleaseNode():
                assert self.is_quiet(effect.pod_uid), "S4.1: its containers are alive"
                self.released.add(effect.pod_uid)
            case RemoveFinalizer() if effect.key.kind == "Pod":
                self.let_go(effect.key.name)
            case RemoveFinalizer():
                assert not any(one.metadata.finalizers for one in self.pods.values()), "a node leaves no pod behind"
                self.node = None
            case AddFinalizer() | _:
                raise AssertionError(effect)

    def let_go(self, name: str) -> None:
        held = self.pods[name]
        uid = held.metadata.uid
        assert self.is_quiet(uid)
        assert uid in self.released, "its runs are accounted for first"
        assert held.metadata.deletion_timestamp is not None
        if uid in self.lost:  # the kubelet never ends its grace
            self.pods[name] = replace(held, metadata=replace(held.metadata, finalizers=()))
        else:
            del self.pods[name]

    def take(self, name: str) -> None:
        """Somebody takes our finalizer off and deletes the object by force; the containers go on, and nobody hears of them."""
        held = self.pods.pop(name, None)
        if held is not None:
            self.lost.add(held.metadata.uid)

    def lose(self, name: str) -> None:
        """Its machine goes; the control plane has it deleted."""
        held = self.pods.get(name)
        if held is not None and held.metadata.uid in self.lives:
            self.lost.add(held.metadata.uid)
            self.doom(name)

    def time_passes(self) -> None:
        """T and its margin, for all that nobody hears of: their runners end everything."""
        self.expired |= self.lost

    def doom(self, name: str) -> None:
        if (held := self.pods.get(name)) is not None:
            self.pods[name] = replace(held, metadata=replace(held.metadata, deletion_timestamp=NOW))

    def kubelet(self, name: str) -> None:
        """The next thing that happens to a pod on its machine."""
        held = self.pods.get(name)
        if held is None or held.metadata.uid in self.lost:
            return
        uid, doomed = held.metadata.uid, held.metadata.deletion_timestamp is not None
        if doomed and held.spec.node_name:
            self.lives.discard(uid)
            self.pods[name] = _like(held, pod(name, task=DEAD, phase="Failed"))
        elif not held.spec.node_name and not doomed:
            self.lives.add(uid)  # it starts before anybody hears of it
            self.pods[name] = _like(held, pod(name, task=waiting("PodInitializing"), phase="Pending"))
        elif held.status.phase == "Pending" and uid in self.lives:
            self.pods[name] = _like(held, pod(name, task=RUNNING))

    def evict(self, name: str) -> None:
        held = self.pods.get(name)
        if held is not None and held.spec.node_name and held.metadata.uid not in self.lost:
            self.lives.discard(held.metadata.uid)
            self.pods[name] = _like(held, pod(name, task=DEAD, phase="Failed"))

    def collect(self, name: str) -> None:
        """The garbage collector of pods: the phase alone, and the containers may well live."""
        held = self.pods.get(name)
        if held is not None and held.spec.node_name and held.status.phase in {"Pending", "Running"}:
            doomed = replace(held.metadata, deletion_timestamp=NOW)
            self.pods[name] = replace(held, metadata=doomed, status=replace(held.status, phase="Failed"))

    def leave(self) -> None:
        if self.node is not None:
            self.node = replace(self.node, metadata=replace(self.node.metadata, deletion_timestamp=NOW))

    @property
    def name(self) -> str:
        return self.node.status.pod_name if self.node is not None else ""


def _like(held: PodView, seen: PodView) -> PodView:
    return replace(seen, metadata=held.metadata)


STEPS: dict[str, Callable[[World], object]] = {
    "reconcile": lambda world: world.reconcile(),
    "stop before the first effect": lambda world: world.reconcile(0, status=False),
    "stop after the first effect": lambda world: world.reconcile(1, status=False),
    "kubelet": lambda world: world.kubelet(world.name),
    "pod deleted": lambda world: world.doom(world.name),
    "pod evicted": lambda world: world.evict(world.name),
    "pod taken": lambda world: world.take(world.name),
    "machine lost": lambda world: world.lose(world.name),
    "time passes": lambda world: world.time_passes(),
}

# Long enough to get anywhere: a pod that dies while it starts takes five steps in one order.
HISTORIES = st.lists(st.sampled_from(["reconcile", *STEPS]), min_size=10, max_size=40)


def settle(world: World) -> int:
    """Let kubelet and operator do what they have to do; the steps it took."""
    for step in range(CALM):
        for name in list(world.pods):
            world.kubelet(name)
        world.time_passes()
        if not world.reconcile():
            return step
    raise AssertionError("it never comes to rest")


@settings(max_examples=250)
@given(HISTORIES)
def test_whatever_happened_a_node_comes_to_stand_and_then_costs_nothing(history: list[str]) -> None:
    world = World()
    for step in history:
        STEPS[step](world)
    settle(world)
    assert world.node is not None
    assert [name for name, one in world.pods.items() if one.metadata.finalizers] == [world.name]
    assert world.node.status.state == "Idle"
    assert world.node.status.pod_uid == world.pods[world.name].metadata.uid
    assert not world.reconcile(), "applied once more it is empty"


@settings(max_examples=250)
@given(HISTORIES, HISTORIES)
def test_whenever_it_is_deleted_a_node_goes_and_leaves_no_pod(before: list[str], after: list[str]) -> None:
    world = World()
    for step in before:
        STEPS[step](world)
    world.leave()
    for step in after:
        STEPS[step](world)
    settle(world)
    assert world.node is None
    assert not any(one.metadata.finalizers for one in world.pods.values())


@given(HISTORIES, st.booleans())
def test_a_pod_whose_machine_was_lost_is_never_taken_for_dead(history: list[str], leaving: bool) -> None:
    world = World()
    settle(world)
    name, uid = world.name, world.pods[world.name].metadata.uid
    world.collect(name)
    if leaving:
        world.leave()
    for step in history:
        if step not in {"kubelet", "pod evicted", "pod taken", "time passes"}:  # nobody hears of that machine
            STEPS[step](world)
    assert name in world.pods
    assert uid not in world.released
