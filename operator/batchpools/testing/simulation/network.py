"""The link between an agent and a replica without sockets: two ends in two processes, and what lies between them.

Each direction keeps its order and may be cut on its own: what is sent meanwhile arrives after the cut if the connection still
stands (as TCP sends again), else never. A peer that has gone is noticed at once where the way is open (its machine says so),
else when two looks in a row find no answer, as the pings of the WebSocket do.
"""

from types import SimpleNamespace
from typing import Any

from picows import WSMsgType

from batchpools.agent import sessions as agent_side
from batchpools.hub import session as hub_side
from batchpools.testing.simulation.loop import Process

_LOOK = 5.0  # seconds between two looks whether the peer is there


class Way:
    """What lies between one agent and one replica: seconds, and which direction is cut."""

    def __init__(self) -> None:
        self.delay = 0.001
        self.up_cut = False  # agent -> hub
        self.down_cut = False
        self._ends: list[End] = []

    @property
    def open(self) -> bool:
        """Whether both directions carry."""
        return not (self.up_cut or self.down_cut)

    def cut(self, *, up: bool, down: bool) -> None:
        """Cut these directions, and no others; what was held back on a way that is open again arrives now."""
        self.up_cut, self.down_cut = up, down
        self._ends = [one for one in self._ends if not one.closed]
        for end in self._ends:
            end.way_changed()

    def join(self, end: "End") -> None:
        """A connection's end on this way."""
        self._ends.append(end)


class _Frame:
    """A binary frame, as far as sessions read picows' own."""

    __slots__ = ("_payload",)
    msg_type = WSMsgType.BINARY

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def get_payload_as_bytes(self) -> bytes:
        """What it carries."""
        return self._payload


class End:
    """One end of a connection, in the place of picows' transport. up: it is the agent's."""

    def __init__(self, process: Process, way: Way, *, up: bool) -> None:
        self.process = process
        self.way = way
        self.peer: End
        self.listener: Any = None
        self.close_handshake: Any = None
        self.underlying_transport = SimpleNamespace(
            get_extra_info=lambda _: (process.name, 1), get_write_buffer_size=lambda: 0
        )
        self.duplicates = 0  # how many of the next frames arrive twice
        self.closed = False
        self._up = up
        self._held: list[bytes] = []
        self._arrives = 0.0
        self._missed = 0
        way.join(self)

    @property
    def _is_cut(self) -> bool:
        return self.way.up_cut if self._up else self.way.down_cut

    def send(self, kind: WSMsgType, frame: bytes) -> None:
        """Towards the peer, in order."""
        if kind != WSMsgType.BINARY or self.closed:
            return
        copies = 1
        if self.duplicates:
            self.duplicates -= 1
            copies = 2
        for _ in range(copies):
            if self._is_cut:
                self._held.append(frame)
            else:
                self._deliver(frame)

    def _deliver(self, frame: bytes) -> None:
        self._arrives = max(self._arrives, self.process.time() + self.way.delay)
        self.peer.process.call_at(self._arrives, self.peer.arrive, frame)

    def way_changed(self) -> None:
        """What was held back leaves, if it can."""
        if not self._is_cut:
            held, self._held = self._held, []
            for frame in held:
                self._deliver(frame)

    def arrive(self, frame: bytes) -> None:
        """A frame of the peer."""
        if not self.closed and self.listener is not None:
            self.listener.on_ws_frame(self, _Frame(frame))

    def disconnect(self, graceful: bool = True) -> None:
        """This side closes; the peer hears of it if the way is open, after all that was sent before."""
        if self.closed:
            return
        self.process.call_soon(self.lost)
        self.vanish()

    def vanish(self) -> None:
        """This side is gone; the peer hears of it if the way is open."""
        if not self._is_cut:
            self._arrives = max(self._arrives, self.process.time() + self.way.delay)
            self.peer.process.call_at(self._arrives, self.peer.lost)

    def lost(self) -> None:
        """The connection is over on this side."""
        if not self.closed:
            self.closed = True
            if self.listener is not None:
                self.listener.on_ws_disconnected(self)

    def watch(self) -> None:
        """Look now and then whether the peer is there."""
        if self.closed:
            return
        peer = self.peer
        there = self.way.open and not (peer.process.dead or peer.process.paused or peer.closed)
        self._missed = 0 if there else self._missed + 1
        if self._missed >= 2:
            self.lost()
        else:
            self.process.call_later(_LOOK, self.watch)


def connect(agent: agent_side.Session, at: Process, hub: hub_side.Session, to: Process, way: Way) -> tuple[End, End]:
    """Join both sessions, the agent's and the hub's; the hub's begins after the way's delay. The two ends."""
    here, there = End(at, way, up=True), End(to, way, up=False)
    here.peer, there.peer = there, here

    def begin() -> None:
        there.listener = hub
        transport: Any = there
        hub.on_ws_connected(transport)
        there.watch()

    to.call_later(way.delay, begin)
    here.listener = agent
    transport: Any = here
    agent.on_ws_connected(transport)
    at.call_later(_LOOK, here.watch)
    return here, there
