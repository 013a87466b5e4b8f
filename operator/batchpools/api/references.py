"""What a pool makes available on its nodes: Secrets, ConfigMaps and application packages, by their names."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from batchpools.api.common import DnsLabel, Model, list_map

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
References = Annotated[list[ObjectName], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})]


class Visibility(StrEnum):
    """Who sees a certificate."""

    START_TASK = "StartTask"
    TASK = "Task"


class CertificateReference(Model):
    """A Secret whose files are there for commands, in a directory of its name below $AZ_BATCH_CERTIFICATES_DIR."""

    secret_name: ObjectName = Field(description="The Secret, in the pool's namespace. Nodes wait until it is there.")
    visibility: Annotated[
        list[Visibility], Field(min_length=1, max_length=2, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = Field(default=[Visibility.START_TASK, Visibility.TASK], description="Who sees it: StartTask, Task or both.")


Certificates = Annotated[list[CertificateReference], Field(max_length=16, json_schema_extra=list_map("secretName"))]

PackageVersionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", min_length=1, max_length=64)]


class ApplicationPackageReference(Model):
    """An application package that is there before anything runs, below $AZ_BATCH_NODE_ROOT_DIR/applications."""

    name: DnsLabel = Field(description="The ApplicationPackage, in the same namespace.")
    version: PackageVersionName | None = Field(
        default=None, description="Which version of it; its defaultVersion by default."
    )


ApplicationPackages = Annotated[list[ApplicationPackageReference], Field(max_length=10)]
