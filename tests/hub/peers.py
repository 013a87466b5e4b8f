"""A hub without a network: agents that are in-memory transports, and a listener that keeps what it is told."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar

from picows import WSMsgType

from batchpools.hub.authentication import BoundPod
from batchpools.hub.port import NodeIdentity
from batchpools.hub.server import Hub
from batchpools.hub.session import Session
from batchpools.kube.errors import KubeError
from batchpools.link import messages as link
from batchpools.link.framing import decode_from_hub, encode
from batchpools.testing.clock import FakeClock

T = TypeVar("T")

UNAVAILABLE = "unavailable"  # the token that makes the API server fail


@dataclass
class Listener:
    """Keeps (what, node, message)."""

    heard: list[tuple[str, str, Any]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        def hear(node: NodeIdentity, message: Any = None) -> None:
            self.heard.append((name, node.node, message))

        return hear

    def of(self, what: str) -> list[Any]:
        """The messages of one kind."""
        return [message for kind, _, message in self.heard if kind == what]


class Peer:
    """One connection of an agent, in memory."""

    def __init__(self, hub: Hub, address: str = "10.0.0.1") -> None:
        self.session = Session(hub)
        self.received: list[link.FromHub] = []
        self.is_cut = False
        self.close_handshake: Any = None  # as picows says it
        self.unread = 0  # bytes that this end has not taken
        self.pongs: list[bytes] = []
        self.underlying_transport = SimpleNamespace(
            get_extra_info=lambda _: (address, 1), get_write_buffer_size=lambda: self.unread
        )
        self.session.on_ws_connected(self._as_picows())

    def send(self, kind: WSMsgType, frame: bytes) -> None:
        """What the hub sends."""
        assert kind == WSMsgType.BINARY
        assert not self.is_cut
        self.received += decode_from_hub(frame)

    def send_pong(self, payload: bytes) -> None:
        """An answer to a ping of the WebSocket."""
        self.pongs.append(payload)

    def disconnect(self, *, graceful: bool = True) -> None:
        """Either end cuts the connection; one that is polite waits for what was sent to be read."""
        if graceful and self.unread:
            return
        if not self.is_cut:
            self.is_cut = True
            asyncio.get_running_loop().call_soon(self.session.on_ws_disconnected, self._as_picows())

    def say_bytes(self, payload: bytes, kind: WSMsgType = WSMsgType.BINARY) -> None:
        """Send a frame as it is."""
        frame: Any = SimpleNamespace(msg_type=kind, get_payload_as_bytes=lambda: payload)
        self.session.on_ws_frame(self._as_picows(), frame)

    async def say(self, *messages: link.FromAgent) -> None:
        """Send messages in one frame and let the hub work."""
        self.say_bytes(encode(messages))
        await turns()

    async def hello(self, token: str = "", version: int = link.PROTOCOL_VERSION, max_epoch: int = 0) -> None:
        """Say who we are."""
        await self.say(link.Hello(version, token or "pod-1", "0", max_epoch))

    def _as_picows(self) -> Any:
        """This peer in the place of picows' transport, which cannot be made without a socket."""
        return self

    def of(self, kind: type[T]) -> list[T]:
        """What was received of one kind."""
        return [message for message in self.received if isinstance(message, kind)]


class House:
    """A hub and what stands around it. Tokens are names of pods; `unknown` pods are no nodes yet."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.listener = Listener()
        self.epochs: list[tuple[int, str]] = []
        self.unknown: set[str] = set()
        self.reviewing: asyncio.Event | None = None  # set it to hold back answers
        self.hub = Hub(self.clock, "replica", self.authenticate, self.identify, self.listener, self._seen)

    async def authenticate(self, token: str) -> BoundPod | None:
        """The pod that a token names."""
        if self.reviewing is not None:
            await self.reviewing.wait()
        if token == UNAVAILABLE:
            raise KubeError("connection refused")
        return BoundPod("ns", token, f"uid-{token}") if token.startswith("pod-") else None

    def _seen(self, epoch: int, pod_uid: str) -> None:
        self.epochs.append((epoch, pod_uid))

    def identify(self, pod: BoundPod) -> NodeIdentity | None:
        """The node of a pod."""
        return None if pod.name in self.unknown else NodeIdentity("ns", "pool", f"node-{pod.name}", pod.name, pod.uid)

    def lead(self, epoch: int, seconds: float = 10.0) -> None:
        """Lead until so many seconds from now."""
        end = self.clock.monotonic() + seconds
        self.hub.lead(epoch, lambda: end)

    def renew(self) -> None:
        """The API server confirms the Lease to a request that begins now, after all that has arrived."""
        self.clock.advance(0.001)
        self.hub.renewed(self.clock.monotonic())

    async def join(self, pod: str = "pod-1") -> Peer:
        """An agent that is admitted and has told its inventory to whoever leads."""
        peer = Peer(self.hub)
        await peer.hello(pod)
        [welcome] = peer.of(link.Welcome)
        if welcome.epoch:
            await peer.say(link.Inventory(welcome.epoch, "boot", [], []), link.Ping(1.0))
            self.renew()
        return peer


async def turns(count: int = 5) -> None:
    """Let the event loop turn: nothing here waits for anything but its turn."""
    for _ in range(count):
        await asyncio.sleep(0)


def a_run(one: str = "a", epoch: int = 1, **fields: Any) -> link.Run:
    """A run of /bin/true."""
    plain: dict[str, Any] = {
        "task_name": "task", "job": "job", "task": "t", "directory": "workitems/job/t", "argv": ["/bin/true"],
        "env": [], "slots": 1, "wall_clock": 0.0, "fresh": True,
    }  # fmt: skip
    return link.Run(execution_id=one, epoch=epoch, **{**plain, **fields})


def an_end(one: str = "a") -> link.Finished:
    """A run that ended well."""
    return link.Finished(one, "task", "boot", "exit", 0, 1.0, 2.0, 0.0, 0.0, 0, "", "")


async def until(holds: Any) -> None:
    """Wait for a condition; the test's own time limit ends a vain wait."""
    while not holds():  # noqa: ASYNC110 (any condition will do)
        await asyncio.sleep(0.01)
