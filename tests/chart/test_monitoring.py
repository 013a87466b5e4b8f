"""Dashboard and alerts ask only for what the operator exports, by labels and states that there are; the chart renders them."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from promql_parser import MatchOp, VectorSelector
from tests.chart.test_render import CHART, only, render

from batchpools.api.states import NodeState
from batchpools.telemetry.metrics import TABLE

DASHBOARD = json.loads((CHART / "monitoring/dashboard.json").read_text())
RULES = yaml.safe_load((CHART / "monitoring/rules.yaml").read_text())
_OF_KIND = {"gauge": [""], "counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
EXPORTED = {name + end: name for name, row in TABLE.items() for end in _OF_KIND[row.kind]}
VALUES: dict[tuple[str, str], set[str]] = {
    ("batchpools_nodes", "state"): set(NodeState),
    ("batchpools_tasks", "state"): {"active", "running", "succeeded", "failed"},
    ("batchpools_pool_slots", "use"): {"total", "used"},
}


def questions() -> Iterator[tuple[str, str]]:
    """Title and PromQL of every panel and alert, with the dashboard's variables filled in."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], re.sub(r"\$(namespace|pool)\b", ".*", target["expr"])
    for rule in RULES["groups"][0]["rules"]:
        yield rule["alert"], rule["expr"]


def selectors(question: str) -> list[VectorSelector]:
    """What it reads."""
    found: list[VectorSelector] = []

    def visit(expression: Any) -> bool:
        selector = getattr(expression, "vector_selector", expression)
        if isinstance(selector, VectorSelector):
            found.append(selector)
        return True

    promql_parser.walk(promql_parser.parse(question), visit)
    return found


@pytest.mark.parametrize(("title", "question"), list(questions()))
def test_a_question_asks_for_metrics_labels_and_values_that_there_are(title: str, question: str) -> None:
    read = selectors(question)
    assert read, title
    for selector in read:
        assert selector.name in EXPORTED, f"{title}: {selector.name}"
        metric = EXPORTED[selector.name]
        for matcher in selector.matchers.matchers:
            assert matcher.name in TABLE[metric].labels, f"{title}: {matcher.name}"
            positive = matcher.op in (MatchOp.Equal, MatchOp.Re)
            if positive and matcher.value != ".*" and (metric, matcher.name) in VALUES:
                assert set(matcher.value.split("|")) <= VALUES[metric, matcher.name], f"{title}: {matcher.value}"


def test_the_check_sees_a_metric_that_nobody_exports() -> None:
    assert {one.name for one in selectors("sum(rate(made_up_total[5m])) / other")} == {"made_up_total", "other"}


def test_the_dashboard_can_be_imported() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["description"]
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "namespace", "pool"]
    for word in ("by state, and the target", "Tasks by state", "Slots", "Autoscale: targets", "variables", "latency"):
        assert any(word in panel["title"] for panel in panels), word


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in RULES["groups"][0]["rules"]:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        grouped = set(re.findall(r"by \(([^)]*)\)", rule["expr"])[0].split(", "))
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert used <= grouped, rule["alert"]


def test_the_chart_renders_what_the_files_say_and_only_when_asked() -> None:
    kinds = {"PrometheusRule", "ServiceMonitor"}
    assert not [one for one in render() if one["kind"] in kinds or one["metadata"]["name"] == "batchpools-dashboard"]
    asked = [f"{one}.enabled=true" for one in ("serviceMonitor", "prometheusRule", "grafanaDashboard")]
    manifests = render(*asked, "prometheusRule.labels.release=monitor")
    rule = only(manifests, "PrometheusRule", "batchpools")
    assert rule["spec"] == RULES
    assert rule["metadata"]["labels"]["release"] == "monitor"
    shown = only(manifests, "ConfigMap", "batchpools-dashboard")
    assert json.loads(shown["data"]["batchpools.json"]) == DASHBOARD
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"
    (endpoint,) = only(manifests, "ServiceMonitor", "batchpools")["spec"]["endpoints"]
    assert endpoint["honorLabels"]  # else a pool's namespace is overwritten by the operator's
