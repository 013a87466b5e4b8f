"""What is said of runs whose container was lost (safety rule S8.5): who had the most memory is named, if that is known still."""

import pytest

from batchpools.core.ended import Ended
from batchpools.core.execution import Executions
from batchpools.core.execution_events import Event, Led, RunAsked, RunnerDown, RunnerUp, RunStarted, TellFinished
from batchpools.core.lost_container import MemoryScarce

MEBI = 1 << 20
SCARCE = MemoryScarce("a", 150 * MEBI, 190 * MEBI, 200 * MEBI)
ENOUGH = MemoryScarce("", 0, 0, 0)
GONE, BACK = RunnerDown(), RunnerUp("newer", (), ())
SAME = RunnerUp("boot", (("a", "task-a", 10.0), ("b", "task-b", 10.0)), ())

PLAIN = "the task container was lost"
BLAMED = f"{PLAIN} when 190.0 MiB of its 200.0 MiB of memory were in use, the most of it by this task: 150.0 MiB"
BESIDE = f"{PLAIN} when 190.0 MiB of its 200.0 MiB of memory were in use, the most of it by another task"


def lost(*events: tuple[Event, float]) -> dict[str, tuple[str, str]]:
    """(code, message) of the ends of two runs that began before all this, by id."""
    machine = Executions()
    begun: list[Event] = [
        UP,
        Led(2),
        *(RunAsked(one, 2, f"task-{one}", "") for one in "ab"),
        *(RunStarted(one, 10.0) for one in "ab"),
    ]
    for event in begun:
        machine.handle(event, 0.0)
    told = [one for event, now in events for one in machine.handle(event, now)]
    ends = {one.execution_id: one.outcome for one in told if isinstance(one, TellFinished)}
    assert all(end == Ended("bootLost", started_at=10.0, code=end.code, message=end.message) for end in ends.values())
    return {one: (end.code, end.message) for one, end in ends.items()}


UP = RunnerUp("boot", (), ())


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([(GONE, 1.0), (BACK, 2.0)], (("", PLAIN), ("", PLAIN)), id="nothing was said of memory"),
        pytest.param(
            [(SCARCE, 1.0), (GONE, 2.0), (BACK, 90.0)],
            (("OutOfMemory", BLAMED), ("", BESIDE)),
            id="the largest is named, however long the new container takes",
        ),
        pytest.param([(SCARCE, 1.0), (GONE, 4.5), (BACK, 5.0)], (("", PLAIN), ("", PLAIN)), id="an old word"),
        pytest.param(
            [(SCARCE, 1.0), (ENOUGH, 1.5), (GONE, 2.0), (BACK, 3.0)],
            (("", PLAIN), ("", PLAIN)),
            id="there was enough again",
        ),
        pytest.param(
            [(SCARCE, 1.0), (GONE, 1.5), (SAME, 2.0), (GONE, 2.5), (BACK, 3.0)],
            (("", PLAIN), ("", PLAIN)),
            id="the connection alone was lost then",
        ),
    ],
)
def test_the_largest_is_named_when_the_word_is_fresh(
    events: list[tuple[Event, float]], expected: tuple[tuple[str, str], tuple[str, str]]
) -> None:
    assert lost(*events) == dict(zip("ab", expected, strict=True))


def test_a_run_that_the_same_runner_has_not_is_lost_with_nobody_to_blame() -> None:
    without = RunnerUp("boot", (("b", "task-b", 10.0),), ())
    assert lost((SCARCE, 1.0), (GONE, 1.5), (without, 2.0)) == {"a": ("", PLAIN)}


def test_nobody_is_lost_while_the_same_runner_comes_back() -> None:
    assert lost((SCARCE, 1.0), (GONE, 1.5), (SAME, 2.0)) == {}
