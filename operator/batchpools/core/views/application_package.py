"""An ApplicationPackage as decisions read it. Shapes only."""

from datetime import datetime

from batchpools.core.views.base import ConditionView, Meta, View


class PackageVersion(View, frozen=True):
    """One version: an archive at one of url and config_map_name."""

    version: str
    url: str = ""
    config_map_name: str = ""
    format: str = "Zip"
    sha256: str = ""


class ApplicationPackageSpec(View, frozen=True):
    """A package as the user wants it."""

    default_version: str = ""
    versions: tuple[PackageVersion, ...] = ()


class PackageVersionStatus(View, frozen=True):
    """What nodes have said of a version, as it was with that fingerprint."""

    version: str
    verified: bool = False
    fingerprint: str = ""
    verified_time: datetime | None = None
    message: str = ""


class ApplicationPackageStatus(View, frozen=True):
    """How a package stands."""

    observed_generation: int = 0
    epoch: int = 0
    conditions: tuple[ConditionView, ...] = ()
    versions: tuple[PackageVersionStatus, ...] = ()


class ApplicationPackageView(View, frozen=True):
    """One ApplicationPackage."""

    metadata: Meta
    spec: ApplicationPackageSpec = ApplicationPackageSpec()
    status: ApplicationPackageStatus = ApplicationPackageStatus()
