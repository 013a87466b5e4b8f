"""Faults in a fixed order, each under a load of its own; at the end everything is checked once more, together, and told."""

from collections import Counter
from collections.abc import Iterator

import pytest

from e2e.cluster import choose
from e2e.cluster.local import LocalCluster
from e2e.faults.injection import FAULTS, Inject, out_of_memory
from e2e.faults.scene import Scene

TASKS = 450  # a fault


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A cluster of its own, gone at the end with everything in it."""
    if not isinstance(choose.choose(), LocalCluster):
        pytest.skip("only the local cluster's processes, networks and control plane are ours to break")
    scene = Scene()
    try:
        scene.begin()
        yield scene
    finally:
        scene.end()
    assert scene.cluster.leftovers() == []


@pytest.mark.parametrize("inject", FAULTS, ids=lambda inject: inject.__name__)
def test_no_task_is_lost_run_twice_or_changed_by(inject: Inject, scene: Scene) -> None:
    wave = scene.start_wave(inject.__name__.replace("_", "-"), TASKS, hogs=2 if inject is out_of_memory else 0)
    wave.faults = inject(scene)
    scene.finish_wave(wave)
    found = scene.violations(wave)
    assert not found, "\n".join(found)


def test_the_whole_history_keeps_every_promise(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """The ends of the first waves have outlived all faults after them."""
    found = [one for wave in scene.waves for one in scene.violations(wave)]
    injected = Counter(fault.kind for wave in scene.waves for fault in wave.faults)
    tasks = sum(len(wave.expected) for wave in scene.waves)
    with capsys.disabled():
        print("\n\nfaults injected:")
        print("\n".join(f"  {number} x {kind}" for kind, number in injected.items()))
        print(f"tasks checked: {tasks}, violations: {len(found)}")
    assert not found, "\n".join(found)
    assert len(scene.waves) == len(FAULTS)
    assert tasks >= 5000
