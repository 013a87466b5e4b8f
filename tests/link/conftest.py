"""A house for each test of the whole link."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.link.house import House
from tests.runner_build import runner_binary

__all__ = ["runner_binary"]


@pytest.fixture
async def house(runner_binary: Path) -> AsyncIterator[House]:
    made = House(runner_binary)
    yield made
    await made.clean()
