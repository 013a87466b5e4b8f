"""Job schedules in histories: planted bugs are found, and without them the very same histories hold."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from tests.simulation.planting import all_hold, found

from batchpools.core.schedules import plan
from batchpools.core.schedules.jobs import has_ended
from batchpools.testing.simulation.history import SCHEDULED_EVERY, script_of
from batchpools.testing.simulation.schedule_acts import SCHEDULE_ACTS

KINDS = ("crash-operator", "pause-operator", "slow-watch", "api-errors", "delete-scheduled-job", "suspend-schedule")
SCRIPTS = [replace(script_of(seed, KINDS), has_schedule=True) for seed in range(1, 10)]


def _forgets_what_was_made() -> Any:
    return patch.object(plan, "_with_what_was_made", lambda situation: situation.schedule.status)


def _takes_a_job_that_goes_for_gone() -> Any:
    def ended(job: Any) -> bool:
        return has_ended(job) or job.metadata.deletion_timestamp is not None

    return patch.object(plan, "has_ended", ended)


@pytest.mark.parametrize(
    ("bug", "words"),
    [
        (_forgets_what_was_made, "counts 0 jobs"),
        (_takes_a_job_that_goes_for_gone, "jobs of one schedule are active"),
    ],
)
def test_a_planted_bug_is_found(bug: Any, words: str) -> None:
    assert words in found(bug, SCRIPTS)


def test_with_the_real_one_the_very_same_histories_hold() -> None:
    all_hold(SCRIPTS, "delete-scheduled-job", "suspend-schedule")


def test_every_act_of_schedules_happens_and_other_histories_are_as_they_were() -> None:
    seeds = range(4, 4 + 6 * SCHEDULED_EVERY, SCHEDULED_EVERY)
    scripts = [script_of(seed) for seed in seeds]
    assert all(script.has_schedule for script in scripts)
    assert {act.kind for script in scripts for act in script.acts} >= set(SCHEDULE_ACTS)
    assert not any(script_of(seed).has_schedule for seed in (1, 2, 3, 5))
    assert not set(SCHEDULE_ACTS) & {act.kind for act in script_of(10).acts}
