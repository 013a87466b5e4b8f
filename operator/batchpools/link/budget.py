"""How much one node may say: messages and bytes, refilled with time (safety rule S9.1). It reads no clock.

The figures are above what a node can mean. A task costs a node two messages of at most 400 bytes, a ping comes each second, and a
hub spends 275 us of CPU on each task (`python -m e2e.bench.link`): 3,600 tasks, 7,200 messages a second are all that it can serve,
with 256 slots of /bin/true or with any. The API server, which has to take each result, allows some hundreds. The stores are for
what comes at once after an election: results that nobody acknowledged, and the ids of ten minutes (262,144 of 70 bytes are 18 MiB
and weigh 4,096 messages). Pieces of files that were asked for do not count.
"""

MESSAGES_A_SECOND = 8_000.0
MESSAGES_AT_ONCE = 40_000.0
BYTES_A_SECOND = float(4 << 20)
BYTES_AT_ONCE = float(48 << 20)
IDS_A_MESSAGE = 64  # so many ids of an inventory cost as much as a message


class Budget:
    """Two token buckets, refilled at the same rates whatever they hold. Times are monotonic seconds; it begins full."""

    def __init__(self, now: float, messages: float = MESSAGES_AT_ONCE, size: float = BYTES_AT_ONCE) -> None:
        self._most = (messages, size)
        self._left = (messages, size)
        self._at = now

    def spend(self, messages: float, size: int, now: float) -> bool:
        """Take it; False when there is not so much. What was too much is owed: who goes on gets nothing back."""
        self._refill(now)
        self._left = (
            max(self._left[0] - messages, -self._most[0]),
            max(self._left[1] - size, -self._most[1]),
        )
        return min(self._left) >= 0

    def refund(self, size: int) -> None:
        """These bytes had been asked for."""
        self._left = (self._left[0], min(self._left[1] + size, self._most[1]))

    def wait(self, now: float) -> float:
        """Seconds until it is half full again when something is owed, else 0."""
        self._refill(now)
        if min(self._left) >= 0:
            return 0.0
        messages, size = (most / 2 - left for most, left in zip(self._most, self._left, strict=True))
        return max(messages / MESSAGES_A_SECOND, size / BYTES_A_SECOND)

    def is_full(self, now: float) -> bool:
        """Whether nothing of what was said matters any more."""
        self._refill(now)
        return self._left == self._most

    def _refill(self, now: float) -> None:
        passed = max(now - self._at, 0.0)
        self._at = now
        self._left = (
            min(self._left[0] + passed * MESSAGES_A_SECOND, self._most[0]),
            min(self._left[1] + passed * BYTES_A_SECOND, self._most[1]),
        )
