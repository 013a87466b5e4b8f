"""Decides which words of the WebSocket library reach the log: not those that a stranger could have it say without end."""

import logging
from typing import Any


class SocketLog(logging.LoggerAdapter[logging.Logger]):
    """What strangers send instead of frames is told by `Hub.refused`, once; the library would tell it each time."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("picows.hub"), {})

    def error(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """An error of ours, or a bad frame of theirs."""
        level = logging.DEBUG if str(msg).startswith("WS parser error") else logging.ERROR
        self.log(level, msg, *args, **kwargs)
