"""A history: one seed, drawn into acts, played in a world and judged. The same seed gives the same history, to the byte."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation import workload
from batchpools.testing.simulation.acts import ACTS, delete_everything, perform
from batchpools.testing.simulation.checks import Checker
from batchpools.testing.simulation.opening import Begun, Opening, cold, warm
from batchpools.testing.simulation.package_acts import PACKAGE_ACTS, calm_packages, refer
from batchpools.testing.simulation.pool_acts import calm_pool
from batchpools.testing.simulation.schedule_acts import SCHEDULE_ACTS, calm_schedule
from batchpools.testing.simulation.stage import Act, Stage
from batchpools.testing.simulation.workload import LARGE, SMALL, Size
from batchpools.testing.simulation.world import Parts, World

STALL = 60.0  # virtual seconds without any event after which what has not come to its end never will
LONGEST = 600.0
LARGE_EVERY = 10
SCALED_EVERY = 7
COLD_EVERY = 5
SCHEDULED_EVERY = 9
FURTHER_EVERY = 8
MANAGED_EVERY = 6
PACKAGED_EVERY = 11

# How likely each kind of act is, beside 1.
_OFTEN = {
    "crash-operator": 2.0, "pause-operator": 2.0, "stop-operator": 0.7, "delete-lease": 0.4, "delete-barrier": 0.2,
    "bookmarks": 0.3, "end-watches": 0.7, "cut-machine": 1.5, "cut-link": 2.0, "kill-container": 1.5, "recreate-job": 0.4,
    "scale": 0.5, "delete-node": 0.7, "change-template": 0.6, "change-option": 0.6, "stop-resize": 0.3,
    "scale-low-priority": 0.6, "preempt": 1.5, "slow-watch": 1.5, "add-task": 2.0, "recreate-task": 1.5,
    "switch-autoscale": 0.3, "move-tag": 0.6, "allow-elevated": 0.5, "lose-probe": 0.2, "terminate-schedule": 0.3,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Script:
    """What is to happen: the seed of everything left to chance, the size, and the acts in order, in seconds from its opening on."""

    seed: int
    size: Size
    acts: tuple[Act, ...]
    option: str = "Requeue"  # nodeDeallocationOption in the beginning
    is_warm: bool = False  # it begins with a cluster at rest
    has_schedule: bool = False  # besides a job schedule
    has_manager: bool = False  # the job with inline tasks has a manager
    has_packages: bool = False  # and the pool is given an application package

    @property
    def opening(self) -> Opening:
        """How it begins."""
        fill = ("Spread", "Pack")[self.seed // LARGE_EVERY % 2]
        return Opening(self.size, fill, self.option, self.seed % SCALED_EVERY == 2)


@dataclass(slots=True)
class Outcome:
    """How a history went. log: its lines; digest: of the log; acts: how often each kind happened."""

    script: Script
    violations: list[str]
    digest: str
    log: list[str]
    acts: dict[str, int] = field(default_factory=dict)
    tasks: int = 0
    runs: int = 0
    seconds: float = 0.0  # virtual
    events: int = 0


def script_of(seed: int, kinds: Collection[str] = ACTS) -> Script:
    """Draw a script of these kinds of acts; every tenth is ten times larger, in every eighth nodes have two containers.

    One of all kinds may have a schedule, and its acts, a job manager, or application packages, and their acts.
    """
    size = LARGE if seed % LARGE_EVERY == 0 else SMALL
    if seed % FURTHER_EVERY == 5:
        size = replace(size, further=True)
    has_schedule = kinds is ACTS and seed % SCHEDULED_EVERY == 4
    acts = _draw(Random(f"script {seed}"), kinds, size, size.acts)  # noqa: S311 (a played world)
    if has_schedule:
        acts += _draw(Random(f"schedule {seed}"), SCHEDULE_ACTS, size, size.acts // 4)  # noqa: S311
    has_packages = kinds is ACTS and seed % PACKAGED_EVERY == 1
    if has_packages:
        acts += _draw(Random(f"packages {seed}"), PACKAGE_ACTS, size, size.acts // 3)  # noqa: S311
    option = "TaskCompletion" if seed % 3 == 0 else "Requeue"
    is_warm = seed % COLD_EVERY != 3
    in_order = tuple(sorted(acts, key=lambda act: act.at))
    has_manager = kinds is ACTS and seed % MANAGED_EVERY == 0
    return Script(seed, size, in_order, option, is_warm, has_schedule, has_manager, has_packages)


def _draw(random: Random, kinds: Collection[str], size: Size, number: int) -> list[Act]:
    kinds = sorted(kinds)
    weights = [_OFTEN.get(kind, 1.0) for kind in kinds]
    return [
        Act(
            at=round(random.uniform(0.5, size.seconds), 3),
            kind=random.choices(kinds, weights)[0],
            target=random.randrange(64),
            seconds=round(random.choice([0.3, 1.0, 3.0, 6.0, 12.0, 25.0, 40.0]) * random.uniform(0.5, 1.0), 3),
            flavour=random.randrange(8),
        )
        for _ in range(number)
    ]


def play(script: Script, parts: Parts | None = None) -> Outcome:
    """Play it from its opening to its end."""
    opening = script.opening
    return play_on(warm(opening, parts) if script.is_warm else cold(opening, script.seed, parts), script)


def play_on(begun: Begun, script: Script) -> Outcome:
    """Play it to its end from its opening, of which nothing is left then."""
    try:
        return _play_on(begun.stage, begun.checker, script)
    finally:
        begun.stage.world.dispose()


def _play_on(stage: Stage, checker: Checker, script: Script) -> Outcome:
    world = stage.world
    began = world.now
    world.reseed(script.seed)
    with world.server.as_running():
        _apply(stage, Random(f"workload {script.seed}"), script)  # noqa: S311 (a played world)
        for act in script.acts:
            world.server.call_at(began + act.at, perform, stage, act)
    world.run(began + script.size.seconds + 1.0)
    stage.calm()
    with world.server.as_running():
        calm_pool(stage)
        calm_schedule(stage)
        if script.has_packages:
            calm_packages(stage)
    _settle(world, checker, lambda: checker.unsettled(stage.target_nodes), "nothing happens any more")
    if not checker.violations:
        with world.server.as_running():
            delete_everything(stage)
        _settle(world, checker, checker.left_over, "something is left")
    checker.finish()
    digest = hashlib.sha256("\n".join(world.log).encode()).hexdigest()
    return Outcome(
        script, checker.violations, digest, world.log, stage.count, checker.tasks,
        len(world.processes.started), world.now - began, len(world.log),
    )  # fmt: skip


def _apply(stage: Stage, random: Random, script: Script) -> None:
    """What users apply in the beginning and, one by one, later."""
    kube, size = stage.world.kube, script.size
    if script.has_manager:
        stage.manager = workload.manager(Random(f"manager {script.seed}"))  # noqa: S311 (a played world)
    for manifest in (workload.inline_job(size, random, stage.manager), workload.loose_job(random)):
        kube.seed(manifest)
    if script.has_schedule:
        kube.seed(workload.schedule(Random(f"schedule {script.seed}")))  # noqa: S311 (a played world)
    if script.has_packages:
        kube.seed(workload.package(0))
        refer(stage)
    for number in range(size.tasks - size.tasks // 2):
        task = workload.loose_task(number, size, random)
        at = random.choice([0.0, random.uniform(0.0, size.seconds)])
        stage.later(at, partial(_seed, kube, task))


def _seed(kube: FakeKube, manifest: Object) -> None:
    kube.seed(manifest)


def _settle(world: World, checker: Checker, trouble: Callable[[], str], what: str) -> None:
    """Let time pass until there is no trouble any more; none of it may last without anything happening, nor for ever."""
    last, seen = world.now, len(world.log)
    end = world.now + LONGEST
    while not checker.violations:
        said = trouble()
        if not said:
            return
        if len(world.log) > seen:
            last, seen = world.now, len(world.log)
        if world.now >= last + STALL or world.now >= end:
            checker.says(f"{what}: {said}")
            return
        world.run(world.now + 0.5)
