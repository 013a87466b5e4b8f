"""Structured logging: one JSON object a line, written by a thread of its own. Libraries that talk too much are turned down.

It decides how a line looks and that writing one never holds the event loop; what is worth a line others decide.
"""

import atexit
import json
import logging
import queue
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any, TextIO

from batchpools.core.identity import Key

_QUIET = {
    "kopf": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "picows": logging.WARNING,
    "asyncio": logging.WARNING,
}
_ROOM = 10_000  # lines that wait while stderr takes none
_BOUND = "bound"  # `name` and others may not be given as `extra` themselves: a record has attributes of these names

Logger = logging.LoggerAdapter[logging.Logger]


class JsonFormatter(logging.Formatter):
    """A record as a line of JSON; what `extra` brings and what is bound becomes fields."""

    _STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", _BOUND}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {key: value for key, value in vars(record).items() if key not in self._STANDARD}
        fields |= getattr(record, _BOUND, {})
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class _Adapter(Logger):
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the bound fields; what a call gives as `extra` stays."""
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), _BOUND: self.extra}}


def bound(logger: logging.Logger, **fields: str | int) -> Logger:
    """A logger whose lines carry these fields: kind, namespace, name, attempt, epoch."""
    return _Adapter(logger, fields)


def about(logger: logging.Logger, key: Key, **fields: str | int) -> Logger:
    """A logger whose lines name one object, and what else is known of it."""
    return bound(logger, **key._asdict(), **fields)


class _Waiting(QueueHandler):
    """Formats at once and leaves the writing to others. Lines that find no room are counted, and the count is said."""

    def __init__(self, lines: queue.Queue[Any]) -> None:
        super().__init__(lines)
        self._dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never wait."""
        try:
            if self._dropped:
                told = {"name": __name__, "levelname": "WARNING", "msg": f"{self._dropped} lines found no room"}
                self.queue.put_nowait(self.prepare(logging.makeLogRecord({**told, "created": record.created})))
                self._dropped = 0
            self.queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1


class Writer(QueueListener):
    """Writes lines until it is stopped, which may be said twice."""

    def stop(self) -> None:
        """Write what waits, then end."""
        if self._thread is not None:
            super().stop()


def configure(level: str, stream: TextIO | None = None) -> Writer:
    """Send all logs, from that level on, to stderr as JSON. What waits is written when the interpreter ends."""
    lines: queue.Queue[Any] = queue.Queue(_ROOM)
    handler = _Waiting(lines)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, at_least in _QUIET.items():
        logging.getLogger(name).setLevel(at_least)
    writer = Writer(lines, logging.StreamHandler(stream or sys.stderr))
    writer.start()
    atexit.register(writer.stop)
    return writer
