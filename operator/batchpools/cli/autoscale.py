"""`kubectl batch autoscale evaluate POOL` and `simulate FORMULA`: what a formula decides now, and what it would have decided."""

import argparse
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.api.durations import parse_duration
from batchpools.cli import aggregated
from batchpools.cli.access import Access, CliError
from batchpools.cli.plot import Line, as_svg, as_text
from batchpools.cli.sample_table import read_table
from batchpools.core.autoscale.errors import FormulaError
from batchpools.core.autoscale.parser import parse
from batchpools.core.autoscale.simulation import Row, Run, simulate
from batchpools.core.autoscale.vocabulary import SAMPLED, TARGET_DEDICATED
from batchpools.core.views import AutoScaleRun


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser("autoscale", help="try autoscale formulas")
    ways = verb.add_subparsers(dest="way", required=True, metavar="WAY")
    now = ways.add_parser(
        "evaluate", parents=[common], help="evaluate a formula for a pool as it is now; nothing is applied"
    )
    now.add_argument("pool", metavar="POOL", help="the pool")
    now.add_argument(
        "--formula", metavar="FILE", default="", help="another formula than the pool's own; - reads it from the input"
    )
    now.set_defaults(run=run)
    then = ways.add_parser("simulate", help="play a formula over a table of samples; needs no cluster")
    then.add_argument("formula", metavar="FORMULA", help="the file with the formula; - reads it from the input")
    then.add_argument(
        "--samples", metavar="CSV", required=True, type=Path, help="a column time and one for each variable"
    )
    then.add_argument("--interval", type=_interval, default=timedelta(minutes=15), help="between two evaluations; 15m")
    then.add_argument("--slots", type=int, default=1, help="task slots of a node, unless the table has them")
    then.add_argument("--svg", metavar="FILE", type=Path, help="draw it into this file too")
    then.set_defaults(alone=run_simulation)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Print the variables of an evaluation, or what is wrong."""
    path = f"/apis/{names.OPS_GROUP}/{names.VERSION}/namespaces/{access.namespace}/pools/{options.pool}/evaluate"
    body = {"formula": _text(options.formula)} if options.formula else {}
    access.teach(f"kubectl create --raw '{path}' -f - <<< '{msgspec.json.encode(body).decode()}'")
    told = await aggregated.order(access, path, body, AutoScaleRun)
    if told.error is not None:
        details = "".join(f"\n{one.value}" for one in told.error.values if one.value not in told.error.message)
        raise CliError(f"{told.error.code}: {told.error.message}{details}")
    for assignment in told.results.split(";"):
        access.say(assignment)
    return 0


def run_simulation(options: argparse.Namespace) -> int:
    """Print each change and a chart; the chart goes into an SVG file as well."""
    try:
        formula = parse(_text(options.formula))
    except FormulaError as error:
        raise CliError(f"{error.code}: {error.story}") from None
    rows = read_table(options.samples)
    try:
        runs = simulate(formula, rows, options.interval, options.slots)
    except ValueError as error:
        raise CliError(str(error)) from None
    for change in _changes(runs):
        print(change)
    lines = _lines(rows, runs)
    for line in lines:
        print(f"\n{as_text(line)}")
    if options.svg is not None:
        options.svg.write_text(as_svg(lines, f"{options.formula} over {options.samples}"), encoding="utf-8")
    return 0


def _changes(runs: list[Run]) -> list[str]:
    """One line for each evaluation that differs from the one before it."""
    told, before = [], ""
    for run in runs:
        what = run.error.message if run.error is not None else ""
        if run.result is not None:
            what = ";".join(run.result.results.split(";")[:3])
        if what != before:
            told.append(f"{run.at:%Y-%m-%dT%H:%M:%SZ}  {what}")
        before = what
    return told


def _lines(rows: list[Row], runs: list[Run]) -> list[Line]:
    """The target, and what of the table moves: at most five variables."""
    if not rows:
        return []
    begin = rows[0].at
    targets = [((run.at - begin).total_seconds(), float(run.dedicated + run.low_priority)) for run in runs]
    found = [Line(f"{TARGET_DEDICATED} + low priority", targets)]
    for name in SAMPLED.values():
        points = [((row.at - begin).total_seconds(), row.values[name]) for row in rows if name in row.values]
        if len({value for _, value in points}) > 1:
            found.append(Line(name, points))
    return found[:6]


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"the formula cannot be read: {error}") from None


def _interval(text: str) -> timedelta:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 1 <= seconds <= 168 * 3600:
        raise argparse.ArgumentTypeError("an interval lies between 1s and 168h")
    return timedelta(seconds=seconds)
