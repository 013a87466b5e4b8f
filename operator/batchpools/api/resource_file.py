"""Files that are there before a command runs. Source: REST reference, ResourceFile."""

from typing import Annotated

from pydantic import ConfigDict, Field

from batchpools.api.common import Model, rule, rules
from batchpools.api.references import ObjectName

_PART = r"([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+)"  # of a path: neither empty, nor . or ..
_Path = Annotated[str, Field(pattern=rf"^{_PART}(/{_PART})*$", max_length=512)]
_Url = Annotated[str, Field(pattern=r"^https?://[^/?#\s]+(/[^\s]*)?(\?[^\s]*)?$", max_length=2048)]
_ONE_SOURCE = " + ".join(
    f"(has(self.{source}) ? 1 : 0)"
    for source in ("httpUrl", "storageContainerUrl", "autoStorageContainerName", "configMapName", "secretName")
)
_IN_CONTAINER = "has(self.storageContainerUrl) || has(self.autoStorageContainerName)"


class ResourceFile(Model):
    """One file, or the files of one container, ConfigMap or Secret."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"{_ONE_SOURCE} == 1",
                "exactly one of httpUrl, storageContainerUrl, autoStorageContainerName, configMapName and secretName must be given",
            ),
            rule(
                "has(self.httpUrl) ? has(self.filePath) : !has(self.sha256)",
                "with httpUrl, filePath says what the file is called; sha256 goes with httpUrl alone",
            ),
            rule(f"!has(self.blobPrefix) || {_IN_CONTAINER}", "blobPrefix goes with a storage container"),
            rule(
                f"!has(self.credentialsSecretName) || has(self.httpUrl) || {_IN_CONTAINER}",
                "credentialsSecretName goes with what is fetched over HTTP",
            ),
        )
    )
    http_url: _Url | None = Field(default=None, description="One file, over HTTP or HTTPS.")
    storage_container_url: _Url | None = Field(
        default=None,
        description="The blobs of a container of Azure Blob Storage, with its shared access signature if it needs one.",
    )
    auto_storage_container_name: (
        Annotated[str, Field(pattern=r"^[a-z0-9](-?[a-z0-9])*$", min_length=3, max_length=63)] | None
    ) = Field(
        default=None, description="The blobs of a container of the storage account that the operator was told of."
    )
    config_map_name: ObjectName | None = Field(
        default=None, description="The keys of a ConfigMap that the pool lists in configMapReferences."
    )
    secret_name: ObjectName | None = Field(
        default=None, description="The keys of a Secret that the pool lists in secretReferences."
    )
    blob_prefix: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None, description="Of a container only the blobs whose names begin so."
    )
    file_path: _Path | None = Field(
        default=None,
        description="Where it goes below the working directory: the file of httpUrl, the directory of all others.",
    )
    file_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$", max_length=4)] = Field(
        default="0770", description="Permissions, octal."
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$", max_length=64)] | None = Field(
        default=None, description="What the file must have, in hexadecimal digits."
    )
    credentials_secret_name: ObjectName | None = Field(
        default=None,
        description="A Secret that the pool lists in secretReferences, with a key token, or sasToken, or username and password.",
    )


ResourceFiles = Annotated[list[ResourceFile], Field(max_length=100)]
