"""Job managers in histories: planted bugs are found, and without them the very same histories hold."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from tests.simulation.planting import all_hold, found

from batchpools.controllers.task.book import RunBook
from batchpools.core.jobs import plan
from batchpools.core.jobs.children import children_of
from batchpools.core.pools import resize
from batchpools.core.pools.order import in_order
from batchpools.testing.simulation.history import MANAGED_EVERY, script_of

KINDS = ("scale", "scale", "add-task", "crash-operator", "kill-container", "delete-pod", "recreate-job")
SCALE = ("scale", "scale", "add-task", "recreate-job")
SCALING = [replace(script_of(seed, SCALE), has_manager=True) for seed in range(11, 30) if seed % 10]
DELETING = [replace(script_of(seed, ("delete-task", "add-task")), has_manager=True) for seed in range(1, 10)]
SCRIPTS = [replace(script_of(seed, KINDS), has_manager=True) for seed in range(1, 14) if seed % 10]


def _managers_leave_like_others() -> Any:
    def without(nodes: Any, used: Any, first: Any = frozenset(), managing: Any = ()) -> Any:
        return in_order(nodes, used, first)

    return patch.object(resize, "in_order", without)


def _an_exclusive_one_takes_its_own_slots_alone() -> Any:
    def hold(self: RunBook, entry: Any, pod_uid: str) -> None:
        self.nodes.hold(pod_uid, entry.uid, entry.view.spec.required_slots)

    return patch.object(RunBook, "_hold", hold)


def _one_that_is_deleted_is_made_again() -> Any:
    return patch.object(plan, "_in_conflict", lambda situation: children_of(situation.job)[:1])


@pytest.mark.parametrize(
    ("bug", "words", "scripts"),
    [
        (_managers_leave_like_others, "leaves with its job manager while", SCALING),
        (_an_exclusive_one_takes_its_own_slots_alone, "slots are used on", SCRIPTS),
        (_one_that_is_deleted_is_made_again, "was made a second time", DELETING),
    ],
)
def test_a_planted_bug_is_found(bug: Any, words: str, scripts: Any) -> None:
    assert words in found(bug, scripts)


def test_with_the_real_one_the_very_same_histories_hold_and_managers_make_room_and_end_jobs() -> None:
    outcomes = all_hold(SCRIPTS)
    told = "\n".join(line for outcome in outcomes for line in outcome.log)
    assert " displaced " in told
    assert "TaskEnded" in told
    all_hold(DELETING)
    all_hold(SCALING)


def test_some_histories_have_a_manager_and_the_others_are_as_they_were() -> None:
    assert all(script_of(seed).has_manager for seed in range(MANAGED_EVERY, 8 * MANAGED_EVERY, MANAGED_EVERY))
    assert not any(script_of(seed).has_manager for seed in (1, 2, 3, 4, 5, 7))
