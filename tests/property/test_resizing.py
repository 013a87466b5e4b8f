"""Any row of resizes, stops, other options, deaths of nodes and ends of tasks, played against the pool's plan (`plan_pool`).

A small world carries out each plan, empties nodes as `emptied_by` says, and runs tasks in slots. At every step no more nodes stay
than are wanted, no task is lost, and none is killed whose end is to be awaited; once nothing happens any more, the pool comes to
exactly its targets. What late caches and changes of leader add to it, the simulator plays.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.core.pools.situations import NOW, node, pool

from batchpools.api import names
from batchpools.api.states import NodeDeallocationOption
from batchpools.core.plan import Annotate, CordonNodes, Create, Delete, Effect
from batchpools.core.pools.emptying import emptied_by, is_leaving, why_ended
from batchpools.core.pools.pool_plan import plan_pool
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.target import target_of
from batchpools.core.tasks.lifecycle import Why
from batchpools.core.views import PoolNodeView, PoolView, StopResize

SLOTS = 2
CALM = 40  # rounds without anything new, within which everything must have come to rest
TASKS = 12


@dataclass
class World:
    """runs: by name of the node, how many tasks run there. lost: killed by a death, killed: for the size of the pool."""

    pool: PoolView = field(default_factory=lambda: pool(2, task_slots_per_node=SLOTS))
    nodes: dict[str, PoolNodeView] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    cordoned: frozenset[str] = frozenset()
    waiting: int = TASKS
    done: int = 0
    ended: int = 0
    killed: int = 0
    made: int = 0
    seconds: int = 0
    keeps_data: bool = True

    # ---------------------------------------------------------------- the operator

    def reconcile(self) -> bool:
        """Carry out the pool's plan; whether there was anything to do."""
        plan = plan_pool(self.situation(), now=NOW + timedelta(seconds=self.seconds))
        awaits = why_ended(target_of(self.pool).option) is None
        for effect in plan.effects:
            assert not (awaits and isinstance(effect, Delete) and self.runs.get(effect.key.name)), "it is busy"
            self.carry_out(effect)
        if plan.status is not None:
            self.pool = replace(self.pool, status=plan.status)
        target = target_of(self.pool)
        for is_dedicated, wanted in ((True, target.dedicated), (False, target.low_priority)):
            staying = len(self.situation().staying_of(is_dedicated))
            assert staying == wanted, f"{staying} nodes stay, {wanted} are wanted (dedicated: {is_dedicated})"
        return bool(plan.effects) or plan.status is not None

    def situation(self) -> PoolSituation:
        nodes = tuple(self.nodes[name] for name in sorted(self.nodes))
        return PoolSituation(self.pool, nodes, used_slots=dict(self.runs), cordoned=self.cordoned)

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case Create(key=key):
                assert key.name not in self.nodes, "no name is given twice"
                self.made += 1
                made = node(self.made, state="Creating", is_dedicated=effect.manifest["spec"]["isDedicated"])
                meta = replace(made.metadata, name=key.name, uid=f"uid-{self.made}")
                self.nodes[key.name] = replace(made, metadata=meta)
            case Delete(key=key, uid=uid):
                assert self.nodes[key.name].metadata.uid == uid
                self.change(key.name, deletion_timestamp=NOW)
            case Annotate(key=key, name=names.ANNOTATION_LEAVING, value=value):
                self.change(key.name, annotations={names.ANNOTATION_LEAVING: value})
            case CordonNodes(pod_uids=pods):
                self.cordoned = pods
            case _:
                raise AssertionError(effect)

    def change(self, name: str, **meta: object) -> None:
        held = self.nodes[name]
        self.nodes[name] = replace(held, metadata=replace(held.metadata, **meta))

    def show(self, name: str, **status: object) -> None:
        held = self.nodes[name]
        self.nodes[name] = replace(held, status=replace(held.status, **status))

    # ---------------------------------------------------------------- nodes and tasks

    def nodes_go_on(self) -> None:
        """Each gets its machine, or is emptied by the option that holds now, and goes when nothing of it is waited for."""
        for name, held in sorted(self.nodes.items()):
            if not held.status.pod_uid and not is_leaving(held):
                self.show(name, state="Idle", pod_uid=f"pod-{held.metadata.uid}")
            option = emptied_by(held, self.pool)
            if option is None:
                continue
            self.empty(name, option)
            waits = option is NodeDeallocationOption.RETAINED_DATA and self.keeps_data
            if not self.runs.get(name) and not (waits and held.status.pod_uid):
                del self.nodes[name]

    def empty(self, name: str, option: NodeDeallocationOption) -> None:
        why, runs = why_ended(option), self.runs.get(name, 0)
        if why is None or not runs:
            return
        assert option in {NodeDeallocationOption.REQUEUE, NodeDeallocationOption.TERMINATE}
        self.killed += runs
        self.runs.pop(name)
        if why is Why.TERMINATED:
            self.ended += runs
        else:
            self.waiting += runs

    def dispatch(self) -> None:
        for name, held in sorted(self.nodes.items()):
            pod = held.status.pod_uid
            while self.waiting and pod and pod not in self.cordoned and not is_leaving(held):
                if self.runs.get(name, 0) >= SLOTS:
                    break
                self.runs[name] = self.runs.get(name, 0) + 1
                self.waiting -= 1

    def finish(self, number: int) -> None:
        busy = sorted(name for name, runs in self.runs.items() if runs)
        if busy:
            self.runs[busy[number % len(busy)]] -= 1
            self.done += 1

    def die(self, number: int) -> None:
        """A pod is lost: its tasks run again, and the node gets another pod under its name."""
        there = sorted(name for name, held in self.nodes.items() if held.status.pod_uid)
        if there:
            name = there[number % len(there)]
            self.waiting += self.runs.pop(name, 0)
            low = not self.nodes[name].spec.is_dedicated
            self.show(name, state="Preempted" if low else "Creating", pod_uid="")

    def break_down(self, number: int) -> None:
        there = sorted(name for name, held in self.nodes.items() if held.status.pod_uid)
        if there:
            self.show(there[number % len(there)], state="Unusable")

    # ---------------------------------------------------------------- the user

    def ask(self, **spec: object) -> None:
        meta = replace(self.pool.metadata, generation=self.pool.metadata.generation + 1)
        self.pool = replace(self.pool, metadata=meta, spec=replace(self.pool.spec, **spec))

    def check(self) -> None:
        running = sum(self.runs.values())
        assert self.waiting + running + self.done + self.ended == TASKS, "a task is lost, or there is one more"
        assert all(runs <= SLOTS for runs in self.runs.values())
        assert {name for name, runs in self.runs.items() if runs} <= set(self.nodes), "it runs on a node that is gone"


