"""The story of the price: how many writes a short task costs the API server."""

from e2e.bench.throughput import measure
from e2e.operator_install import Installation
from e2e.stories import Namespace


def test_a_short_task_costs_at_most_two_writes_and_a_tenth(space: Namespace, operator: Installation) -> None:
    seconds, writes = measure(operator, space, 300)
    print(f"300 tasks in {seconds:.1f} s, {writes / 300:.3f} writes a task")
    assert writes / 300 <= 2.1
