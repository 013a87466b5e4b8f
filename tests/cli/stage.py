"""A user's access to a fake cluster: objects, raw answers of the aggregated API, a clock that stands still, two outputs."""

import argparse
import asyncio
import io
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from batchpools.cli.__main__ import parse
from batchpools.cli.access import Access
from batchpools.kube.errors import KubeError, NotFoundError
from batchpools.testing import builders
from batchpools.testing.clock import FakeClock
from batchpools.testing.fake_kube import FakeKube

Raw = list[bytes | KubeError]


class FakeCluster(FakeKube):
    """FakeKube with the raw paths of a KubeClient: `answers` by path, piece by piece; `asked` is what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Raw] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sent: list[tuple[str, Any]] = []

    async def raw(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        return b"".join([piece async for piece in self.raw_lines(path, query)])

    async def post_raw(self, path: str, body: Any) -> bytes:
        self.sent.append((path, body))
        return await self.raw(path)

    async def raw_lines(self, path: str, query: Mapping[str, str] | None = None) -> AsyncGenerator[bytes, None]:
        self.asked.append((path, dict(query or {})))
        for piece in self.answers.get(path, [NotFoundError("404 page not found", 404)]):
            if isinstance(piece, KubeError):
                raise piece
            yield piece

    async def close(self) -> None:
        return


class Out(io.TextIOWrapper):
    """An output that takes bytes too, as stdout does; a terminal if so told."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="\n")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


class User:
    """One who types a command. `meanwhile` are the steps of a story: one happens at each pause of the command."""

    def __init__(self, *views: Any, terminal: bool = False) -> None:
        self.cluster = FakeCluster()
        self.clock = FakeClock()
        self.out = Out(terminal=terminal)
        self.aside = Out()
        self.meanwhile: list[Callable[[], object]] = []
        for view in views:
            self.put(view)

    def put(self, view: Any) -> None:
        self.cluster.seed(builders.manifest(view))

    async def types(self, *words: str) -> int:
        """Run a verb as the command line says; its exit code."""
        options: argparse.Namespace = parse(words)
        code: int = await options.run(self.access(show=options.show_kubectl), options)
        return code

    def access(self, *, show: bool = False) -> Access:
        return Access(self.cluster, builders.NAMESPACE, show, self.out, self.aside, self.clock, self._pause)

    @property
    def lines(self) -> list[str]:
        return self.out.text.splitlines()

    @property
    def notes(self) -> list[str]:
        return self.aside.text.splitlines()

    async def _pause(self, seconds: float) -> None:
        self.clock.advance(seconds)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        await asyncio.sleep(0)
