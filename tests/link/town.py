"""A leader as it is, ledger and hub, on FakeKube and without sockets: node A, whose frames the tests make up, and node B.

B has a long run and is heard each second; whatever A sends, nothing of B may change. Time is virtual.
"""

import asyncio
from copy import deepcopy
from random import Random
from typing import Any

from tests.controllers.task_stage import NS, Stage, run_of
from tests.hub.peers import Peer

from batchpools.controllers.task.ledger import RunLedgerOfLeader
from batchpools.core.views import PoolNodeStatus
from batchpools.hub.authentication import BoundPod
from batchpools.hub.port import NodeIdentity
from batchpools.hub.server import Hub
from batchpools.kube.applier import Applier
from batchpools.link import messages as link
from batchpools.link.framing import encode
from batchpools.link.words import Cause, NodePhase
from batchpools.testing import builders
from batchpools.testing.virtual_time import VirtualClock, settle

EPOCH = 2
TASKS = 40
_HELLO = {name: encode([link.Hello(link.PROTOCOL_VERSION, name, "0", 0)]) for name in "ab"}
_ACCOUNT = {
    name: encode(
        [
            link.NodeReport(NodePhase.READY, f"boot-{name}", 1, None, ""),
            link.Inventory(EPOCH, f"boot-{name}", [], []),
            link.Ping(1.0),
        ]
    )
    for name in "ab"
}


class TownStage(Stage):
    """A stage whose ledger has the real hub."""

    def _new_ledger(self) -> RunLedgerOfLeader:
        ledger = RunLedgerOfLeader(self.cache, self.clock, lambda *job: self.woken.add(job))
        self.real = Hub(self.clock, "replica", self._authenticate, self._identify, ledger)
        ledger.connect(self.real, Applier(self.kube, self.clock, lambda: self.epoch, ledger), self.kube)
        return ledger

    async def _authenticate(self, token: str) -> BoundPod | None:
        return BoundPod(NS, f"{token}-1", f"uid-pod-{token}") if token in {"a", "b"} else None

    def _identify(self, pod: BoundPod) -> NodeIdentity | None:
        return NodeIdentity(NS, "demo", pod.name.removesuffix("-1"), pod.name, pod.uid)


class Town:
    """Begin with `open`; `errors` are those of callbacks and tasks that nobody awaits."""

    def __init__(self, clock: VirtualClock) -> None:
        self.stage = TownStage(clock)
        self.errors: list[Any] = []
        self.joins = 0
        self._life: asyncio.Task[None] | None = None
        self.a: Peer
        self.b: Peer

    @property
    def hub(self) -> Hub:
        """The hub."""
        return self.stage.real

    async def open(self) -> None:
        """Pool, job, tasks, leader, B with its run, A with one of its own."""
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.errors.append(context))
        stage = self.stage
        stage.put(builders.job("primes"))
        stage.pool()
        for name in "ab":
            status = PoolNodeStatus(pod_name=f"{name}-1", pod_uid=f"uid-pod-{name}")
            stage.put(builders.node(name, pool_name="demo", status=status))
        await stage.lead(EPOCH)
        self.hub.lead(EPOCH, lambda: float("inf"))
        self.b = await self._join("b")
        stage.task()
        await stage.settle()
        assert [run.execution_id for run in self.b.of(link.Run)] == [run_of(EPOCH, 1)]
        await self.b.say(link.Started(run_of(EPOCH, 1), stage.unix_time()))
        for number in range(TASKS):
            stage.task(f"primes.t{number}")
        await stage.settle()
        self._life = asyncio.create_task(self._live())
        await self.join_a()
        await asyncio.sleep(3.0)  # B's run is recorded
        await stage.settle()
        self.before = self.picture()

    async def close(self) -> None:
        """End it."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        await self.stage.ledger.follow()

    def stranger(self) -> Peer:
        """A connection that has not said hello."""
        self.joins += 1
        return Peer(self.hub, self._address())

    async def gone(self, peer: Peer) -> None:
        """It leaves, once it was told why."""
        await asyncio.sleep(0)
        peer.disconnect()

    def _address(self) -> str:
        return f"10.{self.joins >> 16}.{self.joins >> 8 & 255}.{self.joins & 255}"

    async def join_a(self) -> None:
        """A new session of A, from an address that nobody holds anything against, with a budget that is full."""
        if self.joins > 1:
            await self.gone(self.a)
        self.hub._floods._budgets.clear()
        self.a = await self._join("a")

    async def _join(self, name: str) -> Peer:
        self.joins += 1
        peer = Peer(self.hub, self._address())
        peer.say_bytes(_HELLO[name])
        while not peer.of(link.Welcome):  # noqa: ASYNC110 (a turn or two)
            await asyncio.sleep(0)
        peer.say_bytes(_ACCOUNT[name])
        self.hub.renewed(self.stage.clock.monotonic() + 0.001)
        return peer

    async def _live(self) -> None:
        """B is heard, the Lease is renewed."""
        while True:
            await asyncio.sleep(1.0)
            await self.b.say(link.Ping(self.stage.clock.boottime()))
            self.hub.renewed(self.stage.clock.monotonic())

    def picture(self) -> Any:
        """All that is known of B and its task."""
        book = self.stage.ledger._book
        entries = [
            (one.uid, one.state, one.status, one.attempt, dict(one.losers), one.parked, one.asking, one.story)
            for one in book.on_pod("uid-pod-b")
        ]
        told = [message for message in self.b.received if not isinstance(message, link.Pong)]
        info = self.hub.session("uid-pod-b")
        assert info is not None
        page = deepcopy(book.nodes.get("uid-pod-b"))
        return entries, page, info, told, self.stage.status(), self.stage.ledger.contact("uid-pod-b")

    async def settle(self) -> None:
        """Let everything happen that needs no time, and show the cache what came of it."""
        await settle()
        self.stage.sync()

    def good_frames(self, random: Random) -> list[bytes]:
        """Frames that A may well send now, and some that name what is not its own."""
        own = [run.execution_id for run in self.a.of(link.Run)][-1:] or [run_of(EPOCH, 1, "primes.t0")]
        ids = [
            *own,
            run_of(EPOCH, 1),
            run_of(EPOCH, 9),
            run_of(1, 1),
            run_of(1, 1, f"primes.t{random.randrange(TASKS)}"),
        ]
        ids += ["uid-of-nobody:-:1:1", run_of(EPOCH, 1, f"primes.t{random.randrange(TASKS)}")]
        now = self.stage.unix_time()
        messages: list[link.FromAgent] = []
        for one in ids:
            live = [link.RunState(one, now, "primes.work")]
            messages += [
                link.Started(one, now),
                link.Finished(one, "primes.work", "boot-a", Cause.EXIT, random.choice((0, 3)), now, now, 0.1, 0.1, 4096, "", ""),
                link.Unknown(one),
                link.Rejected(one, "no"),
                link.Inventory(EPOCH, "boot-a", live, [one]),
                link.InventoryPart([one]),
            ]  # fmt: skip
        told = link.StartTaskReport(0, now, now, 0, "", "")
        messages += [link.NodeReport(NodePhase.READY, "boot-a", 1, told, ""), link.Ping(5.0)]
        messages += [link.FileChunk(1, 0, 5, b"hello", "", ""), link.Hello(link.PROTOCOL_VERSION, "a", "0", 0)]
        random.shuffle(messages)
        return [encode(messages[at : at + 3]) for at in range(0, len(messages), 3)]
