"""Writes our CA into our one APIService, so that the API server trusts this replica and the others (safety rule S9.3)."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable

import msgspec

from batchpools.api import names
from batchpools.kube.errors import KubeError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import API_SERVICES

_log = logging.getLogger(__name__)

NAME = f"{names.VERSION}.{names.OPS_GROUP}"
_FIRST_DELAY, _LAST_DELAY = 1.0, 60.0


class _Spec(msgspec.Struct, rename="camel"):
    ca_bundle: str = ""


class _ApiService(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


async def write_ca_bundle(
    api: KubeApi, certificate: str, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Set caBundle where it differs; tried until it holds, for Helm makes the APIService after it has started us.

    Leading does not wait for it. Should it come after we lost the Lease: every replica would write the same.
    """
    delay = _FIRST_DELAY
    while (trouble := await _write(api, certificate)) is not None:
        if delay == _FIRST_DELAY:
            _log.warning("APIService %s was not given our CA, it is tried again: %s", NAME, trouble.sentence)
        await pause(delay)
        delay = min(delay * 2, _LAST_DELAY)


async def _write(api: KubeApi, certificate: str) -> KubeError | None:
    """Once; what stood in the way."""
    wanted = base64.b64encode(certificate.encode()).decode()
    try:
        held = msgspec.json.decode(await api.get(API_SERVICES, "", NAME), type=_ApiService)
        if held.spec.ca_bundle != wanted:
            await api.patch(API_SERVICES, "", NAME, [{"op": "add", "path": "/spec/caBundle", "value": wanted}])
    except KubeError as error:
        return error
    return None
