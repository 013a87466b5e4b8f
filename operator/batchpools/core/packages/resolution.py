"""Decides which archives a pool's references mean now, and what is missing. Pure.

Source: Azure Batch REST reference, applicationPackageReferences (InvalidApplicationPackageReferences): a reference without a
version means the default one, and is an error where there is none.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from batchpools.core.node_config import PackageConfig
from batchpools.core.views import ApplicationPackageReference, ApplicationPackageView, PackageVersion, PoolView

_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Packages:
    """What references mean. missing: why they cannot be met, in sentences; empty when they can."""

    found: tuple[PackageConfig, ...] = ()
    missing: str = ""


NO_PACKAGES = Packages()


def resolve(
    references: Iterable[ApplicationPackageReference], find: Callable[[str], ApplicationPackageView | None]
) -> Packages:
    """Each once, in the order of the references. find: a package of the same namespace, by name."""
    found: dict[tuple[str, str], PackageConfig] = {}
    missing: dict[str, None] = {}
    for one in references:
        package = find(one.name)
        version, why = _version(one, package)
        if package is None or version is None:
            missing[why] = None
            continue
        is_default = version.version == package.spec.default_version
        found[one.name, version.version] = _config(one.name, version, is_default=is_default)
    return Packages(tuple(found.values()), " ".join(missing))


def pools_with(package: ApplicationPackageView, pools: Iterable[PoolView]) -> list[PoolView]:
    """Those that refer to a package."""
    place = (package.metadata.namespace, package.metadata.name)
    return [
        pool
        for pool in pools
        if any((pool.metadata.namespace, one.name) == place for one in pool.spec.application_package_references)
    ]


def fingerprint(version: PackageVersion) -> str:
    """Changes with everything of a version that decides what is in its folder on a node."""
    parts = (version.format, version.url, version.config_map_name, version.sha256.lower())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_LENGTH]


def _version(
    reference: ApplicationPackageReference, package: ApplicationPackageView | None
) -> tuple[PackageVersion | None, str]:
    """The version that is meant, or why there is none."""
    if package is None:
        return None, f"Application package {reference.name} does not exist."
    wanted = reference.version or package.spec.default_version
    if not wanted:
        return None, f"Application package {reference.name} has no default version: the reference must name one."
    version = next((one for one in package.spec.versions if one.version == wanted), None)
    return version, "" if version else f"Application package {reference.name} has no version {wanted}."


def _config(name: str, version: PackageVersion, *, is_default: bool) -> PackageConfig:
    return PackageConfig(
        name=name,
        version=version.version,
        fingerprint=fingerprint(version),
        format=version.format,
        url=version.url,
        config_map=version.config_map_name,
        sha256=version.sha256.lower(),
        is_default=is_default,
    )
