"""Application packages in histories: planted bugs are found, and without them the very same histories hold."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from tests.simulation.planting import all_hold, found

from batchpools.agent import node
from batchpools.api.states import NodeState
from batchpools.core.packages import plan
from batchpools.testing.simulation.history import PACKAGED_EVERY, script_of
from batchpools.testing.simulation.package_acts import PACKAGE_ACTS

KINDS = ("crash-operator", "kill-agent", "delete-pod", "ask-node", "break-downloads", "change-package", "lose-package")
SCRIPTS = [replace(script_of(seed, KINDS), has_packages=True) for seed in range(1, 7)]


def _waits_for_nothing() -> Any:
    async def at_once(*_: Any) -> None:
        return

    return patch.object(node, "in_place", at_once)


def _believes_nodes_that_have_not_come_up() -> Any:
    return patch.object(plan, "_HAS_ALL", set(NodeState))


@pytest.mark.parametrize(
    ("bug", "words"),
    [
        (_waits_for_nothing, "would run something without"),
        (_believes_nodes_that_have_not_come_up, "no node has had it"),
    ],
)
def test_a_planted_bug_is_found(bug: Any, words: str) -> None:
    assert words in found(bug, SCRIPTS)


def test_with_the_real_one_the_very_same_histories_hold() -> None:
    all_hold(SCRIPTS, "break-downloads", "change-package", "lose-package")


def test_every_act_of_packages_happens_and_other_histories_have_none() -> None:
    scripts = [script_of(seed) for seed in range(1, 1 + 6 * PACKAGED_EVERY, PACKAGED_EVERY)]
    assert all(script.has_packages for script in scripts)
    assert {act.kind for script in scripts for act in script.acts} >= set(PACKAGE_ACTS)
    assert not any(script_of(seed).has_packages for seed in range(2, 12))
    assert not set(PACKAGE_ACTS) & {act.kind for act in script_of(10).acts}
