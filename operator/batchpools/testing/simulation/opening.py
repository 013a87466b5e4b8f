"""How a history begins: with nothing, or with a cluster at rest, which many histories may share.

A warm opening depends on its `Opening` alone and on no seed: it is made once and played on from copies of the process, and is the
same when it is made anew. What is left to chance after it comes from the history's seed.
"""

from dataclasses import dataclass

from batchpools.testing.simulation import workload
from batchpools.testing.simulation.checks import Checker
from batchpools.testing.simulation.stage import Stage
from batchpools.testing.simulation.workload import Size
from batchpools.testing.simulation.world import Parts, World

_REST = 4.0  # virtual seconds in which a leader is elected and all nodes come up
_ANY_SEED = 1


@dataclass(frozen=True, slots=True)
class Opening:
    """What is there in the beginning: the pool as its user makes it. fill: nodeFillType; option: nodeDeallocationOption."""

    size: Size
    fill: str = "Spread"
    option: str = "Requeue"
    is_scaled: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """A history that goes on from here."""

    stage: Stage
    checker: Checker


def cold(opening: Opening, seed: int, parts: Parts | None = None) -> Begun:
    """Nothing has happened yet; the pool is applied at the first moment."""
    size = opening.size
    world = World(seed, parts, machines=max(3, size.nodes // 2))
    checker, stage = Checker(world), Stage(world, size)
    if opening.is_scaled:
        stage.dedicated = 1
    with world.server.as_running():
        pool = workload.pool(size, fill=opening.fill, option=opening.option, is_scaled=opening.is_scaled)
        world.kube.seed(pool)
    return Begun(stage, checker)


def warm(opening: Opening, parts: Parts | None = None) -> Begun:
    """A leader, a standby, and all nodes idle."""
    begun = cold(opening, _ANY_SEED, parts)
    begun.stage.world.run(_REST)
    return begun
