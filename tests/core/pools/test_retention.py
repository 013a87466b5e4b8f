"""How long a node waits for what its tasks left there."""

from datetime import timedelta

from msgspec.structs import replace
from tests.core.pools.situations import NOW, node

from batchpools.core.pools.retention import retained_until
from batchpools.core.views import TaskConstraints, TaskStatus, TaskView
from batchpools.testing import builders

HERE = node(start_time=NOW)


def ended(minutes: float, retention: str | None = None, **status: object) -> TaskView:
    told = {"state": "Completed", "pool_node_name": "p-0000", "end_time": NOW + timedelta(minutes=minutes), **status}
    view = builders.task("t", constraints=TaskConstraints(retention_time=retention), status=TaskStatus(**told))  # type: ignore[arg-type]
    return replace(view, metadata=replace(view.metadata, namespace="ns"))


def test_it_waits_for_the_last_retention_time() -> None:
    tasks = [ended(1, "1h"), ended(5, "30m"), ended(2, "10m")]
    assert retained_until(tasks, HERE) == NOW + timedelta(minutes=61)


def test_without_one_seven_days_are_meant() -> None:
    assert retained_until([ended(0)], HERE) == NOW + timedelta(days=7)
    assert retained_until([], HERE) is None


def test_what_ended_elsewhere_or_in_a_former_pod_or_has_not_ended_leaves_nothing_there() -> None:
    others = [ended(-1), ended(1, pool_node_name="p-0001"), ended(1, state="Active")]
    elsewhere = ended(1)
    others.append(replace(elsewhere, metadata=replace(elsewhere.metadata, namespace="other")))
    assert retained_until(others, HERE) is None
