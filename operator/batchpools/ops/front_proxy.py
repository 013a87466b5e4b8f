"""Decides whether a request comes from the API server: its front-proxy certificate, as the cluster publishes it.

Who the user is and what they may do was decided by the API server before (authentication, RBAC on tasks/logs and tasks/explain).
"""

import json
import ssl
from dataclasses import dataclass
from typing import Any

import msgspec

from batchpools.kube.errors import NotFoundError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import CONFIG_MAPS

_NAMESPACE, _NAME = "kube-system", "extension-apiserver-authentication"
_CA, _NAMES = "requestheader-client-ca-file", "requestheader-allowed-names"


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """The CA of the API server's client certificate, and the names it may bear (empty: any)."""

    ca: str
    names: tuple[str, ...]

    def trust(self, context: ssl.SSLContext) -> None:
        """Verify client certificates against it; a client without one gets an answer of 401."""
        context.load_verify_locations(cadata=self.ca)
        context.verify_mode = ssl.CERT_OPTIONAL

    def accepts(self, certificate: Any) -> bool:
        """Whether a verified certificate, as `getpeercert` gives it, is the API server's."""
        if not certificate:
            return False
        return not self.names or bool(common_names(certificate) & set(self.names))


def common_names(certificate: Any) -> set[str]:
    """The common names of a certificate as `getpeercert` gives it, which may be None."""
    subject = [pair for group in (certificate or {}).get("subject", ()) for pair in group]
    return {value for key, value in subject if key == "commonName"}


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] = {}


async def load_front_proxy(api: KubeApi) -> FrontProxy | None:
    """What the cluster publishes for extension API servers; None when it has no aggregation layer."""
    try:
        raw = await api.get(CONFIG_MAPS, _NAMESPACE, _NAME)
    except NotFoundError:
        return None
    published = msgspec.json.decode(raw, type=_ConfigMap).data
    if _CA not in published:
        return None
    return FrontProxy(published[_CA], tuple(json.loads(published.get(_NAMES, "[]"))))
