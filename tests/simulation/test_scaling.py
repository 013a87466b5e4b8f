"""Autoscaled pools in histories: the checker finds a preset that kills, and one that goes beyond its bounds; the real one holds."""

from unittest.mock import patch

import pytest
from tests.simulation.planting import all_hold

from batchpools.core.autoscale import preset
from batchpools.testing.simulation.history import SCALED_EVERY, play, script_of

KINDS = ("delete-node", "scale", "add-task", "crash-operator", "step-clock", "change-template")
SCRIPTS = [script_of(SCALED_EVERY * number + 2, KINDS) for number in range(12)]
KILLS = preset._TEMPLATE.replace("taskcompletion", "requeue")
GROWS = preset._TEMPLATE.replace("min({most}, ", "min({most} + 1, 1 + ")


@pytest.mark.parametrize(
    ("template", "words"), [(KILLS, "was killed with its node"), (GROWS, "the pool was never allowed more than")]
)
def test_a_preset_that_is_wrong_is_found(template: str, words: str) -> None:
    with patch.object(preset, "_TEMPLATE", template):
        assert any(words in violation for script in SCRIPTS for violation in play(script).violations[:1])


def test_with_the_real_one_the_very_same_histories_hold_and_the_pool_was_resized() -> None:
    all_hold(SCRIPTS, "scale", "delete-node")
