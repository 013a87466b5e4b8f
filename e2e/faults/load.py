"""The load under which faults are injected: many short tasks, some longer ones, some that fail and are retried."""

from dataclasses import dataclass, replace

from e2e.fast_create import create_tasks
from e2e.faults.history import TELL, Expected
from e2e.stories import Manifest, Namespace, task

_HOG = (
    "import os, time\n"
    "held = []\n"
    "while True:\n"
    "    held.append(bytearray(os.urandom(1)) * (10 << 20))\n"
    "    time.sleep(0.1)\n"
)  # 10 MB in 100 ms: slow enough for the node to see who it is


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task. code: what it leaves with; retries: how often it is run again for that."""

    seconds: float
    code: int = 0
    retries: int = 0


_SHORT, _MIDDLE, _SLOW, _FAILING, _LONG = Kind(0.05), Kind(0.4), Kind(1.5), Kind(0.05, 7, 2), Kind(9.0)


def kind_of(number: int) -> Kind:
    """The kind of the n-th task of a wave: of each 50, 2 fail, 2 are slow, 6 are middling, the rest is short; 3 in all are long."""
    if number < 3:
        return _LONG
    if number % 25 == 7:
        return _FAILING
    if number % 25 == 11:
        return _SLOW
    return _MIDDLE if number % 8 == 5 else _SHORT


def short_task(job: str, number: int) -> tuple[Manifest, Expected]:
    """The n-th task of a wave; the uid of `Expected` is not known yet."""
    kind = kind_of(number)
    script = f"{TELL}tell start; sleep {kind.seconds}; tell end ' {kind.code}'; exit {kind.code}"
    limits = {"constraints": {"maxTaskRetryCount": kind.retries}} if kind.retries else {}
    made = task(job, f"t{number}", command=["sh", "-c", script], **limits)
    return made, Expected("", made["metadata"]["name"], "Failure" if kind.code else "Success", 1 + kind.retries)


def hog(job: str, number: int) -> tuple[Manifest, Expected]:
    """A task that takes memory until it is killed for it."""
    command = ["sh", "-c", f"{TELL}tell start; exec python3 -c '{_HOG}'"]
    made = task(job, f"hog{number}", command=command)
    return made, Expected("", made["metadata"]["name"], "Failure", is_killed=True)


def create(space: Namespace, tasks: list[tuple[Manifest, Expected]]) -> list[Expected]:
    """Create them; what was asked for, with the uids."""
    made = create_tasks(space, [manifest for manifest, _ in tasks])
    return [replace(expected, uid=one["metadata"]["uid"]) for (_, expected), one in zip(tasks, made, strict=True)]
