"""A house for each test of the whole link."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from random import SystemRandom

import pytest
from tests.link.house import House
from tests.runner_build import runner_binary

__all__ = ["runner_binary"]


@pytest.fixture
async def house(runner_binary: Path) -> AsyncIterator[House]:
    made = House(runner_binary)
    yield made
    await made.clean()


@pytest.fixture
def fuzz_seed() -> int:
    """Fresh each time, printed by who uses it; BATCHPOOLS_FUZZ_SEED has one run again."""
    return int(os.environ.get("BATCHPOOLS_FUZZ_SEED", "") or SystemRandom().randrange(1 << 32))
