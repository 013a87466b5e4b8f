"""The agent's sessions: one to every replica of the operator, kept up for ever. It carries messages, decides nothing about runs."""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from batchpools import __version__
from batchpools.api import names
from batchpools.link.framing import BadFrameError, decode_from_hub
from batchpools.link.messages import MAX_FRAME_BYTES, PROTOCOL_VERSION, FromHub, Hello, Message, Refused, Welcome
from batchpools.link.outbox import Outbox

_log = logging.getLogger(__name__)

RESOLVE_EVERY = 5.0
_FIRST_DELAY = 0.2
_LAST_DELAY = 5.0
_REFUSED_DELAY = 30.0

OnMessage = Callable[["Session", FromHub], None]


class Session(WSListener):
    """One connection to one replica; `epoch` is what that replica last said it leads with, 0 = it does not."""

    def __init__(self, hello: Hello, on_message: OnMessage) -> None:
        self._hello = hello
        self._on_message = on_message
        self._transport: WSTransport | None = None
        self._outbox = Outbox(self._write)
        self.welcome: Welcome | None = None
        self.refused: Refused | None = None
        self.epoch = 0
        self.closed = asyncio.Event()

    def send(self, message: Message) -> None:
        """Send, if the session is up."""
        if self.welcome is not None and not self.closed.is_set():
            self._outbox.add(message)

    def _write(self, frame: bytes) -> None:
        if self._transport is not None and not self.closed.is_set():
            self._transport.send(WSMsgType.BINARY, frame)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say hello first."""
        self._transport = transport
        self._outbox.add(self._hello)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 (picows' signature)
        """The session is over."""
        self.closed.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Hand every message on, in order."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        if frame.msg_type != WSMsgType.BINARY:
            return
        try:
            messages = decode_from_hub(frame.get_payload_as_bytes())
        except BadFrameError as error:
            _log.warning("the hub sent a bad frame: %s", error)
            transport.disconnect()
            return
        for message in messages:
            if isinstance(message, Welcome):
                self.welcome = message
            elif isinstance(message, Refused):
                self.refused = message
            self._on_message(self, message)


class Sessions:
    """A session to every address of the hub, made again with back-off when it ends."""

    def __init__(self, host: str, port: int, max_epoch: Callable[[], int], on_message: OnMessage) -> None:
        self._host = host
        self._port = port
        self._max_epoch = max_epoch
        self._on_message = on_message
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self.live: dict[str, Session] = {}
        self.token_file = Path(names.TOKEN_DIR, "token")
        self.ca_file = Path(names.CA_DIR, "ca.crt")

    async def run(self) -> None:
        """Follow the hub's addresses until cancelled."""
        try:
            while True:
                for address in await self._addresses():
                    keeper = self._keepers.get(address)
                    if keeper is None or keeper.done():
                        self._keepers[address] = asyncio.create_task(self._keep(address), name=f"session-{address}")
                await asyncio.sleep(RESOLVE_EVERY if self._keepers else 0.5)
        finally:
            for keeper in self._keepers.values():
                keeper.cancel()
            await asyncio.gather(*self._keepers.values(), return_exceptions=True)

    def to_leader(self, message: Message, epoch: int) -> None:
        """Send to whoever leads with this epoch; nobody: it is sent again when somebody does."""
        for session in self.live.values():
            if session.epoch == epoch:
                session.send(message)

    def to_all(self, message: Message) -> None:
        """Send to every replica."""
        for session in self.live.values():
            session.send(message)

    async def _addresses(self) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError:
            return []
        return sorted({str(entry[4][0]) for entry in found})

    async def _keep(self, address: str) -> None:
        """Keep one session up; end when the address is no longer the hub's."""
        delay = _FIRST_DELAY
        while True:
            refused = None
            try:
                session = await self._connect(address)
                self.live[address] = session
                await session.closed.wait()
                refused = session.refused
                if session.welcome is not None:
                    delay = _FIRST_DELAY
            except Exception as error:  # noqa: BLE001 (whatever a network may raise means: try again)
                _log.info("no session with %s: %r", address, error)
            finally:
                self.live.pop(address, None)
            if refused is not None:
                _log.warning("refused by %s: %s: %s", address, refused.code, refused.message)
            pause = delay if refused is None else refused.retry_after or _REFUSED_DELAY
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 (jitter, no secret)
            delay = min(delay * 2, _LAST_DELAY)
            if address not in await self._addresses():
                return

    async def _connect(self, address: str) -> Session:
        token = self.token_file.read_text().strip()
        hello = Hello(PROTOCOL_VERSION, token, __version__, self._max_epoch())
        tls = ssl.create_default_context(cafile=str(self.ca_file))

        async def connected(_: object) -> socket.socket:
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(made, (address, self._port)), 5)
            return made

        _, session = await ws_connect(
            lambda: Session(hello, self._on_message),
            f"wss://{names.HUB_SERVER_NAME}:{self._port}{names.HUB_PATH}",
            ssl_context=tls,
            socket_factory=connected,
            max_frame_size=MAX_FRAME_BYTES,
            use_aiofastnet=False,  # uvloop brings its own, older, TLS
            enable_auto_ping=True,
            auto_ping_idle_timeout=5,
            auto_ping_reply_timeout=5,
        )
        assert isinstance(session, Session)  # noqa: S101 (what the factory made)
        return session
