"""Keeps what a replica shows up to date while it runs: looks at its source again and again, and tells whoever shows it.

It decides how often it looks, and that trouble leaves everything as it was.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from batchpools.hub.ca_store import CertificateError
from batchpools.hub.shown import Shown, Source
from batchpools.kube.errors import KubeError

_log = logging.getLogger(__name__)
_MOST = 30.0  # seconds between two looks
_AT_START = 1.0


def looks_every(spread: float, life: float) -> float:
    """Seconds between two looks: a small part of what others wait for us (spread), and of a certificate's life."""
    return min(_MOST, spread / 4, life / 12)


class CertificateKeeper:
    """Calls `on_change` with what is to be shown: first by `start`, later whenever it changed."""

    def __init__(
        self,
        source: Source,
        every: float,
        on_change: Callable[[Shown], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._every = every
        self._on_change = on_change
        self._pause = pause
        self._trouble = ""
        self.shown: Shown | None = None

    @property
    def bundle(self) -> str:
        """The CAs that are to be trusted now, PEM; empty before the start."""
        return self.shown.bundle if self.shown is not None else ""

    async def start(self) -> None:
        """Return once there is something to show: without it nothing can be served."""
        while not await self.look():
            await self._pause(_AT_START)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self._pause(self._every)
            await self.look()

    async def look(self) -> bool:
        """Look once; whether it went well. A trouble is logged once."""
        try:
            shown = await self._source.look()
        except (CertificateError, KubeError) as trouble:
            if str(trouble) != self._trouble:
                self._trouble = str(trouble)
                _log.error("certificates stay as they are: %s", trouble)
            return False
        self._trouble = ""
        if shown != self.shown:
            self.shown = shown
            self._on_change(shown)
        return True
