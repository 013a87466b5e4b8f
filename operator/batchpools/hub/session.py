"""One connection of an agent, from hello to its end. It checks who is there and how much is said, then hands messages on.

Nothing that comes over it may disturb another session: what is no frame, what is too much, and what is never read by the other
end is cut off (safety rule S9.1).
"""

import asyncio
import logging
from typing import Protocol

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from batchpools.hub.port import NodeIdentity
from batchpools.hub.vouching import Pings
from batchpools.link.bounds import MAX_ACKNOWLEDGED, clip
from batchpools.link.budget import Budget
from batchpools.link.framing import BadFrameError, decode_from_agent, weight
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

_log = logging.getLogger(__name__)

HELLO_TIME = 5.0
MAX_UNREAD = 32 << 20  # bytes that the other end has not read
MAX_UNREAD_RUNS = 4 << 20  # with so many, no run is added: a run has at most 1 MiB, and fewer than 4 bytes a character
_GOODBYE = 0.2  # seconds for a refusal to leave before the connection is cut
_FAREWELL = 2.0  # seconds for what was said to be read before the socket goes without
_ASK_AGAIN = 0.5
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

    def may_say(self, session: "Session", cost: float, size: int) -> bool:
        """Whether so much more may be said by whoever this is."""
        ...

    def pause_of(self, session: "Session") -> float:
        """Seconds that whoever this is has to wait after having said too much."""
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
        self.budget: Budget | None = None  # of a stranger at first, of its node once admitted; the owner's to keep
        self.closed = False
        self._is_refused = False
        self._is_gone = False
        self._acknowledged: list[str] = []  # parts of the inventory that is coming
        self._runs_waiting = 0  # characters of the runs that leave at the end of this turn

    def send(self, message: Message) -> None:
        """Send in this turn of the loop."""
        if not self.closed:
            self._outbox.add(message)

    def send_run(self, run: Run, characters: int) -> bool:
        """Send a run; False while too much is on its way already."""
        if self.closed or self._runs_waiting + self._unread() > MAX_UNREAD_RUNS:
            return False
        self._runs_waiting += characters
        self._outbox.add(run)
        return True

    def refuse(self, code: Refusal, sentence: str, retry_after: float = 0.0) -> None:
        """Say why, and close; nothing that it says from now on is heard."""
        if self.is_over:
            return
        self._is_refused = True
        self._owner.refused(self, code, sentence)
        self.send(Refused(code, clip(sentence), retry_after))
        asyncio.get_running_loop().call_later(_GOODBYE, self.close)

    def flush(self) -> None:
        """Send now what waits for the end of this turn."""
        self._outbox.flush()

    @property
    def is_over(self) -> bool:
        """Whether it is refused or closed: nothing that it says counts."""
        return self._is_refused or self.closed

    def close(self) -> None:
        """Cut the connection: nothing is sent or heard any more. Who does not read what was sent is cut without it."""
        if self._transport is not None and not self.closed:
            asyncio.get_running_loop().call_later(_FAREWELL, self._abort)
        self.closed = True
        if self._transport is not None:
            self._transport.disconnect()

    def _abort(self) -> None:
        if self._transport is not None and not self._is_gone:
            self._transport.disconnect(graceful=False)

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
        self.closed = self._is_gone = True
        self._cancel_deadline()
        if self._admission is not None:
            self._admission.cancel()
        self._owner.ended(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Decode and hand on; the first bad frame, or the one that is too much, ends the session."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        if self.is_over:
            return
        payload = frame.get_payload_as_bytes()
        if frame.msg_type in {WSMsgType.PING, WSMsgType.PONG}:
            if self._may_say(1.0, len(payload)) and frame.msg_type == WSMsgType.PING:
                transport.send_pong(payload)
            return
        try:
            messages = decode_from_agent(payload)
        except BadFrameError as error:
            self.refuse(Refusal.BAD_FRAME, f"that is no frame of this protocol: {error}")
            return
        if not self._may_say(weight(messages), len(payload)):
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
            if len(self._acknowledged) > MAX_ACKNOWLEDGED:
                self._acknowledged = []
                self.refuse(Refusal.FLOODING, f"an inventory of more than {MAX_ACKNOWLEDGED} ids")
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
            self._admission.add_done_callback(self._decided)

    def _decided(self, admission: asyncio.Task[None]) -> None:
        """A review that fails in an unforeseen way leaves nobody waiting."""
        if not admission.cancelled() and (error := admission.exception()) is not None:
            _log.error("a hello could not be decided: %r", error, exc_info=error)
            self.refuse(Refusal.UNKNOWN_NODE, "the token cannot be reviewed now", _ASK_AGAIN)

    def _may_say(self, cost: float, size: int) -> bool:
        if self._owner.may_say(self, cost, size):
            return True
        self.refuse(Refusal.FLOODING, "more was said than a node can mean", self._owner.pause_of(self))
        return False

    def admitted(self, node: NodeIdentity) -> None:
        """The hello was good."""
        self.node = node

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _too_late(self) -> None:
        self.refuse(Refusal.BAD_FRAME, f"no hello within {HELLO_TIME:g} s")

    def _write(self, frame: bytes) -> None:
        if self._transport is None or self.closed:
            return
        if self._unread() > MAX_UNREAD:
            if not self.is_over:
                self._owner.refused(self, Refusal.FLOODING, "it does not read what it is told")
            self.close()
            self._abort()
            return
        self._transport.send(WSMsgType.BINARY, frame)

    def _unread(self) -> int:
        """Bytes that the other end has not taken yet, beside those in the kernel's buffers."""
        return int(self._transport.underlying_transport.get_write_buffer_size()) if self._transport is not None else 0

    def _allowed(self, message: Message) -> bool:
        self._runs_waiting = 0
        return not isinstance(message, Run) or self._owner.may_dispatch()

    def _held_back(self, message: Message) -> None:
        if isinstance(message, Run):
            self._owner.undelivered(self, message)
