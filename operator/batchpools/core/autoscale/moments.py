"""Reads the text of a moment as time() takes it: W3C date and time, or RFC 1123. Pure."""

import re
from datetime import UTC, datetime, timedelta, timezone

from batchpools.core.autoscale.errors import ValueFaultError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_W3C = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,7}))?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?",
    re.IGNORECASE,
)
_RFC_1123 = re.compile(
    r"(?:[a-z]{3}, )?([0-9]{1,2}) ([a-z]{3}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT", re.IGNORECASE
)


def parse_moment(text: str) -> datetime:
    """A moment in UTC; without a zone the text means UTC. ValueFaultError when it is no date."""
    try:
        if found := _W3C.fullmatch(text.strip()):
            year, month, day, hour, minute, second, fraction, zone = found.groups()
            moment = datetime(
                int(year),
                int(month or 1),
                int(day or 1),
                int(hour or 0),
                int(minute or 0),
                int(second or 0),
                int((fraction or "0").ljust(6, "0")[:6]),
                tzinfo=_zone(zone),
            )
            return moment.astimezone(UTC)
        if found := _RFC_1123.fullmatch(text.strip()):
            day, word, year, hour, minute, second = found.groups()
            month_number = _MONTHS.index(word.lower()) + 1
            clock = (int(hour), int(minute), int(second))
            return datetime(int(year), month_number, int(day), *clock, tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueFaultError(f"'{text[:40]}' is no date such as 2016-10-13T19:18:47Z or Thu, 13 Oct 2016 19:18:47 GMT")


def _zone(text: str | None) -> timezone:
    if not text or text.upper() == "Z":
        return UTC
    hours, _, minutes = text[1:].partition(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if text[0] == "-" else offset)
