"""A connection to a runner, as a test has it: what is said, and the notes that come of it."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

from tests.agent.runners import STUBBORN, Runner

from batchpools.agent.runner_client import RunnerClient, RunnerError


class Talk:
    """A connection and the notes that came of it."""

    def __init__(self, client: RunnerClient) -> None:
        self.client = client
        self._notes: asyncio.Queue[Any] = asyncio.Queue()
        self.reading = client.listen(self._notes.put_nowait)

    def run(self, one: str, argv: list[str], **fields: Any) -> None:
        plain = {"label": f"task-{one}", "dir": f"workitems/j/{one}", "argv": argv, "env": [], "killGrace": 5}
        self.client.tell("run", id=one, **{**plain, **fields})

    async def run_stubborn(self, one: str) -> None:
        """Have something run that ignores SIGTERM, and wait until it does."""
        self.run(one, STUBBORN)
        while await self.output(one) != b"ready\n":  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.01)

    async def output(self, one: str) -> bytes:
        """What a run has written so far."""
        try:
            return (await self.client.read(f"workitems/j/{one}/stdout.txt", 0, 100))[0]
        except RunnerError:  # not there yet
            return b""

    async def settle(self) -> None:
        """Wait until everything that was said before has been heard."""
        self.client.tell("kill", id="nobody", grace=5)
        while (await self.next("unknown"))["id"] != "nobody":
            pass

    async def next(self, op: str) -> Any:
        """The next note of a kind."""
        while (note := await self.any())["op"] != op:
            pass
        return note

    async def any(self) -> Any:
        """The next note."""
        return await self._notes.get()


class Open(Protocol):
    """Opens a connection; the agent vouches for the node for so many seconds, None = it does not."""

    def __call__(self, runner: Runner, vouch: float | None = 3600.0) -> Awaitable[Talk]: ...
