"""Makes a failing script small: acts are left out as long as what remains fails in the same way. It decides what "the same" is."""

import re
from collections.abc import Callable
from dataclasses import replace

from batchpools.testing.simulation.history import Outcome, Script

Play = Callable[[Script], Outcome]

_DETAILS = re.compile(r"^at [\d.]+: |[0-9a-f-]{8,}[:\d-]*|\d+")


def shrink(script: Script, play: Play, patience: int = 400) -> Outcome:
    """The outcome of the smallest script found that fails as this one does; at most so many histories are played for it."""
    best = play(script)
    if not best.violations:
        raise ValueError(f"seed {script.seed} does not fail")
    wanted, tries = kind_of(best.violations[0]), 0
    size = max(len(script.acts) // 2, 1)
    while size >= 1:
        start, smaller = 0, False
        while start < len(best.script.acts) and tries < patience:
            acts = best.script.acts
            tried = play(replace(best.script, acts=acts[:start] + acts[start + size :]))
            tries += 1
            if tried.violations and kind_of(tried.violations[0]) == wanted:
                best, smaller = tried, True
            else:
                start += size
        if not smaller or tries >= patience:
            size //= 2
    return best


def kind_of(violation: str) -> str:
    """A violation without its details: moments, ids and numbers."""
    return _DETAILS.sub("", violation)
