"""What an ApplicationPackage's status says of its versions: what nodes have had in place, and why one cannot have it."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from batchpools.api import names
from batchpools.core.conditions import find_condition
from batchpools.core.packages.plan import PackageSituation, plan_package
from batchpools.core.packages.resolution import fingerprint
from batchpools.core.views import (
    ApplicationPackageStatus,
    ApplicationPackageView,
    NodeError,
    PackageVersion,
    PodView,
    PoolNodeStatus,
    PoolNodeView,
)
from batchpools.testing import builders

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = PackageVersion(version="4.2", url="https://files.example/4.2.zip")
NEW = PackageVersion(version="4.3", config_map_name="blender")
PACKAGE = builders.package("blender", default_version="4.2", versions=(OLD, NEW))


def node(state: str, *versions: PackageVersion, error: str = "") -> tuple[PoolNodeView, PodView]:
    marks = " ".join(f"blender/{one.version}={fingerprint(one)}" for one in versions)
    pod = builders.pod(metadata=builders.meta("p", annotations={names.ANNOTATION_PACKAGES: f"{marks} other/1=00"}))
    errors = (NodeError(code="ApplicationPackageError", message=error),) if error else ()
    return builders.node(status=PoolNodeStatus(state=state, errors=errors)), pod


def planned(
    package: ApplicationPackageView, *nodes: tuple[PoolNodeView, PodView], now: datetime = NOW
) -> ApplicationPackageView:
    """The package with what is written of it."""
    status = plan_package(PackageSituation(package, nodes), now=now).status
    return replace(package, status=status or package.status)


def verified(status: ApplicationPackageStatus) -> tuple[str, str, str]:
    found = find_condition(status.conditions, "Verified")
    assert found is not None
    return found.status, found.reason, found.message


def told(package: ApplicationPackageView) -> list[tuple[str, bool]]:
    return [(one.version, one.verified) for one in package.status.versions]


def test_a_version_that_no_node_has_had_is_not_verified() -> None:
    found = planned(PACKAGE)
    assert told(found) == [("4.2", False), ("4.3", False)]
    assert verified(found.status) == ("False", "PackageNotUsed", "No node has had in place yet: 4.2, 4.3.")
    assert planned(found) == found, "said once"
    assert plan_package(PackageSituation(found), now=NOW).status is None


def test_it_is_verified_by_the_first_node_that_comes_as_far_as_its_start_task_and_stays_so() -> None:
    for state in ("WaitingForStartTask", "StartTaskFailed", "Idle", "Running", "Offline"):
        assert told(planned(PACKAGE, node(state, OLD))) == [("4.2", True), ("4.3", False)]
    for state in ("Creating", "Starting", "Unusable", "Unknown"):
        assert told(planned(PACKAGE, node(state, OLD)))[0] == ("4.2", False)
    first = planned(PACKAGE, node("Idle", OLD, NEW))
    assert verified(first.status) == ("True", "PackageVerified", "")
    assert [one.verified_time for one in first.status.versions] == [NOW, NOW]
    later = planned(first, now=NOW + timedelta(hours=1))
    assert later == first, "its nodes have gone"


def test_what_the_spec_says_otherwise_since_then_is_not_verified_by_a_pod_of_before() -> None:
    first = planned(PACKAGE, node("Idle", OLD, NEW))
    changed = replace(OLD, sha256="ab" * 32)
    package = replace(first, spec=replace(first.spec, versions=(changed, NEW)))
    found = planned(package, node("Idle", OLD, NEW))
    assert told(found) == [("4.2", False), ("4.3", True)]
    assert told(planned(found, node("Idle", changed))) == [("4.2", True), ("4.3", True)]


def test_why_a_node_cannot_have_it_is_said_for_that_version_until_none_says_so() -> None:
    sentence = "Application package blender 4.3: ConfigMap blender does not exist or is empty."
    found = planned(PACKAGE, node("Unusable", OLD, NEW, error=sentence))
    assert [one.message for one in found.status.versions] == ["", sentence]
    assert verified(found.status) == ("False", "ApplicationPackageError", sentence)
    mended = planned(found, node("Idle", OLD, NEW))
    assert [one.message for one in mended.status.versions] == ["", ""]
    assert verified(mended.status)[0] == "True"


def test_a_version_that_is_taken_out_is_told_of_no_more() -> None:
    first = planned(PACKAGE, node("Idle", OLD, NEW))
    package = replace(first, spec=replace(first.spec, versions=(OLD,)))
    assert told(planned(package)) == [("4.2", True)]
