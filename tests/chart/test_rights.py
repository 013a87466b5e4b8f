"""Every right that the chart asks for, with its reason: a right more or less fails here. Each mode has a row of its own."""

from collections.abc import Iterable
from itertools import product
from typing import Any, NamedTuple

import helm_python
import pytest
from tests.chart.test_render import only, render

Manifest = dict[str, Any]

CERT_MANAGER = ("certificates.certManager.enabled=true", "certificates.certManager.issuerRef.name=ours")
NAMESPACED = ("watchNamespaces={one,batch-system}",)


class Right(NamedTuple):
    """where: the namespace, * = the whole cluster. what: resource.group. name: the one object, empty = any."""

    where: str
    what: str
    verb: str
    name: str = ""


def rights(where: str, what: str, verbs: str, name: str = "") -> set[Right]:
    return {Right(where, one, verb, name) for one, verb in product(what.split(), verbs.split())}


def everywhere_watched(where: str) -> set[Right]:
    """What it takes to work in a namespace."""
    ours, all_ours = (
        "pools.batchpools.dev jobs.batchpools.dev",
        "pools poolnodes jobs tasks jobschedules applicationpackages",
    )
    read = "jobschedules.batchpools.dev applicationpackages.batchpools.dev"
    status = " ".join(f"{one}.batchpools.dev/status" for one in all_ours.split())
    owners = " ".join(f"{one}.batchpools.dev/finalizers" for one in ("pools", "poolnodes", "jobs", "jobschedules"))
    return (
        rights(where, ours, "create delete")  # pools of jobs that have one of their own, jobs of schedules
        | rights(where, f"{ours} {read}", "get list watch")  # informers, kopf, live looks
        | rights(where, ours, "patch")  # our finalizers; the spec is never written
        | rights(
            where, "poolnodes.batchpools.dev", "get list watch create patch delete"
        )  # made, drained and taken away
        | rights(
            where, "tasks.batchpools.dev", "get list watch create delete"
        )  # a job's inline tasks; they go with their job
        | rights(where, status, "patch")  # results
        | rights(where, owners, "update")  # owner references that block deletion, under the admission plugin for them
        | rights(where, "pods", "get list watch create patch delete")  # node pods; patch: finalizer, CAs
        | rights(where, "poddisruptionbudgets.policy", "get list watch create patch delete")  # one a pool
        | rights(where, "networkpolicies.networking.k8s.io", "get list watch create patch delete")  # one a pool
        | rights(where, "events", "create")  # refusals, said where people look
        | rights(where, "namespaces", "get")  # is it being deleted? A Role allows it for its own namespace
    )


def barrier(where: str) -> set[Right]:
    """One reserved object a kind (S2.2): made, marked, and taken away when we are uninstalled."""
    ours = "pools.batchpools.dev jobs.batchpools.dev"
    return (
        rights(where, ours, "create")
        | rights(where, ours, "delete", "batchpools-barrier")
        | rights(where, "tasks.batchpools.dev", "patch", "batchpools-barrier")
    )


LEASE = rights("batch-system", "leases.coordination.k8s.io", "create watch") | rights(
    "batch-system", "leases.coordination.k8s.io", "get update", "batchpools-operator"
)  # leading; a standby watches it
OWN_CA = rights("batch-system", "secrets", "create") | rights("batch-system", "secrets", "get patch", "batchpools-ca")
GIVEN = rights("batch-system", "secrets", "get", "batchpools-certificate")
REVIEWS = rights("*", "tokenreviews.authentication.k8s.io", "create")  # is this token a node's?
TRUST = rights("*", "apiservices.apiregistration.k8s.io", "get patch", "v1beta1.ops.batchpools.dev")  # its caBundle
FRONT_PROXY = {Right("kube-system", "Role extension-apiserver-authentication-reader", "bind")}  # who the API server is

CLUSTER = everywhere_watched("*") | barrier("batch-system") | LEASE | REVIEWS


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ((), CLUSTER | OWN_CA | TRUST | FRONT_PROXY),
        (("aggregatedApi.enabled=false",), CLUSTER | OWN_CA),
        (CERT_MANAGER, CLUSTER | GIVEN | TRUST | FRONT_PROXY),
        (
            NAMESPACED,
            LEASE
            | OWN_CA
            | everywhere_watched("one")
            | barrier("one")
            | everywhere_watched("batch-system")
            | barrier("batch-system"),
        ),
        (("watchNamespaces={one}", *CERT_MANAGER), LEASE | GIVEN | everywhere_watched("one") | barrier("one")),
    ],
    ids=["cluster", "cluster without aggregated API", "cert-manager", "namespaced", "namespaced with cert-manager"],
)
def test_the_operator_has_these_rights_and_no_others(settings: tuple[str, ...], wanted: set[Right]) -> None:
    assert granted(render(*settings)) == wanted


@pytest.mark.parametrize("settings", [NAMESPACED, ("watchNamespaces={one}", *CERT_MANAGER)])
def test_namespaced_mode_has_nothing_of_the_whole_cluster_but_the_crds(settings: tuple[str, ...]) -> None:
    """S9.2: a namespace's administrator can install it where somebody else has put the CRDs."""
    kinds = {one["kind"] for one in render(*settings, "crds.install=false")}
    assert kinds.isdisjoint({"ClusterRole", "ClusterRoleBinding", "APIService", "CustomResourceDefinition"})
    places = {one["metadata"]["namespace"] for one in render(*settings, "crds.install=false")}
    assert places <= {"one", "batch-system"}


