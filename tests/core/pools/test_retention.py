"""How long a node waits for what its tasks left there."""

from datetime import timedelta

from msgspec.structs import replace
from tests.core.pools.situations import NOW, node

from batchpools.core.pools.retention import may_be_cleaned, retained_until
from batchpools.core.views import PoolNodeSpec, TaskConstraints, TaskStatus, TaskView
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


def test_a_directory_may_go_when_its_time_is_over_unless_the_node_is_disabled() -> None:
    disabled = node(start_time=NOW, spec=PoolNodeSpec(pool_name="p", scheduling_state="Disabled"))
    task, due = ended(1, "1h"), NOW + timedelta(minutes=61)
    assert may_be_cleaned(task, HERE, due)
    assert not may_be_cleaned(task, HERE, due - timedelta(seconds=1))
    assert not may_be_cleaned(task, disabled, due)
    assert not may_be_cleaned(ended(1, "1h", state="Active"), HERE, due), "it will run again"
    assert not may_be_cleaned(ended(-1, "1s"), HERE, due), "it ended in a former pod"
    assert not may_be_cleaned(ended(0), HERE, NOW + timedelta(days=7, seconds=-1))
    assert may_be_cleaned(ended(0), HERE, NOW + timedelta(days=7))
