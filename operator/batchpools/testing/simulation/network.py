"""The link between an agent and a replica without sockets: two ends in two processes, and what lies between them.

Each direction keeps its order and may be cut on its own. A peer that has gone is noticed at once where the way is open
(its machine says so), else when two looks in a row find no answer, as the pings of the WebSocket do.
"""

from collections.abc import Callable
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

    @property
    def open(self) -> bool:
        """Whether both directions carry."""
        return not (self.up_cut or self.down_cut)


class End:
    """One end of a connection, in the place of picows' transport."""

    def __init__(self, process: Process, way: Way, is_cut: Callable[[], bool]) -> None:
        self.process = process
        self.peer: End
        self.listener: Any = None
        self.close_handshake: Any = None
        self.underlying_transport = SimpleNamespace(get_extra_info=lambda _: (process.name, 1))
        self.duplicates = 0  # how many of the next frames arrive twice
        self._way = way
        self._is_cut = is_cut
        self._arrives = 0.0
        self._closed = False
        self._missed = 0

    def send(self, kind: WSMsgType, frame: bytes) -> None:
        """Towards the peer, in order; what is cut off is lost."""
        if kind != WSMsgType.BINARY or self._closed or self._is_cut():
            return
        self._arrives = max(self._arrives, self.process.time() + self._way.delay)
        self.peer.process.call_at(self._arrives, self.peer.arrive, frame)

    def arrive(self, frame: bytes) -> None:
        """A frame of the peer."""
        if not self._closed and self.listener is not None:
            told: Any = SimpleNamespace(msg_type=WSMsgType.BINARY, get_payload_as_bytes=lambda: frame)
            self.listener.on_ws_frame(self, told)

    def disconnect(self) -> None:
        """This side closes; the peer hears of it if the way is open."""
        if self._closed:
            return
        self.process.call_soon(self.lost)
        if not self._is_cut():
            self.peer.process.call_later(self._way.delay, self.peer.lost)

    def lost(self) -> None:
        """The connection is over on this side."""
        if not self._closed:
            self._closed = True
            if self.listener is not None:
                self.listener.on_ws_disconnected(self)

    def watch(self) -> None:
        """Look now and then whether the peer is there."""
        if self._closed:
            return
        there = self._way.open and not self.peer.process.dead and not self.peer.process.paused and not self.peer._closed
        self._missed = 0 if there else self._missed + 1
        if self._missed >= 2:
            self.lost()
        else:
            self.process.call_later(_LOOK, self.watch)


def connect(agent: agent_side.Session, at: Process, hub: hub_side.Session, to: Process, way: Way) -> None:
    """Join both sessions; the hub's begins after the way's delay."""
    here = End(at, way, lambda: way.up_cut)
    there = End(to, way, lambda: way.down_cut)
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