def test_no_right_is_a_wildcard_and_no_secret_but_our_own_can_be_read() -> None:
    for settings in ((), NAMESPACED, CERT_MANAGER):
        manifests = render(*settings)
        assert "*" not in str([one.get("rules") for one in manifests if "Role" in one["kind"]])
        secrets = {right for right in granted(manifests) if right.what == "secrets" and right.verb != "create"}
        assert {right.name for right in secrets} <= {"batchpools-ca", "batchpools-certificate"}


def test_what_users_get_is_added_to_view_edit_and_admin_and_to_nothing_else() -> None:
    manifests = render()
    added = {
        one["metadata"]["name"]: [key.rpartition("-")[2] for key in one["metadata"]["labels"] if "aggregate-to" in key]
        for one in manifests
        if one["kind"] == "ClusterRole"
    }
    assert added == {
        "batchpools-operator": [],
        "batchpools-view": ["view"],
        "batchpools-edit": ["edit"],
        "batchpools-admin": ["admin"],
    }
    edit = of_rules("*", only(manifests, "ClusterRole", "batchpools-edit")["rules"])
    assert {right.verb for right in edit if right.what == "poolnodes.batchpools.dev"} == {"delete", "deletecollection"}
    assert not [right for right in edit if right.what.endswith("/status")], "status is the operator's alone"


def test_in_namespaced_mode_users_are_given_roles_to_bind() -> None:
    manifests = render(*NAMESPACED)
    names = [
        one["metadata"]["name"] for one in manifests if one["kind"] == "Role" and one["metadata"]["namespace"] == "one"
    ]
    assert names == ["batchpools-watched", "batchpools-view", "batchpools-edit"]
    bound = {one["roleRef"]["name"] for one in manifests if one["kind"] == "RoleBinding"}
    assert bound == {"batchpools-operator", "batchpools-watched"}


def test_in_namespaced_mode_operator_and_uninstall_are_told_their_namespaces() -> None:
    manifests = render(*NAMESPACED, "nodeTokens.issuer=https://issuer", "nodeTokens.jwks=keys")
    for kind, name in (("Deployment", "batchpools"), ("Job", "batchpools-uninstall")):
        pod = only(manifests, kind, name)["spec"]["template"]["spec"]
        told = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
        assert told["BATCHPOOLS_WATCH_NAMESPACES"] == "one,batch-system"
        assert told["BATCHPOOLS_AGGREGATED_API"] == "false"
    assert only(manifests, "ConfigMap", "batchpools-token-keys")["data"] == {
        "issuer": "https://issuer",
        "jwks.json": "keys",
    }
    pod = only(manifests, "Deployment", "batchpools")["spec"]["template"]["spec"]
    told = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
    mounted = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert told["BATCHPOOLS_TOKEN_KEYS"] == mounted["token-keys"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("watchNamespaces={one}", "nodeTokens.jwks=keys"), "nodeTokens.issuer"),
        (("watchNamespaces={One}",), "watchNamespaces"),
        (("certificates.certManager.enabled=true",), "issuerRef.name"),
        (("certificates.spread=soon",), "spread"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(settings: tuple[str, ...], told: str) -> None:
    with pytest.raises(helm_python.HelmError, match=told):
        render(*settings)


def test_a_certificate_of_cert_manager_bears_the_names_that_are_verified() -> None:
    manifests = render(*CERT_MANAGER)
    spec = only(manifests, "Certificate", "batchpools")["spec"]
    assert spec["dnsNames"] == ["hub.batchpools.internal", "batchpools-ops.batch-system.svc"]
    assert spec["commonName"] == "batchpools-replica"
    assert spec["issuerRef"] == {"name": "ours", "kind": "Issuer", "group": "cert-manager.io"}
    (container,) = only(manifests, "Deployment", "batchpools")["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert told["BATCHPOOLS_CERTIFICATE_SECRET"] == spec["secretName"]
    assert not [one for one in render() if one["kind"] == "Certificate"]


def granted(manifests: list[Manifest]) -> set[Right]:
    """What the bindings give to our ServiceAccount."""
    roles = {
        (one["kind"], one["metadata"].get("namespace", "*"), one["metadata"]["name"]): one["rules"]
        for one in manifests
        if one["kind"] in {"Role", "ClusterRole"}
    }
    found: set[Right] = set()
    for one in manifests:
        if one["kind"] not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        assert one["subjects"] == [{"kind": "ServiceAccount", "name": "batchpools", "namespace": "batch-system"}]
        where, reference = one["metadata"].get("namespace", "*"), one["roleRef"]
        rules = roles.get((reference["kind"], where, reference["name"]))
        if rules is None:
            found.add(Right(where, f"{reference['kind']} {reference['name']}", "bind"))
        else:
            found |= of_rules(where, rules)
    return found


def of_rules(where: str, rules: Iterable[Manifest]) -> set[Right]:
    return {
        Right(where, _called(group, resource), verb, name)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def _called(group: str, resource: str) -> str:
    plural, slash, subresource = resource.partition("/")
    return f"{plural}.{group}{slash}{subresource}" if group else resource
