"""Aligned plain tables and bars, as kubectl prints them."""

from collections.abc import Sequence
from datetime import datetime

BAR = 24


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Lines of a table, its heading first; columns are two spaces apart."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def bar(done: int, failed: int, total: int) -> str:
    """`[#####!!....]` with failures as `!`."""
    if total == 0:
        return f"[{'.' * BAR}]"
    bad = round(BAR * failed / total) if failed else 0
    bad = max(bad, 1) if failed else 0
    good = max(0, BAR * done // total - bad)
    return f"[{'#' * good}{'!' * bad}{'.' * (BAR - good - bad)}]"


def age(since: datetime | None, now: datetime) -> str:
    """`45s`, `12m`, `3h`, `2d`."""
    if since is None:
        return ""
    seconds = int((now - since).total_seconds())
    for limit, unit, size in ((120, "s", 1), (7200, "m", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{max(seconds, 0) // size}{unit}"
    return f"{seconds // 86400}d"
