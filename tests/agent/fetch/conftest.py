"""Servers to fetch from."""

from collections.abc import AsyncIterator

import pytest
from tests.agent.fetch.server import Server, serving


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(Server()) as one:
        yield one


@pytest.fixture
async def other() -> AsyncIterator[Server]:
    """Of another origin."""
    async with serving(Server()) as one:
        yield one
