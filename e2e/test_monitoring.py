"""Stories of monitoring: a real Prometheus scrapes the operator, the dashboard shows something everywhere, and an alert fires."""

import subprocess
from collections.abc import Iterator

import pytest
from tests.chart.test_monitoring import questions

from e2e.operator_install import Installation
from e2e.prometheus import RULES, Prometheus, programs
from e2e.stories import Namespace, job, pool, sh, until


@pytest.fixture
def prometheus(operator: Installation) -> Iterator[Prometheus]:
    """One that has scraped both replicas."""
    folder = programs()
    if folder is None:
        pytest.skip("there is no prometheus on PATH, and no apt to get it from")
    until(lambda: len(operator.pods()) == 2, "replicas of a former roll-out have ended")
    with Prometheus(folder, operator) as running:
        until(lambda: running.targets() == ["up", "up"], "both replicas are scraped")
        yield running


def test_every_query_of_the_dashboard_returns_series(space: Namespace, prometheus: Prometheus) -> None:
    start = {"command": ["sh", "-c", "exit 3"]}
    space.apply(
        pool(nodes=1),
        pool("broken", startTask=start),
        pool("scaled", nodes=0, autoScale={"minNodes": 0, "maxNodes": 1}),
        pool("wrong", nodes=0, autoScale={"formula": "$TargetDedicatedNodes = ;", "evaluationInterval": "1s"}),
        job("work", [sh(f"t{n}", "sleep 0.2") for n in range(8)]),
    )
    space.finished("bjob", "work")
    panels = [(title, question) for title, question in questions() if not title.startswith("Batchpools")]

    def empty() -> list[str]:
        return [title for title, question in panels if not prometheus.ask(question)]

    until(lambda: empty() == [], "every panel shows a series")
    (nodes,) = prometheus.ask(
        f'batchpools_nodes{{namespace="{space.name}", pool="demo"}} and on (instance) (batchpools_leader == 1)'
    )
    assert nodes["metric"]["state"] == "Idle"
    assert nodes["value"][1] == "1"
    until(lambda: prometheus.alerts()["BatchpoolsStartTaskFailing"] == "pending", "the failing start task is noticed")
    assert prometheus.alerts()["BatchpoolsNoLeader"] == "inactive"


def test_promtool_accepts_the_rules() -> None:
    folder = programs()
    if folder is None:
        pytest.skip("there is no promtool on PATH, and no apt to get it from")
    done = subprocess.run(
        [str(folder / "promtool"), "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
