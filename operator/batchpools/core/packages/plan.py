"""Decides what an ApplicationPackage's status says: which versions nodes have had in place, and why one cannot have it. Pure.

Nobody but nodes looks at an archive: the operator fetches nothing. A node that has come as far as its start task has all packages
of its pod in place (`agent.packages`); what its pod was made with stands in the pod's annotation.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from batchpools.api.reasons import Condition, Reason
from batchpools.api.states import NodeState
from batchpools.core.conditions import set_condition
from batchpools.core.packages.marks import marks_of
from batchpools.core.packages.places import subject
from batchpools.core.packages.resolution import fingerprint
from batchpools.core.plan import Plan
from batchpools.core.views import (
    ApplicationPackageStatus,
    ApplicationPackageView,
    ConditionView,
    PackageVersion,
    PackageVersionStatus,
    PodView,
    PoolNodeView,
)

_HAS_ALL = {
    NodeState.WAITING_FOR_START_TASK,
    NodeState.START_TASK_FAILED,
    NodeState.IDLE,
    NodeState.RUNNING,
    NodeState.OFFLINE,
}


@dataclass(frozen=True, slots=True)
class PackageSituation:
    """A package, and the nodes of pools that refer to it, each with its present pod."""

    package: ApplicationPackageView
    nodes: tuple[tuple[PoolNodeView, PodView], ...] = ()


def plan_package(situation: PackageSituation, *, now: datetime) -> Plan[ApplicationPackageStatus]:
    """Write what nodes have said, if it is news."""
    package = situation.package
    if package.metadata.deletion_timestamp is not None:
        return Plan()
    told = package.status
    in_place, trouble = _said(situation)
    before = {one.version: one for one in told.versions}
    versions = tuple(_version(one, before.get(one.version), in_place, trouble, now) for one in package.spec.versions)
    status = replace(
        told,
        observed_generation=package.metadata.generation,
        versions=versions,
        conditions=set_condition(told.conditions, _verified(package, versions), now=now),
    )
    return Plan() if status == told else Plan(status=status)


def _said(situation: PackageSituation) -> tuple[set[str], dict[str, str]]:
    """(fingerprints that are in place somewhere, sentences of nodes that cannot have a version, by fingerprint)."""
    name = situation.package.metadata.name
    in_place: set[str] = set()
    trouble: dict[str, str] = {}
    for node, pod in situation.nodes:
        for mark in marks_of(pod.metadata.annotations):
            if mark.name != name:
                continue
            if node.status.state in _HAS_ALL:
                in_place.add(mark.fingerprint)
            for error in node.status.errors:
                is_of_it = error.message.startswith(f"{subject(name, mark.version)}: ")
                if error.code == Reason.PACKAGE_ERROR and is_of_it:
                    trouble.setdefault(mark.fingerprint, error.message)
    return in_place, trouble


def _version(
    version: PackageVersion,
    before: PackageVersionStatus | None,
    in_place: set[str],
    trouble: dict[str, str],
    now: datetime,
) -> PackageVersionStatus:
    """What was verified stays so, as long as the spec says the same of it."""
    mark = fingerprint(version)
    if before is None or before.fingerprint != mark:
        before = PackageVersionStatus(version=version.version, fingerprint=mark)
    if not before.verified and mark in in_place:
        before = replace(before, verified=True, verified_time=now.replace(microsecond=0))
    return replace(before, message=trouble.get(mark, "")[:1024])


def _verified(package: ApplicationPackageView, versions: Iterable[PackageVersionStatus]) -> ConditionView:
    """Whether all versions are: the first sentence that says why not."""
    waiting = [one for one in versions if not one.verified]
    sentence = next((one.message for one in waiting if one.message), "")
    reason = Reason.PACKAGE_ERROR if sentence else Reason.PACKAGE_NOT_USED if waiting else Reason.PACKAGE_VERIFIED
    if waiting and not sentence:
        sentence = f"No node has had in place yet: {', '.join(one.version for one in waiting)}."
    return ConditionView(
        type=Condition.VERIFIED,
        status=str(not waiting),
        reason=reason,
        message=sentence[:1024],
        observed_generation=package.metadata.generation,
    )
