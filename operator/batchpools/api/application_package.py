"""ApplicationPackage: programs that nodes have in place before anything runs. Source: Azure Batch REST reference, Application."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from batchpools.api.common import EPOCH_RULE, Model, Status, Text, list_map, rule, rules
from batchpools.api.references import ObjectName, PackageVersionName
from batchpools.api.states import PackageFormat

Url = Annotated[str, Field(min_length=8, max_length=2048, pattern=r"^https?://[^/?#\s]+([/?][^#\s]*)?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]
MAX_VERSIONS = 40


class PackageVersion(Model):
    """One version: an archive, and where nodes get it from."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("has(self.url) != has(self.configMapName)", "exactly one of url and configMapName must be given"),
        )
    )
    version: PackageVersionName = Field(description="How it is called.")
    url: Url | None = Field(default=None, description="Where nodes fetch the archive: http or https.")
    config_map_name: ObjectName | None = Field(
        default=None, description="A ConfigMap of this namespace that holds the archive, as its only key."
    )
    format: PackageFormat = Field(default=PackageFormat.ZIP, description="What the archive is: Zip or TarGz.")
    sha256: Sha256 | None = Field(
        default=None, description="The SHA-256 of the archive; a node takes no other one. Without it, any archive."
    )


class ApplicationPackageSpec(Model):
    """A package as the user wants it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.defaultVersion) || self.versions.exists(one, one.version == self.defaultVersion)",
                "defaultVersion must be one of versions",
            ),
        )
    )
    default_version: PackageVersionName | None = Field(
        default=None, description="The version that is meant by a reference without one."
    )
    versions: Annotated[
        list[PackageVersion], Field(min_length=1, max_length=MAX_VERSIONS, json_schema_extra=list_map("version"))
    ] = Field(description="The versions that there are. A changed one reaches nodes as they restart.")


class PackageVersionStatus(Model):
    """What nodes have said of a version."""

    version: PackageVersionName = Field(description="Which one.")
    verified: bool = Field(
        default=False,
        description="Whether a node has fetched and unpacked it as the spec has it, with the right digest.",
    )
    fingerprint: Annotated[str, Field(max_length=64)] = Field(
        default="", description="Of source, format and digest that this speaks of; others are not verified by it."
    )
    verified_time: datetime | None = Field(default=None, description="When that was first known.")
    message: Text = Field(default="", description="Why a node cannot have it now, in the node's words.")


class ApplicationPackageStatus(Status):
    """How a package stands."""

    model_config = ConfigDict(json_schema_extra=rules(EPOCH_RULE))
    versions: Annotated[
        list[PackageVersionStatus], Field(max_length=MAX_VERSIONS, json_schema_extra=list_map("version"))
    ] = Field(default=[], description="What nodes have said of each version.")


class ApplicationPackage(Model):
    """A package of programs, in versions, that pools refer to by name."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
                "the name of a package has at most 63 characters and no dots",
            ),
        )
    )
    spec: ApplicationPackageSpec = Field(description="The versions, and where they come from.")
    status: ApplicationPackageStatus = Field(
        default=ApplicationPackageStatus(),
        json_schema_extra={"default": {}},
        description="What nodes have said of it; written by the operator.",
    )
