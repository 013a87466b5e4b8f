"""Reads a table of samples: CSV with a column `time` and one for each variable. Says what is wrong with it, and in which line."""

import csv
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from batchpools.cli.access import CliError
from batchpools.core.autoscale.errors import ValueFaultError
from batchpools.core.autoscale.moments import parse_moment
from batchpools.core.autoscale.simulation import Row, moment_of
from batchpools.core.autoscale.vocabulary import SAMPLED

MAX_ROWS = 1_000_000


def read_table(path: Path) -> list[Row]:
    """The rows in the order of time. time: seconds from the beginning, or ISO 8601; an empty cell is a missing sample."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CliError(f"the samples cannot be read: {error}") from None
    if not lines or len(lines) > MAX_ROWS:
        raise CliError(f"{path} has {len(lines)} lines; a header and 1 to {MAX_ROWS} rows are expected")
    columns = _columns(lines[0])
    rows = [_row(number, columns, line) for number, line in enumerate(lines[1:], start=2) if any(line)]
    return sorted(rows, key=lambda row: row.at)


def _columns(header: Sequence[str]) -> list[str]:
    """`time`, and variables in their canonical spelling; the dollar sign may be left out."""
    found = []
    for cell in header:
        name = cell.strip().lower()
        if name == "time":
            found.append(name)
            continue
        variable = SAMPLED.get(f"${name.removeprefix('$')}")
        if variable is None:
            raise CliError(f"line 1: {cell!r} is neither time nor a variable that has samples, such as $PendingTasks")
        found.append(variable)
    if found.count("time") != 1 or len(set(found)) != len(found):
        raise CliError("line 1: one column time and each variable at most once are expected")
    return found


def _row(number: int, columns: Sequence[str], line: Sequence[str]) -> Row:
    if len(line) != len(columns):
        raise CliError(f"line {number}: {len(columns)} cells are expected, not {len(line)}")
    cells = dict(zip(columns, (cell.strip() for cell in line), strict=True))
    at = _moment(number, cells.pop("time"))
    return Row(at, {name: _number(number, text) for name, text in cells.items() if text})


def _moment(number: int, text: str) -> datetime:
    try:
        return moment_of(float(text))
    except (ValueError, OverflowError):
        pass
    try:
        return parse_moment(text)
    except ValueFaultError:
        raise CliError(f"line {number}: {text!r} is neither a number of seconds nor an ISO time") from None


def _number(number: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CliError(f"line {number}: {text!r} is no number")
    return value
