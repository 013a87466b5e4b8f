"""One connection of an agent, from hello to its end. It checks who is there, then hands messages on."""

import asyncio
from typing import Protocol

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from batchpools.hub.port import NodeIdentity
from batchpools.hub.vouching import Pings
from batchpools.link.framing import BadFrameError, decode_from_agent
from batchpools.link.messages import (
    PROTOCOL_VERSION,
    FromAgent,
    Hello,
    Inventory,
    InventoryPart,
    Message,
    NodeReport,
    Refused,
    Run,
)
from batchpools.link.outbox import Outbox
from batchpools.link.words import Refusal

HELLO_TIME = 5.0
_GOODBYE = 0.2  # seconds for a refusal to leave before the connection is cut
_NO_FRAMES = {WSCloseCode.MESSAGE_TOO_BIG, WSCloseCode.PROTOCOL_ERROR}  # why picows itself ends a connection


class SessionOwner(Protocol):
    """What a session needs of the hub."""

    def connected(self, session: "Session") -> bool:
        """Whether a new connection may say hello."""
        ...

    def may_dispatch(self) -> bool:
        """Whether a Run may leave now."""
        ...

    async def admit(self, session: "Session", hello: Hello) -> None:
        """Decide about a hello: admit or refuse."""
        ...

    def received(self, session: "Session", message: FromAgent) -> None:
        """A message of an admitted session."""
        ...

    def ended(self, session: "Session") -> None:
        """The connection is gone."""
        ...

    def refused(self, session: "Session", code: Refusal, sentence: str) -> None:
        """A session is turned away or cut: counted, and logged once."""
        ...

    def undelivered(self, session: "Session", run: Run) -> None:
        """A Run was held back at the last moment."""
        ...


class Session(WSListener):
    """`node` is set once admitted; `inventory_epoch` is the epoch of the last inventory, `vouched_epoch` that of the last pong."""

    def __init__(self, owner: SessionOwner) -> None:
        self._owner = owner
        self._transport: WSTransport | None = None
        self._admission: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._outbox = Outbox(self._write, self._allowed, self._held_back)
        self.address = "unknown"
        self.node: NodeIdentity | None = None
        self.report: NodeReport | None = None
        self.inventory_epoch = 0
        self.vouched_epoch = 0
        self.pings = Pings()
        self.closed = False
        self._is_refused = False
        self._acknowledged: list[str] = []  # parts of the inventory that is coming

    def send(self, message: Message) -> None:
        """Send in this turn of the loop."""
        if not self.closed:
            self._outbox.add(message)

    def refuse(self, code: Refusal, sentence: str, retry_after: float = 0.0) -> None:
        """Say why, and close; nothing that it says from now on is heard."""
        if self.is_over:
            return
        self._is_refused = True
        self._owner.refused(self, code, sentence)
        self.send(Refused(code, sentence, retry_after))
        asyncio.get_running_loop().call_later(_GOODBYE, self.close)

    def flush(self) -> None:
        """Send now what waits for the end of this turn."""
        self._outbox.flush()

    @property
    def is_over(self) -> bool:
        """Whether it is refused or closed: nothing that it says counts."""
        return self._is_refused or self.closed

    def close(self) -> None:
        """Cut the connection: nothing is sent or heard any more."""
        self.closed = True
        if self._transport is not None:
            self._transport.disconnect()

    # ---------------------------------------------------------------- picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Wait for a hello, not for long."""
        self._transport = transport
        peer = transport.underlying_transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "unknown"
        if not self._owner.connected(self):
            self.close()
            return
        self._deadline = asyncio.get_running_loop().call_later(HELLO_TIME, self._too_late)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        sent = transport.close_handshake.sent if transport.close_handshake is not None else None
        if sent is not None and sent.code in _NO_FRAMES and not self.is_over:
            self._owner.refused(self, Refusal.BAD_FRAME, sent.reason)
        self.closed = True
        self._cancel_deadline()
        if self._admission is not None:
            self._admission.cancel()
        self._owner.ended(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Decode and hand on; the first bad frame ends the session."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        if frame.msg_type not in {WSMsgType.BINARY, WSMsgType.TEXT, WSMsgType.CONTINUATION} or self.closed:
            return
        try:
            messages = decode_from_agent(frame.get_payload_as_bytes())
        except BadFrameError as error:
            self.refuse(Refusal.BAD_FRAME, f"that is no frame of this protocol: {error}")
            return
        for message in messages:
            if not self.is_over:
                self._take(message)

    # ---------------------------------------------------------------- inside

    def _take(self, message: FromAgent) -> None:
        if self.node is None:
            self._take_first(message)
        elif isinstance(message, InventoryPart):
            self._acknowledged += message.acknowledged
        elif isinstance(message, Inventory):
            parts, self._acknowledged = self._acknowledged, []
            self._owner.received(self, msgspec.structs.replace(message, acknowledged=parts + message.acknowledged))
        else:
            if isinstance(message, NodeReport):
                self.report = message
            self._owner.received(self, message)

    def _take_first(self, message: FromAgent) -> None:
        """Nothing counts before a hello, and nothing but one."""
        if not isinstance(message, Hello) or self._admission is not None:
            self.refuse(Refusal.BAD_FRAME, "the first message is a hello, and the next comes after the welcome")
        elif message.version != PROTOCOL_VERSION:
            sentence = (
                f"this operator speaks protocol {PROTOCOL_VERSION}, the agent {message.version}: replace the node's pod"
            )
            self.refuse(Refusal.BAD_PROTOCOL, sentence)
        else:
            self._cancel_deadline()
            self._admission = asyncio.get_running_loop().create_task(self._owner.admit(self, message))

    def admitted(self, node: NodeIdentity) -> None:
        """The hello was good."""
        self.node = node

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _too_late(self) -> None:
        self.refuse(Refusal.BAD_FRAME, f"no hello within {HELLO_TIME:g} s")

    def _write(self, frame: bytes) -> None:
        if self._transport is not None and not self.closed:
            self._transport.send(WSMsgType.BINARY, frame)

    def _allowed(self, message: Message) -> bool:
        return not isinstance(message, Run) or self._owner.may_dispatch()

    def _held_back(self, message: Message) -> None:
        if isinstance(message, Run):
            self._owner.undelivered(self, message)
