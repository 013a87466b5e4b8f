"""Draws lines over time: with characters for a terminal, and as SVG. It decides how a chart looks, not what it shows."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]

_BLOCKS = " ▁▂▃▄▅▆▇█"
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")
_WIDTH, _HEIGHT, _LEFT, _BELOW, _ABOVE = 900, 360, 60, 40, 30


@dataclass(frozen=True, slots=True)
class Line:
    """A name, and values by seconds; a value holds until the next one."""

    name: str
    points: Points


def as_text(line: Line, width: int = 72, height: int = 8) -> str:
    """A chart of blocks with the highest value on the left: the highest value of each column's time is shown."""
    columns = _columns(line.points, width)
    top = max([1.0, *columns])
    rows = []
    for row in range(height - 1, -1, -1):
        filled = (round(8 * (value / top * height - row)) for value in columns)
        text = "".join(_BLOCKS[min(8, max(0, eighths))] for eighths in filled).rstrip()
        label = f"{top:g}" if row == height - 1 else "0" if row == 0 else ""
        rows.append(f"{label:>8} ┤{text}")
    end = _clock(line.points[-1][0] - line.points[0][0]) if line.points else ""
    return "\n".join([f"{'':>8}  {line.name}", *rows, f"{'':>8}  0s{end:>{max(width - 2, 1)}}"])


def as_svg(lines: Sequence[Line], title: str) -> str:
    """A document with one step line for each, on one scale, and a legend."""
    points = [point for line in lines for point in line.points]
    first, last = min((time for time, _ in points), default=0.0), max((time for time, _ in points), default=1.0)
    top = max([1.0, *(value for _, value in points)])
    across = (_WIDTH - _LEFT - 20) / max(last - first, 1e-9)
    up = (_HEIGHT - _BELOW - _ABOVE) / top
    floor = _HEIGHT - _BELOW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<path d="M{_LEFT} {_ABOVE}V{floor}H{_WIDTH - 20}" fill="none" stroke="#888"/>',
        *(
            f'<text x="{_LEFT - 6}" y="{floor - share * (floor - _ABOVE) + 4:.1f}" text-anchor="end">{top * share:g}</text>'
            for share in (0, 0.5, 1)
        ),
        f'<text x="{_LEFT}" y="{floor + 18}">0s</text>',
        f'<text x="{_WIDTH - 20}" y="{floor + 18}" text-anchor="end">{_clock(last - first)}</text>',
    ]
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = "".join(
            f"{'M' if at == 0 else 'H'}{_LEFT + (time - first) * across:.1f}"
            f"{' ' if at == 0 else 'V'}{floor - value * up:.1f}"
            for at, (time, value) in enumerate(line.points)
        )
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{_LEFT + 10 + 170 * number}" y="18" fill="{colour}">{html.escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _columns(points: Points, width: int) -> list[float]:
    """The highest value of each column's share of the time; a column without a point has the value that holds."""
    if not points:
        return []
    first, last = points[0][0], points[-1][0]
    share = max(last - first, 1e-9) / width
    found = [math.nan] * width
    for time, value in points:
        at = min(width - 1, int((time - first) / share))
        found[at] = value if math.isnan(found[at]) else max(found[at], value)
    holding = points[0][1]
    at = 0
    for column, value in enumerate(found):
        found[column] = holding if math.isnan(value) else value
        while at < len(points) and points[at][0] <= first + (column + 1) * share:
            holding = points[at][1]
            at += 1
    return found


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return "".join(f"{number}{unit}" for number, unit in ((hours, "h"), (minute, "m"), (second, "s")) if number) or "0s"
