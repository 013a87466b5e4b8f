"""Writes our CAs into our one APIService, so that the API server trusts every replica (safety rule S9.3).

It decides nothing about CAs: while one is replaced, old and new are both in what it is given.
"""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable

import msgspec

from batchpools.api import names
from batchpools.kube.errors import KubeError, NotFoundError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import API_SERVICES

_log = logging.getLogger(__name__)

NAME = f"{names.VERSION}.{names.OPS_GROUP}"
_FIRST_DELAY, _LAST_DELAY = 1.0, 60.0


class _Spec(msgspec.Struct, rename="camel"):
    ca_bundle: str = ""


class _ApiService(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


class ApiServiceTrust:
    """The leader's part. `bundle()` is what the APIService should have now (PEM)."""

    def __init__(
        self, api: KubeApi, bundle: Callable[[], str], pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._api = api
        self._bundle = bundle
        self._pause = pause
        self._news = asyncio.Event()
        self._written = ""
        self._absent = False

    def trusts(self, certificate: str) -> bool:
        """Whether the API server has been told of that CA. Without an APIService it asks nobody, and need not be."""
        return self._absent or certificate in self._written

    def changed(self) -> None:
        """The bundle is another one."""
        self._news.set()

    async def keep(self) -> None:
        """Write caBundle where it differs, at once and whenever the bundle changes, until cancelled.

        It is tried until it holds, for Helm makes the APIService after it has started us. Leading does not wait for it.
        """
        while True:
            self._news.clear()
            await self._write_until_it_holds()
            await self._news.wait()

    async def _write_until_it_holds(self) -> None:
        delay = _FIRST_DELAY
        while (trouble := await self._write(self._bundle())) is not None:
            if delay == _FIRST_DELAY:
                _log.warning("APIService %s was not given our CA, it is tried again: %s", NAME, trouble.sentence)
            await self._pause(delay)
            delay = min(delay * 2, _LAST_DELAY)

    async def _write(self, bundle: str) -> KubeError | None:
        """Once; what stood in the way."""
        wanted = base64.b64encode(bundle.encode()).decode()
        try:
            held = msgspec.json.decode(await self._api.get(API_SERVICES, "", NAME), type=_ApiService)
            if held.spec.ca_bundle != wanted:
                operation = {"op": "add", "path": "/spec/caBundle", "value": wanted}
                await self._api.patch(API_SERVICES, "", NAME, [operation])
        except KubeError as error:
            self._absent = isinstance(error, NotFoundError)
            return error
        self._absent = False
        self._written = bundle
        return None
