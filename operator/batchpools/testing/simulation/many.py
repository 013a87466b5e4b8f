"""Plays many seeds on several processors and adds up what came of them."""

import gc
import logging
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from batchpools.testing.simulation.copies import in_a_copy
from batchpools.testing.simulation.history import Script, play, play_on, script_of
from batchpools.testing.simulation.opening import Begun, Opening, warm

_AT_ONCE = 20  # seeds a worker is given


@dataclass(slots=True)
class Summary:
    """What was played. acts: by kind; failed: seed -> its first violation; digests: of each; seconds: of wall time."""

    histories: int = 0
    events: int = 0
    tasks: int = 0
    runs: int = 0
    virtual_seconds: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    acts: Counter[str] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)

    def add(self, other: "Summary") -> None:
        """Add another one, but for its wall time."""
        self.histories += other.histories
        self.events += other.events
        self.tasks += other.tasks
        self.runs += other.runs
        self.virtual_seconds += other.virtual_seconds
        self.cpu_seconds += other.cpu_seconds
        self.acts += other.acts
        self.failed |= other.failed
        self.digests |= other.digests

    def lines(self) -> Iterator[str]:
        """For people."""
        yield (
            f"{self.histories} histories in {self.seconds:.0f} s ({self.histories / max(self.seconds, 0.001) * 60:.0f} a minute, "
            f"{1000 * self.cpu_seconds / max(self.histories, 1):.0f} ms of a processor each), "
            f"{self.virtual_seconds / 3600:.1f} virtual hours"
        )
        yield f"{self.events} events, {self.tasks} tasks checked in {self.runs} runs, {sum(self.acts.values())} acts:"
        row = [f"{kind} {number}" for kind, number in sorted(self.acts.items())]
        for start in range(0, len(row), 6):
            yield "  " + ", ".join(row[start : start + 6])
        yield f"{len(self.failed)} violations"
        for seed, violation in sorted(self.failed.items()):
            yield f"  seed {seed}: {violation}"


def play_many(seeds: Iterable[int], *, workers: int, seconds: float | None = None) -> Summary:
    """Play these seeds, or as many of them as so many seconds allow; it stops early once ten have failed."""
    began, total = time.perf_counter(), Summary()
    left = iter(seeds)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _prepare) as pool:
        flying: set[Future[Summary]] = set()
        while True:
            late = seconds is not None and time.perf_counter() - began > seconds
            while not late and len(total.failed) < 10 and len(flying) < workers + 1:
                chunk = list(islice(left, _AT_ONCE))
                if not chunk:
                    break
                flying.add(pool.submit(_play, chunk))
            if not flying:
                break
            done, flying = wait(flying, return_when=FIRST_COMPLETED)
            for one in done:
                total.add(one.result())
    total.seconds = time.perf_counter() - began
    return total


def _prepare() -> None:
    logging.disable(logging.CRITICAL)
    gc.freeze()
    gc.disable()


_begun: dict[Opening, Begun] = {}  # a worker's warm openings; it never plays on from them itself


def _play(seeds: list[int]) -> Summary:
    total, began = Summary(), sum(os.times()[:4])
    for seed in seeds:
        script = script_of(seed)
        if script.is_warm and script.opening not in _begun:
            _begun[script.opening] = warm(script.opening)
        total.add(in_a_copy(partial(_summary, script)))
    total.cpu_seconds = sum(os.times()[:4]) - began
    return total


def _summary(script: Script) -> Summary:
    """In a copy of the worker, which ends with the history: nothing has to be cleaned up."""
    outcome = play_on(_begun[script.opening], script) if script.is_warm else play(script)
    failed = {script.seed: outcome.violations[0]} if outcome.violations else {}
    return Summary(
        1, outcome.events, outcome.tasks, outcome.runs, outcome.seconds, acts=Counter(outcome.acts), failed=failed,
        digests={script.seed: outcome.digest},
    )  # fmt: skip
