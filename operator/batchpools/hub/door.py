"""The hub's port: decides which TCP connections may begin a handshake at all (safety rule S9.1), and makes them WebSockets.

A task may open TCP to the hub. The library would count nobody before TLS and the upgrade are done, so whoever opens connections
and says nothing could take all descriptors of the process; here each connection counts against its address from its first packet.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable

from picows import WSAutoPingStrategy, WSUpgradeRequest
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # it is not in their stubs

from batchpools.hub.session import Session
from batchpools.hub.socket_log import SocketLog
from batchpools.link.messages import MAX_FRAME_BYTES

_log = logging.getLogger(__name__)

HANDSHAKE_TIME = 5.0  # seconds for TLS, and again for the upgrade
_QUIET = 5.0  # seconds without a word after which the other end is asked, and again until it is given up
_BACKLOG = 512
_PAUSE = 0.1  # seconds, when the process has no descriptor left
_READ_BUFFER = 16 << 10

Listener = Callable[[WSUpgradeRequest], Session | None]


class Door:
    """`arrives(address)` says whether a connection may go on, `leaves(address)` is called once for each that did arrive.

    A connection leaves when it is a WebSocket (its session counts from then on) or is gone.
    """

    def __init__(self, listener: Listener, arrives: Callable[[str], bool], leaves: Callable[[str], None]) -> None:
        self._listener = listener
        self._arrives = arrives
        self._leaves = leaves
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._shaking: set[asyncio.Task[None]] = set()

    def open(self, tls: ssl.SSLContext, port: int, host: str | None) -> int:
        """Listen, on all interfaces unless `host` is given; the port."""
        self._socket = _listening(port, host)
        self._accepting = asyncio.get_running_loop().create_task(self._accept(self._socket, tls), name="hub")
        return int(self._socket.getsockname()[1])

    async def close(self) -> None:
        """Accept nobody any more; sessions are not touched."""
        begun = [one for one in (self._accepting, *self._shaking) if one is not None]
        for one in begun:
            one.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listening: socket.socket, tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                made, peer = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    _log.error("no connection can be accepted: %s", error)
                await asyncio.sleep(_PAUSE)
                continue
            leave = _Once(self._leaves, str(peer[0]))
            if not self._arrives(leave.address):
                leave()
                made.close()
                continue
            shaking = loop.create_task(self._shake_hands(made, tls, leave))
            self._shaking.add(shaking)
            shaking.add_done_callback(self._shaking.discard)

    async def _shake_hands(self, made: socket.socket, tls: ssl.SSLContext, leave: "_Once") -> None:
        """TLS; the protocol goes on by itself."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: _Connection(self._listener, leave), made, ssl=tls, ssl_handshake_timeout=HANDSHAKE_TIME
            )
        except OSError:  # of SSL too
            leave()
            made.close()
        except BaseException:
            leave()
            made.close()
            raise


class _Once:
    """Leave, once."""

    def __init__(self, leaves: Callable[[str], None], address: str) -> None:
        self._leaves: Callable[[str], None] | None = leaves
        self.address = address

    def __call__(self) -> None:
        leaves, self._leaves = self._leaves, None
        if leaves is not None:
            leaves(self.address)


class _Connection(WSProtocol):  # type: ignore[misc]  # picows has no types
    """picows' own server side of a connection, made as `picows.ws_create_server` makes it."""

    def __init__(self, listener: Listener, leave: _Once) -> None:
        def upgraded(request: WSUpgradeRequest) -> Session | None:
            session = listener(request)
            if session is not None:
                leave()  # the session counts it from now on
            return session

        self._leave = leave
        super().__init__(
            None,  # host and port: of a client
            None,  # path
            False,  # is_client_side
            upgraded,
            SocketLog(),
            True,  # disconnect_on_exception
            HANDSHAKE_TIME,
            True,  # enable_auto_ping
            _QUIET,
            _QUIET,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # enable_auto_pong: the session answers, for it counts
            MAX_FRAME_BYTES,
            None,  # extra headers
            _READ_BUFFER,
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whether it ever was a WebSocket or not."""
        self._leave()
        super().connection_lost(exc)


def _listening(port: int, host: str | None) -> socket.socket:
    if host is None and socket.has_dualstack_ipv6():
        try:
            made = socket.create_server(("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            made = socket.create_server(("", port), backlog=_BACKLOG)
    else:
        made = socket.create_server((host or "", port), backlog=_BACKLOG)
    made.setblocking(False)
    return made
