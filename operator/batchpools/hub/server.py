"""The hub: sessions of all nodes on this replica, and the port that controllers use. It decides nothing about tasks."""

import asyncio
import itertools
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import assert_never

from picows import WSUpgradeRequest

from batchpools.api import names
from batchpools.hub.authentication import BoundPod
from batchpools.hub.door import Door
from batchpools.hub.floods import ADMISSION_COST, Floods, strangers_budget
from batchpools.hub.port import HubListener, NodeIdentity, SessionInfo
from batchpools.hub.session import Session
from batchpools.hub.strangers import Strangers
from batchpools.kube.errors import KubeError
from batchpools.link import messages as link
from batchpools.link.budget import Budget
from batchpools.link.framing import encode
from batchpools.link.words import Refusal
from batchpools.telemetry.clock import Clock

_log = logging.getLogger(__name__)

Authenticate = Callable[[str], Awaitable[BoundPod | None]]
Identify = Callable[[BoundPod], NodeIdentity | None]

_READ_TIME = 10.0
_TOO_MANY = "too many connections that are not admitted"
_ASK_AGAIN = 0.5


class Hub:
    """One replica's end of the link. `refusals` counts by code; `on_epoch(epoch, pod uid)`: an agent has seen it."""

    def __init__(
        self,
        clock: Clock,
        replica: str,
        authenticate: Authenticate,
        identify: Identify,
        listener: HubListener,
        on_epoch: Callable[[int, str], None] = lambda *_: None,
    ) -> None:
        self._clock = clock
        self._replica = replica
        self._authenticate = authenticate
        self._identify = identify
        self._listener = listener
        self._on_epoch = on_epoch
        self._sessions: dict[str, Session] = {}
        self._strangers = Strangers()
        self._floods = Floods()
        self._door = Door(self._accept, self._arrives, self._strangers.leave)
        self._epoch = 0
        self._deadline: Callable[[], float] = lambda: 0.0
        self._renewed = 0.0  # monotonic: when the last renewal of the Lease began
        self._requests: dict[int, tuple[Session, asyncio.Future[link.FileChunk]]] = {}
        self._numbers = itertools.count(1)
        self.refusals: Counter[str] = Counter()

    # ---------------------------------------------------------------- life

    async def start(self, tls: ssl.SSLContext, port: int = names.HUB_PORT, host: str | None = None) -> int:
        """Listen; the port."""
        return self._door.open(tls, port, host)

    async def stop(self) -> None:
        """Close all sessions and the port; acknowledgements that wait leave first."""
        await self._door.close()
        for session in list(self._sessions.values()):
            session.flush()
            session.close()
        await asyncio.sleep(0)

    def lead(self, epoch: int, deadline: Callable[[], float]) -> None:
        """Announce to every node that this replica leads; `deadline()` is the monotonic time until which it may dispatch."""
        self._epoch = epoch
        self._deadline = deadline
        for session in self._sessions.values():
            session.send(link.Lead(epoch))
            self._vouch(session)

    def renewed(self, began: float) -> None:
        """The API server has confirmed our Lease, by a request that began at that monotonic time (safety rule S3.2)."""
        self._renewed = began
        for session in self._sessions.values():
            self._vouch(session)

    def follow(self) -> None:
        """Lead no longer: nothing is dispatched from now on."""
        self._epoch = 0
        self._deadline = lambda: 0.0

    # ---------------------------------------------------------------- HubPort

    def dispatch(self, pod_uid: str, run: link.Run) -> bool:
        """Send a run; ValueError: too large. False = we do not lead; no session with inventory and pong of this epoch, or one
        that does not read."""
        session = self._sessions.get(pod_uid)
        if session is None or not self.may_dispatch():
            return False
        if not session.inventory_epoch == session.vouched_epoch == self._epoch:
            return False
        return session.send_run(run, _check_size(run))

    def kill(self, pod_uid: str, execution_id: str, grace: float) -> bool:
        """Ask for the end of a run."""
        return self._send(pod_uid, link.Kill(execution_id, self._epoch, grace))

    def acknowledge(self, pod_uid: str, execution_ids: list[str]) -> bool:
        """Say that results are persisted."""
        return self._send(pod_uid, link.Ack(execution_ids))

    def remove_directory(self, pod_uid: str, path: str, container: str = names.TASK_CONTAINER) -> bool:
        """Have a task's directory removed."""
        return self._send(pod_uid, link.RemoveDirectory(self._epoch, path, container))

    def restart(self, pod_uid: str, boot_id: str) -> bool:
        """Have all containers of a pod begin anew."""
        return self._send(pod_uid, link.Restart(self._epoch, boot_id))

    def drop(self, pod_uid: str) -> None:
        """Cut the session of a pod, if there is one."""
        session = self._sessions.get(pod_uid)
        if session is not None:
            session.close()

    def session(self, pod_uid: str) -> SessionInfo | None:
        """The live session of a pod, if there is one."""
        session = self._sessions.get(pod_uid)
        return None if session is None else _info(session)

    def sessions(self) -> list[SessionInfo]:
        """All live sessions."""
        return [_info(session) for session in self._sessions.values()]

    async def read_file(self, pod_uid: str, path: str, offset: int, limit: int) -> link.FileChunk:
        """A piece of a file on the node; ConnectionError without a session, TimeoutError after 10 s."""
        session = self._sessions.get(pod_uid)
        if session is None:
            raise ConnectionError("the node has no session with this replica")
        number = next(self._numbers)
        answer: asyncio.Future[link.FileChunk] = asyncio.get_running_loop().create_future()
        self._requests[number] = (session, answer)
        try:
            session.send(link.ReadFile(number, path, offset, limit))
            return await asyncio.wait_for(answer, _READ_TIME)
        finally:
            del self._requests[number]

    # ---------------------------------------------------------------- SessionOwner

    def may_dispatch(self) -> bool:
        """Asked at every flush: we lead, and our Lease holds by our own clock (safety rule S2.3)."""
        return self._epoch > 0 and self._clock.monotonic() < self._deadline()

    async def admit(self, session: Session, hello: link.Hello) -> None:
        """Authenticate and identify; a newer session of a node replaces the older."""
        try:
            pod = await self._authenticate(hello.token)
        except KubeError as error:
            session.refuse(Refusal.UNKNOWN_NODE, f"the token cannot be reviewed now: {error.sentence}", _ASK_AGAIN)
            return
        if pod is None:
            session.refuse(Refusal.BAD_TOKEN, "the token is not bound to a pod, or not for this audience")
            return
        node = self._identify(pod)
        if node is None:
            session.refuse(Refusal.UNKNOWN_NODE, f"pod {pod.name} is no node's present pod", _ASK_AGAIN)
            return
        now = self._clock.monotonic()
        budget = self._floods.of(node.pod_uid, now)
        if not budget.spend(ADMISSION_COST, 0, now):
            session.refuse(Refusal.FLOODING, "this node has said more than a node can mean", budget.wait(now))
            return
        if session.is_over:
            return
        session.budget = budget
        former = self._sessions.get(node.pod_uid)
        self._sessions[node.pod_uid] = session
        self._strangers.leave(session.address)
        session.admitted(node)
        if former is not None:
            former.close()
        session.send(
            link.Welcome(link.PROTOCOL_VERSION, self._replica, node.node, node.pool, node.namespace, self._epoch)
        )
        self._on_epoch(hello.max_epoch, node.pod_uid)

    def may_say(self, session: Session, cost: float, size: int) -> bool:
        """Whether whoever this is may say so much more: a node over all its sessions, a stranger hardly anything."""
        return self._budget(session).spend(cost, size, self._clock.monotonic())

    def pause_of(self, session: Session) -> float:
        """Seconds until it may come again."""
        return self._budget(session).wait(self._clock.monotonic())

    def received(self, session: Session, message: link.FromAgent) -> None:
        """Hand a message on to the one it is for."""
        node = session.node
        assert node is not None  # noqa: S101 (only admitted sessions get here)
        match message:
            case link.NodeReport():
                self._listener.node_reported(node, message)
            case link.Inventory():
                self._account(session, node, message)
            case link.Started():
                self._listener.started(node, message)
            case link.Finished():
                self._listener.finished(node, message)
            case link.Unknown(execution_id=execution_id):
                self._listener.unknown(node, execution_id)
            case link.Rejected():
                self._listener.rejected(node, message)
            case link.FileChunk():
                self._answered(session, message)
            case link.Ping(sent_at=sent_at):
                session.pings.arrived(sent_at, self._clock.monotonic())
                self._listener.pinged(node)
            case link.Samples(samples=samples):
                self._listener.measured(node, samples)
            case link.Hello() | link.InventoryPart():
                session.refuse(Refusal.BAD_FRAME, "a second hello")
            case _:
                assert_never(message)

    def ended(self, session: Session) -> None:
        """A connection is gone."""
        if session.node is None:
            self._strangers.leave(session.address)
        self._part_with(session)

    def refused(self, session: Session, code: Refusal, sentence: str) -> None:
        """Count it, say it once, and hold against the address what no node does."""
        now = self._clock.monotonic()
        self.refusals[code] += 1
        if code in {Refusal.BAD_TOKEN, Refusal.BAD_FRAME, Refusal.FLOODING}:
            self._strangers.penalize(session.address, now)
        self._log_refusal(session.address, code, sentence)
        self._part_with(session)

    def undelivered(self, session: Session, run: link.Run) -> None:
        """The Lease ran out between dispatch and flush: the run never left."""
        if session.node is not None:
            self._listener.rejected(
                session.node, link.Rejected(run.execution_id, "the Lease ran out before it was sent")
            )

    # ---------------------------------------------------------------- inside

    def _accept(self, request: WSUpgradeRequest) -> Session | None:
        """A listener for a new connection to our path; None is answered with 404."""
        if request.path != names.HUB_PATH.encode():
            return None
        return Session(self)

    def _arrives(self, address: str) -> bool:
        """Whether a TCP connection may begin a handshake."""
        if self._strangers.arrive(address, self._clock.monotonic()):
            return True
        self.refusals[Refusal.TOO_MANY] += 1
        self._log_refusal(address, Refusal.TOO_MANY, _TOO_MANY)
        return False

    def connected(self, session: Session) -> bool:
        """Whether a new connection may say hello: too many unknown ones of an address are turned away."""
        if self._strangers.arrive(session.address, self._clock.monotonic()):
            return True
        self.refused(session, Refusal.TOO_MANY, _TOO_MANY)
        return False

    def _log_refusal(self, address: str, code: Refusal, sentence: str) -> None:
        if self._strangers.is_worth_logging(address, code, self._clock.monotonic()):
            _log.warning("a session from %s is refused, %s: %s", address, code, sentence)

    def _budget(self, session: Session) -> Budget:
        if session.budget is None:
            session.budget = strangers_budget(self._clock.monotonic())
        return session.budget

    def _part_with(self, session: Session) -> None:
        """Forget a session, unless a newer one has its place; nobody waits for its files any more."""
        for asked, answer in self._requests.values():
            if asked is session and not answer.done():
                answer.set_exception(ConnectionError("the node's session has ended"))
        if session.node is not None and self._sessions.get(session.node.pod_uid) is session:
            del self._sessions[session.node.pod_uid]
            self._listener.node_left(session.node)

    def _vouch(self, session: Session) -> None:
        """Answer the newest ping that our last renewal covers, if we may still act as the leader."""
        sent_at = session.pings.covered(self._renewed) if self.may_dispatch() else None
        if sent_at is None or session.node is None:
            return
        session.send(link.Pong(self._epoch, sent_at, session.node.unreachable_timeout))
        if session.vouched_epoch != self._epoch:
            session.vouched_epoch = self._epoch
            self._listener.vouched(session.node)

    def _account(self, session: Session, node: NodeIdentity, inventory: link.Inventory) -> None:
        """One account a session: a second one (it came twice) would not know of the runs that were sent since the first.

        A node that has not met its runner yet says nothing with it, and tells again.
        """
        if inventory.epoch == self._epoch != session.inventory_epoch:
            if inventory.boot_id:
                session.inventory_epoch = inventory.epoch
            self._listener.inventory(node, inventory)

    def _answered(self, session: Session, chunk: link.FileChunk) -> None:
        """A node answers its own requests alone."""
        asked, answer = self._requests.get(chunk.request, (None, None))
        if asked is session and answer is not None and not answer.done():
            self._budget(session).refund(len(chunk.content))
            answer.set_result(chunk)

    def _send(self, pod_uid: str, message: link.Message) -> bool:
        session = self._sessions.get(pod_uid)
        if session is None or self._epoch == 0:
            return False
        session.send(message)
        return True


def _info(session: Session) -> SessionInfo:
    assert session.node is not None  # noqa: S101 (only admitted sessions are kept)
    return SessionInfo(session.node, session.report, session.inventory_epoch, session.vouched_epoch)


def _check_size(run: link.Run) -> int:
    """Characters of a run; ValueError when it does not fit a frame. They have at most 4 bytes, so most are not encoded for this."""
    characters = sum(len(word) + 5 for word in (*run.argv, *run.env))
    if characters * 4 > link.MAX_FRAME_BYTES // 2 and (size := len(encode([run]))) > link.MAX_FRAME_BYTES:
        raise ValueError(f"command and environment have {size} bytes, more than {link.MAX_FRAME_BYTES}")
    return characters
