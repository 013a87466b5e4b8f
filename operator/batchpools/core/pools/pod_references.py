"""Decides which Secrets and ConfigMaps of users a node's pod mounts, and who sees them. Pure.

Certificates are files for commands, by visibility. What environments may name the agent alone sees, and resolves (safety rule
S8.7): so the operator needs no right to read any of it. All are optional for the kubelet: a pod that waits for a Secret would
say so in an Event only; the agent says it where people look.
"""

from collections.abc import Iterator, Sequence

from batchpools.api import names
from batchpools.core.node_config import PackageConfig
from batchpools.core.pools.template import Json
from batchpools.core.views import PoolSpec

_MODE = 0o440  # for the group that owns the pod's volumes


def reference_volumes(spec: PoolSpec) -> list[Json]:
    """One for each that the pool names."""
    certificates = [one.secret_name for one in spec.certificate_references]
    return [
        *_secrets(names.VOLUME_CERTIFICATE, certificates),
        *_secrets(names.VOLUME_SECRET, spec.secret_references),
        *(
            {"name": volume, "configMap": {"name": name, "optional": True}}
            for volume, name in _numbered(names.VOLUME_CONFIG_MAP, spec.config_map_references)
        ),
    ]


def package_volumes(packages: Sequence[PackageConfig]) -> list[Json]:
    """ConfigMaps that hold the archives of application packages."""
    return [
        {"name": volume, "configMap": {"name": name, "optional": True}}
        for volume, name in _numbered(names.VOLUME_PACKAGE, _sources(packages))
    ]


def package_mounts(packages: Sequence[PackageConfig]) -> list[Json]:
    """The same, for the agent."""
    found = _numbered(names.VOLUME_PACKAGE, _sources(packages))
    return [_mount(volume, f"{names.PACKAGE_SOURCES_DIR}/{name}") for volume, name in found]


def certificate_mounts(spec: PoolSpec, visibility: str = "") -> list[Json]:
    """Those of one visibility, or all of them."""
    found = enumerate(spec.certificate_references)
    return [
        _mount(f"{names.VOLUME_CERTIFICATE}{number}", f"{names.CERTIFICATES_DIR}/{one.secret_name}")
        for number, one in found
        if not visibility or visibility in one.visibility
    ]


def agent_reference_mounts(spec: PoolSpec) -> list[Json]:
    """What the agent resolves, and the certificates, so that it can say which are missing."""
    secrets = _numbered(names.VOLUME_SECRET, spec.secret_references)
    config_maps = _numbered(names.VOLUME_CONFIG_MAP, spec.config_map_references)
    return [
        *certificate_mounts(spec),
        *(_mount(volume, f"{names.REFERENCES_DIR}/Secret/{name}") for volume, name in secrets),
        *(_mount(volume, f"{names.REFERENCES_DIR}/ConfigMap/{name}") for volume, name in config_maps),
    ]


def _secrets(prefix: str, given: list[str] | tuple[str, ...]) -> Iterator[Json]:
    for volume, name in _numbered(prefix, given):
        yield {"name": volume, "secret": {"secretName": name, "optional": True, "defaultMode": _MODE}}


def _sources(packages: Sequence[PackageConfig]) -> list[str]:
    return sorted({one.config_map for one in packages if one.config_map})


def _numbered(prefix: str, given: list[str] | tuple[str, ...]) -> Iterator[tuple[str, str]]:
    return ((f"{prefix}{number}", name) for number, name in enumerate(given))


def _mount(volume: str, path: str) -> Json:
    return {"name": volume, "mountPath": path, "readOnly": True}
