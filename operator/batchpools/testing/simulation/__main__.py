"""`python -m batchpools.testing.simulation`: play seeds and say what came of them; a failing one is shrunk and told.

Exit code 0 without violations, 1 with some, 2 for a wrong argument.
"""

import argparse
import logging
import os
import secrets
import sys
from collections.abc import Iterable
from itertools import count

from batchpools.telemetry.clock import SystemClock
from batchpools.testing.simulation.history import play, script_of
from batchpools.testing.simulation.many import play_many
from batchpools.testing.simulation.shrink import shrink

_FRESH_BELOW = 10**8
_A_DAY = 1000  # seeds that a day has, above all fresh ones
_CONTEXT = 60  # lines of the end of a failing history that are shown


def main(arguments: list[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser("simulate", description=__doc__)
    parser.add_argument("--seeds", help="7, 1..1000, today (new each day) or fresh (the default)")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds of wall time")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--log", action="store_true", help="print the whole history of one seed")
    given = parser.parse_args(arguments)
    try:
        seeds = _seeds(given.seeds or "fresh")
    except ValueError:
        print(f"--seeds {given.seeds} is neither a number, a range like 1..1000, today nor fresh", file=sys.stderr)
        return 2
    if given.log:
        logging.disable(logging.CRITICAL)
        outcome = play(script_of(next(iter(seeds))))
        print("\n".join([*outcome.log, f"digest {outcome.digest}", *outcome.violations]))
        return int(bool(outcome.violations))
    if given.seeds in {None, "fresh"} and given.seconds is None:
        given.seconds = 60.0
    summary = play_many(seeds, workers=given.workers, seconds=given.seconds)
    print("\n".join(summary.lines()))
    for seed in sorted(summary.failed)[:1]:
        _tell(seed)
    return int(bool(summary.failed))


def _seeds(text: str) -> Iterable[int]:
    if text == "fresh":
        first = secrets.randbelow(_FRESH_BELOW)
        print(f"fresh seeds from {first} on", flush=True)
        return count(first)
    if text == "today":
        first = SystemClock().now().toordinal() * _A_DAY
        print(f"today's seeds, from {first} on", flush=True)
        return range(first, first + _A_DAY)
    begin, dots, end = text.partition("..")
    return range(int(begin), int(end) + 1) if dots else [int(text)]


def _tell(seed: int) -> None:
    """The smallest script found, and how it ends."""
    logging.disable(logging.CRITICAL)
    outcome = shrink(script_of(seed), play)
    print(f"\nseed {seed} shrunk to {len(outcome.script.acts)} acts, {outcome.violations[0]}")
    for act in outcome.script.acts:
        print(f"  {act}")
    print("the end of that history:")
    at = next((number for number, line in enumerate(outcome.log) if "VIOLATION" in line), len(outcome.log))
    for line in outcome.log[max(at - _CONTEXT, 0) : at + 1]:
        print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
