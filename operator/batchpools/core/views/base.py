"""What the views of all kinds have in common. Shapes only."""

from datetime import datetime

import msgspec


class View(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Base of all views: frozen, camelCase on the wire, absent fields have defaults."""


class OwnerReference(View, frozen=True):
    """Who owns an object."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Meta(View, frozen=True):
    """ObjectMeta as far as we read it."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class ConditionView(View, frozen=True, omit_defaults=False):
    """One condition; message may be empty."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    observed_generation: int = 0


class KeyReference(View, frozen=True):
    """A key of a Secret or ConfigMap."""

    name: str
    key: str
    optional: bool = False


class EnvVarSource(View, frozen=True):
    """Where a value comes from: one of the two."""

    secret_key_ref: KeyReference | None = None
    config_map_key_ref: KeyReference | None = None


class EnvVar(View, frozen=True):
    """An environment variable."""

    name: str
    value: str = ""
    value_from: EnvVarSource | None = None


class ResourceFile(View, frozen=True):
    """Files that are there before a command runs: of one source, by `api.resource_file`. Empty texts: not given."""

    http_url: str = ""
    storage_container_url: str = ""
    auto_storage_container_name: str = ""
    config_map_name: str = ""
    secret_name: str = ""
    blob_prefix: str = ""
    file_path: str = ""
    file_mode: str = "0770"
    sha256: str = ""
    credentials_secret_name: str = ""


class FailureInfo(View, frozen=True):
    """Why a task or start task failed."""

    category: str
    code: str
    message: str = ""
