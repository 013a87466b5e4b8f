"""A node as it is, machine, journal and sessions, without sockets: what a hub sends is made up, and the runner is strict.

Two replicas: `rogue`, whose frames the tests make up, and `leader`, with which the node has a session, a run and an epoch.
Time is virtual.
"""

import asyncio
import math
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from picows import WSMsgType

from batchpools.agent.node import Doors, Node
from batchpools.agent.places import Places
from batchpools.agent.runner_client import RunnerClient
from batchpools.agent.sessions import Session
from batchpools.core.node_config import NodeConfig
from batchpools.link import messages as link
from batchpools.link.framing import decode_from_agent, encode
from batchpools.testing.runner_model import usage_after
from batchpools.testing.virtual_time import VirtualClock

EPOCH = 5
OWN_RUN = "uid-own:-:5:1"
_INT64 = 1 << 63


class StrictRunner:
    """Takes what the Go program takes: finite numbers in 64 bits, text, no frame beyond its limit."""

    def __init__(self) -> None:
        self.hello: dict[str, Any] = {
            "op": "hello", "bootId": "boot", "env": ["PATH=/bin"], "finished": [], "acked": [],
            "running": [{"id": OWN_RUN, "label": "job.own", "startedAt": 1.0}],
        }  # fmt: skip
        self.told: list[dict[str, Any]] = []
        self.asked = 0

    def listen(self, _: Any) -> asyncio.Task[None]:
        """For as long as the test runs."""
        return asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]

    def tell(self, op: str, **fields: Any) -> None:
        """A message without an answer."""
        _check(fields)
        self.told = [*self.told[-100:], {"op": op, **fields}]

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """A question."""
        _check({"op": op, **fields})
        self.asked += 1
        return usage_after(0.0) if op == "usage" else {"op": "removed"}

    async def read(self, path: str, offset: int, limit: int) -> tuple[bytes, int, int]:
        """A file."""
        _check([path, offset, limit])
        self.asked += 1
        return b"hello", 0, 5

    async def close(self) -> None:
        """It stays."""


def _check(value: Any) -> None:
    if isinstance(value, float):
        assert math.isfinite(value), value
    elif isinstance(value, int):
        assert -_INT64 <= value < _INT64, value
    elif isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for one in value.values():
            _check(one)
    elif isinstance(value, list | tuple):
        for one in value:
            _check(one)


class Wire:
    """A connection of the agent, in the place of picows' transport."""

    def __init__(self, post: "Post") -> None:
        self.is_cut = False
        self.said: list[link.FromAgent] = []
        self.session = Session(link.Hello(link.PROTOCOL_VERSION, "token", "0", 0), post.take, lambda _: None)
        self.session.on_ws_connected(cast("Any", self))

    def send(self, kind: WSMsgType, frame: bytes) -> None:
        """What the agent says; it must be what a hub takes."""
        assert kind == WSMsgType.BINARY
        self.said = [*self.said[-50:], *decode_from_agent(frame)]

    def disconnect(self, *, graceful: bool = True) -> None:
        """The agent has enough."""
        if not self.is_cut:
            self.is_cut = True
            self.session.on_ws_disconnected(cast("Any", self))

    def hear(self, payload: bytes, kind: WSMsgType = WSMsgType.BINARY) -> None:
        """A frame from the hub."""
        frame: Any = SimpleNamespace(msg_type=kind, get_payload_as_bytes=lambda: payload)
        self.session.on_ws_frame(cast("Any", self), frame)


class _NoSessions:
    """The wires stand for them."""

    def __init__(self, post: "Post") -> None:
        self._post = post

    async def run(self) -> None:
        """Nobody is looked for."""
        await asyncio.Event().wait()

    def to_leader(self, message: link.Message, epoch: int) -> None:
        """As `Sessions`."""
        for wire in self._post.wires:
            if wire.session.epoch == epoch:
                wire.session.send(message)

    def to_all(self, message: link.Message) -> None:
        """As `Sessions`."""
        for wire in self._post.wires:
            wire.session.send(message)


class Post:
    """Begin with `open`."""

    def __init__(self, clock: VirtualClock, folder: Path) -> None:
        self.runner = StrictRunner()
        self.errors: list[Any] = []
        self.wires: list[Wire] = []
        self._folder = folder
        places = Places(folder / "token", folder / "ca.crt", folder / "journal", "@runner", "@start")
        doors = Doors(connect_runner=self._connect, make_sessions=lambda *_: cast("Any", _NoSessions(self)))
        self.node = Node(NodeConfig("ns", "demo", "demo-0", 2, "hub", 1, 1.0), clock, places, doors)
        self._running: asyncio.Task[None] | None = None

    async def _connect(self, _: str) -> RunnerClient:
        return cast("RunnerClient", self.runner)

    def take(self, session: Session, message: link.FromHub) -> None:
        """A message of either hub."""
        self.node._on_message(session, message)

    async def open(self) -> None:
        """The node has met its runner and its leader."""
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.errors.append(context))
        self._running = asyncio.create_task(self.node.run())
        await asyncio.sleep(0.5)
        self.leader = self.join(EPOCH)
        self.rogue = self.join(0)
        await asyncio.sleep(0.5)

    def join(self, epoch: int) -> Wire:
        """A session with a replica that says so."""
        wire = Wire(self)
        self.wires = [*(one for one in self.wires if not one.is_cut), wire]
        wire.hear(encode([link.Welcome(link.PROTOCOL_VERSION, "replica", "demo-0", "demo", "ns", epoch)]))
        return wire

    async def close(self) -> None:
        """End it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def alive(self) -> bool:
        """Whether the node goes on, and its session with the leader."""
        return self._running is not None and not self._running.done() and not self.leader.is_cut

    def good_frames(self, random: Random) -> list[bytes]:
        """Frames that a hub may well send: a deposed leader's, and the present one's."""
        messages: list[link.FromHub] = []
        for number in range(4):
            epoch = random.choice((EPOCH - 1, EPOCH))
            one = f"uid-{random.randrange(1000)}:-:{epoch}:1"
            messages += [
                link.Run(one, epoch, "job.t", "job", "t", "workitems/job/t", ["sh", "-c", "$(A)"], ["A=1"], 1, 0.0, True),
                link.Kill(random.choice((one, "uid-nobody:-:5:1")), epoch, 5.0),
                link.Ack([one]),
                link.ReadFile(number, "workitems/job/t/stdout.txt", -5, 100),
                link.RemoveDirectory(epoch, "workitems/job/t"),
                link.Pong(epoch, 100.0, 300.0),
                link.Lead(epoch),
            ]  # fmt: skip
        messages.append(link.Welcome(link.PROTOCOL_VERSION, "replica", "demo-0", "demo", "ns", 0))
        messages.append(link.Refused("TooMany", "too many", 1.0))
        random.shuffle(messages)
        return [encode(messages[at : at + 3]) for at in range(0, len(messages), 3)]


def kills_of(told: list[dict[str, Any]], one: str) -> list[dict[str, Any]]:
    """What the runner was told to kill."""
    return [note for note in told if note["op"] == "kill" and note["id"] == one]
