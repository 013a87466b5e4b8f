"""The one parser and printer of durations as Kubernetes writes them (`15m`, `1h30m`, `1.5s`). Pure."""

import re

PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
MAX_LENGTH = 32

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_WHOLE = re.compile(PATTERN)
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `1h30m`; ValueError with the text when it is none."""
    if len(text) > MAX_LENGTH or not _WHOLE.match(text):
        raise ValueError(f"{text!r} is not a duration such as 30s, 15m or 1h30m")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))


def format_duration(seconds: float) -> str:
    """A duration as text, to the millisecond: `0.015s`, `12.5s`, `3600s`."""
    text = f"{max(seconds, 0.0):.3f}".rstrip("0").rstrip(".")
    return f"{text}s"
