"""Writes our CA into our one APIService, so that the API server trusts this replica and the others (safety rule S9.3)."""

import base64
import logging

import msgspec

from batchpools.api import names
from batchpools.kube.errors import KubeError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import API_SERVICES

_log = logging.getLogger(__name__)

NAME = f"{names.VERSION}.{names.OPS_GROUP}"


class _Spec(msgspec.Struct, rename="camel"):
    ca_bundle: str = ""


class _ApiService(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


async def write_ca_bundle(api: KubeApi, certificate: str) -> None:
    """Set caBundle where it differs. A failure is logged: leading does not depend on it."""
    wanted = base64.b64encode(certificate.encode()).decode()
    try:
        held = msgspec.json.decode(await api.get(API_SERVICES, "", NAME), type=_ApiService)
        if held.spec.ca_bundle != wanted:
            await api.patch(API_SERVICES, "", NAME, [{"op": "add", "path": "/spec/caBundle", "value": wanted}])
    except KubeError as error:
        _log.warning("the APIService %s was not given our CA: %s", NAME, error.sentence)
