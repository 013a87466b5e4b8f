"""The chart renders what it should, refuses wrong values, and asks for no more rights than it needs."""

from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml
from e2e.cluster.images import ROOT
from kubernetes_validate.utils import validate

from batchpools.api import names
from batchpools.settings import read_settings

CHART = ROOT / "charts/batchpools"
Manifest = dict[str, Any]


def values_of(*settings: str) -> Manifest:
    """Values as `--set` reads them."""
    found: Manifest = {}
    for one in settings:
        _merge(found, helm_python.parse_set_string(one))
    return found


def _merge(into: Manifest, more: Manifest) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def render(*settings: str, namespace: str = "batch-system") -> list[Manifest]:
    """Every manifest, as Helm itself renders it; what it raises when a value is refused."""
    with helm_python.Chart.load(CHART) as chart:
        values = values_of(*settings)
        chart.validate_schema(values)
        pages = chart.render(values, name="batchpools", namespace=namespace)
    texts = [text for path, text in pages.items() if path.endswith(".yaml")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


@pytest.fixture(scope="module")
def rendered() -> list[Manifest]:
    return render()


def only(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (one for one in manifests if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def rules(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for one in manifests:
        if one["kind"] in {"Role", "ClusterRole"}:
            for rule in one["rules"]:
                yield f"{one['kind']} {one['metadata']['name']}", rule


def test_every_manifest_is_valid(rendered: list[Manifest]) -> None:
    for one in rendered:
        if one["kind"] not in {"CustomResourceDefinition", "APIService"}:
            validate(one, "1.33", strict=True)


def test_the_chart_lints() -> None:
    report = helm_python.lint(CHART, strict=True)
    assert report["errors"] == []
    assert report["total_charts_linted"] == 1


@pytest.mark.parametrize("wrong", ["replicas=0", "image.tag=", "logLevel=LOUD", "replica=2", "crds.install=maybe"])
def test_a_wrong_value_is_refused(wrong: str) -> None:
    with pytest.raises(helm_python.HelmError):
        render(wrong)


def test_the_operator_lives_through_short_standstills_and_leads_by_known_times(rendered: list[Manifest]) -> None:
    """Safety rule S2.1: a lost Lease is no reason for a restart, and a loop that stands still is one only after a minute."""
    (container,) = only(rendered, "Deployment", "batchpools")["spec"]["template"]["spec"]["containers"]
    probe = container["livenessProbe"]
    assert probe["httpGet"]["path"] == "/healthz"
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 60
    told = {one["name"]: one.get("value") for one in container["env"]}
    times = [told[f"BATCHPOOLS_{name}"] for name in ("LEASE_DURATION", "RENEW_DEADLINE", "RETRY_PERIOD")]
    assert [float(one) for one in times] == [15, 10, 2]


def test_what_the_operator_made_for_itself_goes_before_its_rights(rendered: list[Manifest]) -> None:
    """Safety rule S2.2."""
    hook = only(rendered, "Job", "batchpools-uninstall")
    assert hook["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    (container,) = hook["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["uninstall"]


def test_crds_are_kept_on_uninstall_and_can_be_left_out(rendered: list[Manifest]) -> None:
    kept = [one for one in rendered if one["kind"] == "CustomResourceDefinition"]
    assert len(kept) == 6
    assert {one["metadata"]["annotations"]["helm.sh/resource-policy"] for one in kept} == {"keep"}
    without = render("crds.install=false")
    assert not [one for one in without if one["kind"] == "CustomResourceDefinition"]


def test_the_operator_runs_restricted(rendered: list[Manifest]) -> None:
    pod = only(rendered, "Deployment", "batchpools")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"] == {"cpu": "50m", "memory": "128Mi"}


def test_the_operators_environment_is_what_it_reads(rendered: list[Manifest]) -> None:
    (container,) = only(rendered, "Deployment", "batchpools")["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value", "x") for one in container["env"]}
    settings = read_settings(environment)
    assert (settings.lease_duration, settings.renew_deadline, settings.retry_period) == (15, 10, 2)
    assert settings.image == "batchpools.dev/batchpools:dev"


def test_warnings_refuse_nothing_and_are_left_out_where_there_may_be_no_cluster_wide_objects(
    rendered: list[Manifest],
) -> None:
    policies = [one for one in rendered if one["kind"] == "ValidatingAdmissionPolicy"]
    bindings = [one["spec"] for one in rendered if one["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert {one["metadata"]["name"] for one in policies} == {one["policyName"] for one in bindings}
    assert {one["spec"]["failurePolicy"] for one in policies} == {"Ignore"}
    assert [one["validationActions"] for one in bindings] == [["Warn"]] * 2
    assert not [one for one in render("watchNamespaces={a}") if "AdmissionPolicy" in one["kind"]]


def test_names_and_ports_are_those_of_the_code(rendered: list[Manifest]) -> None:
    hub = only(rendered, "Service", names.HUB_SERVICE)["spec"]
    assert (hub["clusterIP"], hub["publishNotReadyAddresses"]) == ("None", True)
    (container,) = only(rendered, "Deployment", "batchpools")["spec"]["template"]["spec"]["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"hub": names.HUB_PORT, "ops": names.OPS_PORT, "metrics": names.METRICS_PORT}
    service = only(rendered, "APIService", f"{names.VERSION}.{names.OPS_GROUP}")["spec"]["service"]
    assert service["name"] == names.OPS_SERVICE
    assert "insecureSkipTLSVerify" not in str(rendered)


def test_readers_may_read_logs_and_explanations_but_write_nothing(rendered: list[Manifest]) -> None:
    view = only(rendered, "ClusterRole", "batchpools-view")
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    granted = {resource for rule in view["rules"] for resource in rule["resources"]}
    assert {"tasks/logs", "tasks/explain", "noderuns", "pools", "tasks"} <= granted
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_the_aggregated_api_can_be_left_out() -> None:
    without = render("aggregatedApi.enabled=false")
    assert not [one for one in without if one["kind"] == "APIService"]
    assert not [rule for _, rule in rules(without) if "apiservices" in rule["resources"]]


def test_a_single_replica_has_no_disruption_budget(rendered: list[Manifest]) -> None:
    assert only(rendered, "PodDisruptionBudget", "batchpools")["spec"]["minAvailable"] == 1
    assert not [one for one in render("replicas=1") if one["kind"] == "PodDisruptionBudget"]