OPTIONS = list(NodeDeallocationOption)
ACTS: dict[str, Callable[[World, int], object]] = {
    "target": lambda world, n: world.ask(target_dedicated_nodes=n % 6),
    "low-priority target": lambda world, n: world.ask(target_low_priority_nodes=n % 4),
    "option": lambda world, n: world.ask(node_deallocation_option=OPTIONS[n % 4]),
    "stop": lambda world, n: world.ask(stop_resize=StopResize(request_id=str(n))),
    "die": World.die,
    "break down": World.break_down,
    "finish": World.finish,
    "dispatch": lambda world, _: world.dispatch(),
    "nodes": lambda world, _: world.nodes_go_on(),
    "reconcile": lambda world, _: world.reconcile(),
    "time": lambda world, n: setattr(world, "seconds", world.seconds + 100 * n),
}
STEP = st.tuples(st.sampled_from([*ACTS, "reconcile", "nodes", "dispatch"]), st.integers(0, 23))
STEPS = st.lists(STEP, min_size=10, max_size=40)  # long enough to get anywhere


def play(world: World, steps: list[tuple[str, int]]) -> None:
    """From a pool that is at work."""
    for act, number in [("reconcile", 0), ("nodes", 0), ("dispatch", 0), *steps]:
        ACTS[act](world, number)
        world.check()


def settle(world: World) -> None:
    """Nothing new happens: nodes come and go, tasks run and end."""
    world.keeps_data = False
    for _ in range(CALM):
        quiet = not world.reconcile()
        world.nodes_go_on()
        world.dispatch()
        for number in range(3):
            world.finish(number)
        world.check()
        leaving = any(is_leaving(held) for held in world.nodes.values())
        if quiet and not leaving and not any(world.runs.values()) and not (world.waiting and world.nodes):
            break
    else:
        raise AssertionError("it never comes to rest")


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_whatever_is_asked_for_no_task_is_lost_and_the_pool_comes_to_its_targets(steps: list[tuple[str, int]]) -> None:
    world = World()
    play(world, steps)
    settle(world)
    target = target_of(world.pool)
    sorts = [held.spec.is_dedicated for held in world.nodes.values()]
    assert (sorts.count(True), sorts.count(False)) == (target.dedicated, target.low_priority)
    assert world.pool.status.allocation_state == "Steady"
    assert not target.nodes or world.done + world.ended == TASKS


@settings(max_examples=80, deadline=None)
@given(
    STEPS,
    st.sampled_from([NodeDeallocationOption.TASK_COMPLETION, NodeDeallocationOption.RETAINED_DATA]),
)
def test_under_an_option_that_awaits_tasks_none_is_ever_killed(
    steps: list[tuple[str, int]], option: NodeDeallocationOption
) -> None:
    world = World()
    world.ask(node_deallocation_option=option)
    play(world, [step for step in steps if step[0] != "option"])
    settle(world)
    assert (world.killed, world.ended) == (0, 0)
