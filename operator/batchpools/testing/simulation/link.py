"""All connections between agents and replicas: who can be reached, what lies between, and what breaks.

A token is the uid of the pod that shows it; reviews of tokens are answered in `world`.
"""

import asyncio
from random import Random
from typing import Any

from batchpools import __version__
from batchpools.agent import sessions as agent_side
from batchpools.hub import session as hub_side
from batchpools.hub.server import Hub
from batchpools.link.messages import PROTOCOL_VERSION, Hello
from batchpools.testing.simulation.loop import Process
from batchpools.testing.simulation.network import End, Way, connect

_CONNECT_TIME = 5.0


class Link:
    """The network. `listen` and `crashed` say who is there; `way` is what lies between a pod and a replica."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._hubs: dict[str, tuple[Process, Hub]] = {}
        self._ways: dict[tuple[str, str], Way] = {}
        self._ends: list[End] = []

    def listen(self, address: str, process: Process, hub: Hub) -> None:
        """A replica answers at this address."""
        self._hubs[address] = (process, hub)

    def addresses(self) -> list[str]:
        """What the hub's name resolves to."""
        return sorted(self._hubs)

    def way(self, pod_uid: str, address: str) -> Way:
        """What lies between the two."""
        if (pod_uid, address) not in self._ways:
            self._ways[pod_uid, address] = Way()
            self._ways[pod_uid, address].delay = self._random.uniform(0.0005, 0.01)
        return self._ways[pod_uid, address]

    def ways_of(self, pod_uid: str) -> list[Way]:
        """All ways of a pod."""
        return [self.way(pod_uid, address) for address in self.addresses()]

    async def connect(self, agent: agent_side.Session, at: Process, pod_uid: str, address: str) -> None:
        """Join a new session of an agent to the replica there; OSError."""
        way = self.way(pod_uid, address)
        await asyncio.sleep(2 * way.delay)
        held = self._hubs.get(address)
        if not way.open or (held is not None and held[0].paused):
            await asyncio.sleep(_CONNECT_TIME)
            raise TimeoutError("the replica does not answer")
        if held is None or held[0].dead:
            raise ConnectionRefusedError(address)
        process, hub = held
        with process.as_running():
            theirs = hub_side.Session(hub)
        self._ends = [one for one in self._ends if not one.closed]
        self._ends += connect(agent, at, theirs, process, way)

    def crashed(self, process: Process) -> None:
        """A process dies: its peers hear of it where the way is open."""
        for end in self._ends:
            if end.process is process:
                end.vanish()

    def reset(self, pod_uid: str) -> None:
        """All connections of a pod break, on both sides."""
        ways = self.ways_of(pod_uid)
        for end in self._ends:
            if end.way in ways:
                end.process.call_soon(end.lost)

    def duplicate(self, pod_uid: str, frames: int) -> None:
        """The next frames of a pod arrive twice, as after a resend."""
        ways = self.ways_of(pod_uid)
        for end in self._ends:
            if end.way in ways:
                end.duplicates += frames


class LinkSessions(agent_side.Sessions):
    """The agent's sessions over the played link."""

    def __init__(self, link: Link, process: Process, pod_uid: str, *rest: Any) -> None:
        super().__init__(*rest)
        self._link = link
        self._process = process
        self._pod_uid = pod_uid

    async def _addresses(self) -> list[str]:
        return self._link.addresses()

    async def _connect(self, address: str) -> agent_side.Session:
        hello = Hello(PROTOCOL_VERSION, self._pod_uid, __version__, self._max_epoch())
        session = agent_side.Session(hello, self._take(address), self._leave(address))
        await self._link.connect(session, self._process, self._pod_uid, address)
        return session
