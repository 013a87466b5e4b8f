"""Two releases, each with namespaces of its own: nothing that one installs is the other's (sharding by namespaces)."""

from tests.chart.test_render import Manifest, only, render

FIRST = render("watchNamespaces={one,two}", namespace="batch-a")
SECOND = render("watchNamespaces={three}", "crds.install=false", namespace="batch-b")


def names(manifests: list[Manifest]) -> set[tuple[str, str, str]]:
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in manifests}


def test_two_shards_share_no_object() -> None:
    assert names(FIRST) & names(SECOND) == set()
    assert {kind for kind, namespace, _ in names(SECOND) if not namespace} == set(), "and the second has no cluster's"


def test_each_shard_has_a_lease_and_a_hub_of_its_own() -> None:
    for manifests, home in ((FIRST, "batch-a"), (SECOND, "batch-b")):
        role = only(manifests, "Role", "batchpools-operator")
        assert role["metadata"]["namespace"] == home, "there its Lease is"
        assert only(manifests, "Service", "batchpools-hub")["metadata"]["namespace"] == home
        pod = only(manifests, "Deployment", "batchpools")["spec"]["template"]["spec"]
        (told,) = [one for one in pod["containers"][0]["env"] if one["name"] == "BATCHPOOLS_NAMESPACE"]
        assert told["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"


def test_helm_refuses_a_second_shard_of_the_same_namespace() -> None:
    """Both would install the same Role there, and Helm adopts nothing of another release."""
    other = render("watchNamespaces={two}", "crds.install=false", namespace="batch-b")
    assert ("Role", "two", "batchpools-watched") in names(FIRST) & names(other)
