"""Which pings of a node may be answered: those that came before the API server confirmed that we lead (safety rule S3.2).

A pong extends the node's dead-man timer, so a leader that is cut off from the API server, or deposed, must not give one:
each ping waits for a renewal of the Lease that was *begun* after the ping had arrived. It sends nothing and reads no clock.
"""

from collections import deque

_KEPT = 64  # pings come every second, renewals every other: a node that sends more hurts itself alone


class Pings:
    """The pings of one session that no renewal covers yet, oldest first. Times of arrival are monotonic seconds."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    def arrived(self, sent_at: float, now: float) -> None:
        """A ping came."""
        self._waiting.append((now, sent_at))

    def covered(self, began: float) -> float | None:
        """`sent_at` of the newest ping that a renewal begun at that time covers; None when it covers no new one."""
        newest = None
        while self._waiting and self._waiting[0][0] < began:
            newest = self._waiting.popleft()[1]
        return newest
