"""How often something may be done: a bucket of tokens, by default 20 a second (the counters of safety rule S5.4)."""

import asyncio
from collections.abc import Awaitable, Callable

from batchpools.telemetry.clock import Clock


class Bucket:
    """Tokens that come back at `rate` a second, at most `burst` of them."""

    def __init__(
        self,
        clock: Clock,
        rate: float = 20.0,
        burst: float = 20.0,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._pause = pause
        self._tokens = burst
        self._at = clock.monotonic()

    async def take(self) -> None:
        """Wait for a token."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1
        self._at = now
        if self._tokens < 0:
            await self._pause(-self._tokens / self._rate)
