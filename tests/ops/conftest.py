"""A stage whose server runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.ops.stage import PROXY, Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    made.publish(PROXY)
    await made.start()
    yield made
    await made.server.stop()
