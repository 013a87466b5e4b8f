"""The agent's sessions: one to every replica of the operator, kept up for ever. It carries messages, decides nothing about runs.

A hub that sends what is no frame, or more than a leader can mean, costs itself the session and the node nothing (safety rule S9.1).
"""

import asyncio
import logging
import math
import random
import socket
import ssl
from collections.abc import Callable

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from batchpools import __version__
from batchpools.agent.places import Places
from batchpools.api import names
from batchpools.link.budget import Budget
from batchpools.link.framing import BadFrameError, decode_from_hub, weight
from batchpools.link.messages import MAX_FRAME_BYTES, PROTOCOL_VERSION, FromHub, Hello, Message, Refused, Welcome
from batchpools.link.outbox import Outbox

_log = logging.getLogger(__name__)

RESOLVE_EVERY = 5.0
_CONNECT_TIME = 5.0
_FIRST_DELAY = 0.2
_LAST_DELAY = 5.0
_REFUSED_DELAY = 30.0
_LONGEST_DELAY = 60.0  # whatever a refusal asks for

OnMessage = Callable[["Session", FromHub], None]


class Session(WSListener):
    """One connection to one replica; `epoch` is what that replica last said it leads with, 0 = it does not."""

    def __init__(self, hello: Hello, on_message: OnMessage, on_closed: Callable[["Session"], None]) -> None:
        self._hello = hello
        self._on_message = on_message
        self._on_closed = on_closed
        self._transport: WSTransport | None = None
        self._outbox = Outbox(self._write)
        self.welcome: Welcome | None = None
        self.refused: Refused | None = None
        self.epoch = 0
        self.closed = asyncio.Event()
        self._budget = Budget(_now(), size=math.inf)  # runs are large; how many there can be is what the slots allow
        self._is_cut = False

    def send(self, message: Message) -> None:
        """Send, if the session is up."""
        if self.welcome is not None and not self.closed.is_set():
            self._outbox.add(message)

    def close(self) -> None:
        """Cut the connection; what still arrives over it is not heard."""
        self._is_cut = True
        if self._transport is not None:
            self._transport.disconnect()

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
        self._on_closed(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Hand every message on, in order."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        if frame.msg_type != WSMsgType.BINARY or self._is_cut:
            return
        try:
            messages = decode_from_hub(frame.get_payload_as_bytes())
        except BadFrameError as error:
            _log.warning("the hub sent a bad frame: %s", error)
            self.close()
            return
        if not self._budget.spend(weight(messages), 0, _now()):
            _log.warning("the hub said more than a leader can mean")
            self.close()
            return
        for message in messages:
            self._take(message)

    def _take(self, message: FromHub) -> None:
        if self._is_cut:
            return
        if isinstance(message, Welcome):
            self.welcome = message
        elif isinstance(message, Refused):
            self.refused = message
        self._on_message(self, message)


class Sessions:
    """A session to every address of the hub, made again with back-off when it ends."""

    def __init__(
        self, host: str, port: int, places: Places, max_epoch: Callable[[], int], on_message: OnMessage
    ) -> None:
        self._host = host
        self._port = port
        self._places = places
        self._max_epoch = max_epoch
        self._on_message = on_message
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._live: dict[str, Session] = {}
        self._complaints: dict[str, str] = {}  # by address: what was last logged of it

    async def run(self) -> None:
        """Follow the hub's addresses until cancelled."""
        try:
            while True:
                self._keepers = {one: keeper for one, keeper in self._keepers.items() if not keeper.done()}
                for address in await self._addresses():
                    if address not in self._keepers:
                        self._keepers[address] = asyncio.create_task(self._keep(address), name=f"session-{address}")
                await asyncio.sleep(RESOLVE_EVERY if self._keepers else _FIRST_DELAY)
        finally:
            for keeper in self._keepers.values():
                keeper.cancel()
            await asyncio.gather(*self._keepers.values(), return_exceptions=True)

    def to_leader(self, message: Message, epoch: int) -> None:
        """Send to whoever leads with this epoch; nobody: it is sent again when somebody does."""
        for session in self._live.values():
            if session.epoch == epoch:
                session.send(message)

    def to_all(self, message: Message) -> None:
        """Send to every replica."""
        for session in self._live.values():
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
            pause = delay
            try:
                session = await self._connect(address)
                try:
                    await session.closed.wait()
                finally:
                    session.close()
                delay = pause = _FIRST_DELAY if session.welcome is not None else delay
                if session.refused is not None:
                    refused = session.refused
                    self._complain(address, f"refused, {refused.code}: {refused.message}")
                    pause = min(refused.retry_after or _REFUSED_DELAY, _LONGEST_DELAY)
            except (OSError, ValueError, WSError) as error:  # ValueError: a token or a CA that is no text
                self._complain(address, repr(error))
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 (jitter, no secret)
            delay = min(delay * 2, _LAST_DELAY)
            if address not in await self._addresses():
                self._complaints.pop(address, None)
                return

    def _complain(self, address: str, sentence: str) -> None:
        """Log why there is no session, once for each reason."""
        if self._complaints.get(address) != sentence:
            self._complaints[address] = sentence
            _log.warning("no session with %s: %s", address, sentence)

    async def _connect(self, address: str) -> Session:
        token = self._places.token_file.read_text().strip()
        hello = Hello(PROTOCOL_VERSION, token, __version__, self._max_epoch())
        tls = ssl.create_default_context(cafile=str(self._places.ca_file))

        async def connected(_: object) -> socket.socket:
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                async with asyncio.timeout(_CONNECT_TIME):
                    await asyncio.get_running_loop().sock_connect(made, (address, self._port))
            except BaseException:
                made.close()
                raise
            return made

        _, session = await ws_connect(
            lambda: Session(hello, self._take(address), self._leave(address)),
            f"wss://{names.HUB_SERVER_NAME}:{self._port}{names.HUB_PATH}",
            ssl_context=tls,
            socket_factory=connected,
            max_frame_size=MAX_FRAME_BYTES,
            use_aiofastnet=False,  # uvloop brings its own, older, TLS
            enable_auto_ping=True,
            auto_ping_idle_timeout=5,
            auto_ping_reply_timeout=5,
        )
        if not isinstance(session, Session):  # the library lets go of it when the connection is lost with the handshake
            raise ConnectionResetError("the connection was lost with its handshake")
        return session

    def _take(self, address: str) -> OnMessage:
        """A session counts from its welcome on: before anything that it says is acted upon."""

        def take(session: Session, message: FromHub) -> None:
            if isinstance(message, Welcome):
                self._live[address] = session
                self._complaints.pop(address, None)
            self._on_message(session, message)

        return take

    def _leave(self, address: str) -> Callable[["Session"], None]:
        def leave(session: Session) -> None:
            if self._live.get(address) is session:
                del self._live[address]

        return leave


def _now() -> float:
    return asyncio.get_running_loop().time()
