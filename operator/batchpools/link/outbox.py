"""Batches messages of one session: all that is said in one turn of the event loop leaves as few frames as possible."""

import asyncio
from collections.abc import Callable

from batchpools.link.framing import encode
from batchpools.link.messages import MAX_FRAME_BYTES, Message

_MESSAGES_PER_FRAME = 256


class Outbox:
    """`send` gets whole frames. `allowed` is asked at the moment of sending; what it denies goes to `denied` instead."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        allowed: Callable[[Message], bool] = lambda _: True,
        denied: Callable[[Message], None] = lambda _: None,
    ) -> None:
        self._send = send
        self._allowed = allowed
        self._denied = denied
        self._waiting: list[Message] = []

    def add(self, message: Message) -> None:
        """Send in this turn of the loop, in order."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(message)

    def flush(self) -> None:
        """Send now what waits."""
        waiting, self._waiting = self._waiting, []
        passed = []
        for message in waiting:
            if self._allowed(message):
                passed.append(message)
            else:
                self._denied(message)
        for first in range(0, len(passed), _MESSAGES_PER_FRAME):
            self._send_batch(passed[first : first + _MESSAGES_PER_FRAME])

    def _send_batch(self, batch: list[Message]) -> None:
        frame = encode(batch)
        if len(frame) <= MAX_FRAME_BYTES or len(batch) == 1:
            self._send(frame)
            return
        middle = len(batch) // 2
        self._send_batch(batch[:middle])
        self._send_batch(batch[middle:])
