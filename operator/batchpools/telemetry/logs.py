"""Structured logging: one JSON object a line. Libraries that talk too much are turned down."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_QUIET = {
    "kopf": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "picows": logging.WARNING,
    "asyncio": logging.WARNING,
}


class JsonFormatter(logging.Formatter):
    """A record as a line of JSON; what `extra` brings becomes fields."""

    _STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {key: value for key, value in vars(record).items() if key not in self._STANDARD}
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logs, from that level on, to stderr as JSON."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, at_least in _QUIET.items():
        logging.getLogger(name).setLevel(at_least)
