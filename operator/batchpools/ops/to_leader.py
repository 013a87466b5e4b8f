"""Hands a question on to the leader, over mutual TLS: only it knows queues and what runs this moment (safety rule S2.5).

It decides nothing about the answer: status, type and body come through as the leader gave them, piece by piece.
"""

import ssl
from collections.abc import Callable
from typing import NamedTuple

import aiohttp
from aiohttp import web

from batchpools.api import names
from batchpools.hub.certificates import Issued, client_context
from batchpools.ops import answers
from batchpools.ops.front_proxy import common_names

_CONNECT_TIME = 2.0  # seconds
_KEPT = ("Content-Type", "Retry-After")


class Standing(NamedTuple):
    """What a replica knows of the group it belongs to.

    service: the name in everybody's server certificate. leading(): whether this replica leads. leader(): where the leader
    answers (`host:port`), empty when nobody leads.
    """

    service: str
    leading: Callable[[], bool]
    leader: Callable[[], str]


class ToLeader:
    """A client of the leader's aggregated API."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._context: ssl.SSLContext | None = None
        self._client: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Make the client; it asks nobody before it has something to show."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIME)
        self._client = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)

    def show(self, issued: Issued, bundle: str) -> None:
        """From the next connection on show this certificate, and believe servers of those CAs (PEM)."""
        self._context = client_context(issued, bundle)

    async def stop(self) -> None:
        """Close the connections; answers on their way are cut."""
        if self._client is not None:
            await self._client.close()

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """The leader's answer; 503 with Retry-After when nobody leads or the leader cannot be reached."""
        address = self._standing.leader()
        if self._client is None or self._context is None or not address:
            return answers.no_leader("No replica of the operator leads at the moment.")
        url = f"https://{address}{request.rel_url}"
        try:
            name = self._standing.service
            body = await request.read() if request.can_read_body else None
            async with self._client.request(
                request.method, url, data=body, ssl=self._context, server_hostname=name
            ) as answer:
                return await _copy(request, answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            return answers.no_leader(f"The leader cannot be reached now: {error}")


async def _copy(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    try:
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
    except (aiohttp.ClientError, ConnectionResetError):  # the leader or the reader went away
        answers.cut(request)
    return response


def is_replica(certificate: object) -> bool:
    """Whether a verified certificate, as `getpeercert` gives it, is that of another replica."""
    return names.REPLICA_CLIENT_NAME in common_names(certificate)
