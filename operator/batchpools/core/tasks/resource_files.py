"""Decides what the agent is asked to bring for a list of resource files, and whether the pool lets it. Pure.

Source: REST reference, ResourceFile; safety rule S8.7 (what a pool lists, its nodes have).
"""

from collections.abc import Sequence

from batchpools.api.reasons import FailureCode
from batchpools.core.node_config import FileSource
from batchpools.core.views import PoolSpec, ResourceFile


class FilesRefusedError(ValueError):
    """The files cannot be had, wherever the command runs. The message is a sentence, the code that of the failure."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def sources_of(files: Sequence[ResourceFile]) -> list[FileSource]:
    """As the agent reads them."""
    return [_source(one) for one in files]


def check_listed(files: Sequence[ResourceFile], spec: PoolSpec, pool: str) -> None:
    """FilesRefusedError unless the pool lists what the files name."""
    for one in files:
        for kind, name, listed, field in (
            ("ConfigMap", one.config_map_name, spec.config_map_references, "configMapReferences"),
            ("Secret", one.secret_name, spec.secret_references, "secretReferences"),
            ("Secret", one.credentials_secret_name, spec.secret_references, "secretReferences"),
        ):
            if name and name not in listed:
                sentence = f"resourceFiles names {kind} {name}, which pool {pool} does not list in {field}"
                raise FilesRefusedError(FailureCode.BLOB_ACCESS_DENIED, sentence)


def _source(one: ResourceFile) -> FileSource:
    sources = {
        "Http": one.http_url,
        "Container": one.storage_container_url,
        "AutoStorage": one.auto_storage_container_name,
        "ConfigMap": one.config_map_name,
        "Secret": one.secret_name,
    }
    kind, location = next((kind, given) for kind, given in sources.items() if given)
    return FileSource(
        kind, location, one.file_path, int(one.file_mode, 8), one.blob_prefix, one.sha256, one.credentials_secret_name
    )
