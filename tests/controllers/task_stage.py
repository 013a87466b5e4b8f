"""A stage for the ledger of runs: FakeKube, the cache, a hub in memory whose nodes the tests play. Time is virtual.

`settle` lets everything happen and shows the cache what the API server has; `stale` keeps tasks from being shown.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.controllers.task.ledger import RunLedgerOfLeader
from batchpools.core.identity import ExecutionId
from batchpools.core.views import JobView, PoolNodeStatus, PoolNodeView, PoolView, TaskStatus, TaskView
from batchpools.hub.port import NodeIdentity, SessionInfo
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache, Store
from batchpools.kube.port import Resource
from batchpools.kube.resources import JOBS, POOL_NODES, POOLS, TASKS
from batchpools.link.messages import FileChunk, Finished, Inventory, NodeReport, Rejected, Run, RunState, Started
from batchpools.link.words import Cause, NodePhase
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.virtual_time import VirtualClock, run_virtual
from batchpools.testing.virtual_time import settle as let_happen

NS = builders.NAMESPACE
_KINDS: tuple[tuple[Resource, str, Any], ...] = (
    (POOLS, "pools", PoolView),
    (POOL_NODES, "nodes", PoolNodeView),
    (JOBS, "jobs", JobView),
    (TASKS, "tasks", TaskView),
)


class MemoryHub:
    """`HubPort` that remembers what it was asked to send."""

    def __init__(self) -> None:
        self.leading = True
        self.connected: dict[str, SessionInfo] = {}
        self.runs: list[tuple[str, Run]] = []
        self.kills: list[tuple[str, str]] = []
        self.acks: list[tuple[str, str]] = []
        self.removed: list[tuple[str, str]] = []
        self.restarts: list[tuple[str, str]] = []

    def dispatch(self, pod_uid: str, run: Run) -> bool:
        """Send a run."""
        if not self.leading or pod_uid not in self.connected:
            return False
        self.runs.append((pod_uid, run))
        return True

    def kill(self, pod_uid: str, execution_id: str, grace: float) -> bool:
        """Ask for the end of a run."""
        assert grace > 0
        if pod_uid in self.connected:
            self.kills.append((pod_uid, execution_id))
        return pod_uid in self.connected

    def acknowledge(self, pod_uid: str, execution_ids: list[str]) -> bool:
        """Say that results are persisted."""
        if pod_uid in self.connected:
            self.acks += [(pod_uid, one) for one in execution_ids]
        return pod_uid in self.connected

    def remove_directory(self, pod_uid: str, path: str, container: str = names.TASK_CONTAINER) -> bool:
        """Have a task's directory removed."""
        self.removed.append((pod_uid, path))
        return True

    def restart(self, pod_uid: str, boot_id: str) -> bool:
        """Have all containers of a pod begin anew."""
        self.restarts.append((pod_uid, boot_id))
        return pod_uid in self.connected

    def drop(self, pod_uid: str) -> None:
        """Cut the session of a pod."""
        self.connected.pop(pod_uid, None)

    def session(self, pod_uid: str) -> SessionInfo | None:
        """The live session of a pod."""
        return self.connected.get(pod_uid)

    def sessions(self) -> list[SessionInfo]:
        """All live sessions."""
        return list(self.connected.values())

    async def read_file(self, pod_uid: str, path: str, offset: int, limit: int) -> FileChunk:
        """Nothing reads files here."""
        raise NotImplementedError


class Agent:
    """One node, played by a test."""

    def __init__(self, stage: "Stage", node: str, pool: str, slots: int) -> None:
        self._stage = stage
        self.identity = NodeIdentity(NS, pool, node, f"{node}-1", f"uid-pod-{node}")
        self.slots = slots
        self.boot_id = f"boot-{node}"
        self.elevates = False

    @property
    def uid(self) -> str:
        """The uid of its pod."""
        return self.identity.pod_uid

    @property
    def runs(self) -> list[Run]:
        """What was sent to it, in order."""
        return [run for pod, run in self._stage.hub.runs if pod == self.uid]

    def connect(self, phase: str = NodePhase.READY) -> None:
        """A session begins; its inventory is another step."""
        report = NodeReport(phase, self.boot_id, self.slots, None, "", self.elevates)
        self._stage.hub.connected[self.uid] = SessionInfo(self.identity, report, self._stage.epoch)
        self._stage.ledger.node_reported(self.identity, report)
        self._stage.ledger.pinged(self.identity)
        self._stage.ledger.vouched(self.identity)

    def leave(self) -> None:
        """The session ends."""
        del self._stage.hub.connected[self.uid]
        self._stage.ledger.node_left(self.identity)

    def tell(
        self, *live: tuple[str, float, str], acknowledged: tuple[str, ...] = (), boot_id: str | None = None
    ) -> None:
        """The inventory: (execution id, started at, task name) of each live run."""
        states = [RunState(*one) for one in live]
        boot = self.boot_id if boot_id is None else boot_id
        self._stage.ledger.inventory(self.identity, Inventory(self._stage.epoch, boot, states, list(acknowledged)))

    def start(self, run: Run) -> None:
        """A process exists."""
        self._stage.ledger.started(self.identity, Started(run.execution_id, self._stage.unix_time()))

    def finish(self, run: Run | str, exit_code: int | None = 0, *, cause: str = Cause.EXIT, **fields: Any) -> None:
        """A run ends."""
        now = self._stage.unix_time()
        execution, name = (run, "primes.work") if isinstance(run, str) else (run.execution_id, run.task_name)
        told = {"started_at": now - 0.5, "ended_at": now, "code": "", "message": "", **fields}
        message = Finished(
            execution, told.pop("task_name", name), self.boot_id, cause, exit_code, user_cpu=0.25, kernel_cpu=0.0,
            max_memory_bytes=4096, **told,
        )  # fmt: skip
        self._stage.ledger.finished(self.identity, message)

    def unknown(self, execution_id: str) -> None:
        """A run that was to be killed is not there."""
        self._stage.ledger.unknown(self.identity, execution_id)

    def reject(self, run: Run) -> None:
        """A run was not carried out."""
        self._stage.ledger.rejected(self.identity, Rejected(run.execution_id, "the node is stopping"))


class Stage:
    """Pool `demo` (a slot a node unless told otherwise) and job `primes` are there; nobody leads yet."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.kube = FakeKube(clock)
        self.cache = Cache()
        self.hub = MemoryHub()
        self.epoch = 1
        self.stale = False
        self.hides: set[str] = set()  # stores of the cache that are shown nothing new
        self.mute: set[str] = set()  # pod uids of nodes that have a session and are not heard
        self.woken: set[tuple[str, str]] = set()
        self.ledger = self._new_ledger()

    def _new_ledger(self) -> RunLedgerOfLeader:
        ledger = RunLedgerOfLeader(self.cache, self.clock, lambda *job: self.woken.add(job))
        ledger.connect(self.hub, Applier(self.kube, self.clock, lambda: self.epoch, ledger), self.kube)
        return ledger

    # ---------------------------------------------------------------- objects

    def put(self, view: Any) -> None:
        """Put an object there."""
        self.kube.seed(builders.manifest(view))

    def pool(self, slots: int = 1, **spec: Any) -> None:
        """The pool."""
        self.put(builders.pool("demo", task_slots_per_node=slots, **spec))

    def node(self, name: str = "n1", *, slots: int = 1, pool: str = "demo") -> Agent:
        """A PoolNode with a pod, and who plays it."""
        agent = Agent(self, name, pool, slots)
        status = PoolNodeStatus(pod_name=agent.identity.pod_name, pod_uid=agent.uid)
        self.put(builders.node(name, pool_name=pool, status=status))
        return agent

    def task(self, name: str = "primes.work", *, status: TaskStatus | None = None, **spec: Any) -> None:
        """A task of job primes, made now."""
        meta = builders.meta(name, kind="Task", creation_timestamp=self.clock.now())
        self.put(builders.task(name, metadata=meta, status=status, **spec))

    def status(self, name: str = "primes.work") -> TaskStatus:
        """A task's status as the API server has it."""
        item = self.kube.object(TASKS, NS, name)
        assert item is not None
        return msgspec.convert(item.get("status", {}), TaskStatus)

    def writes(self) -> int:
        """How many statuses were written."""
        return self.kube.count("patch", "Task", "status")

    # ---------------------------------------------------------------- time

    async def pings(self) -> None:
        """Every agent is heard each second."""
        while True:
            await asyncio.sleep(1.0)
            for session in self.hub.sessions():
                if session.node.pod_uid not in self.mute:
                    self.ledger.pinged(session.node)

    def unix_time(self) -> float:
        """Now."""
        return self.clock.now().timestamp()

    def sync(self) -> None:
        """Show the cache what the API server has."""
        for resource, kind, view in _KINDS:
            if (kind == "tasks" and self.stale) or kind in self.hides:
                continue
            store: Store[Any] = getattr(self.cache, kind)
            there = {}
            for item in self.kube.objects(resource):
                found = msgspec.convert(item, view)
                there[found.metadata.namespace, found.metadata.name] = found
            for held in store:
                place = (held.metadata.namespace, held.metadata.name)
                if place not in there or there[place].metadata.uid != held.metadata.uid:
                    store.remove(*place)
            for place, found in there.items():
                if store.get(*place) != found:
                    store.put(found)

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(4):
            await let_happen()
            self.sync()
        await let_happen()

    async def lead(self, epoch: int = 1) -> None:
        """Win the election."""
        self.epoch = epoch
        self.sync()
        self.ledger.lead(epoch)
        await self.settle()

    async def fail_over(self) -> None:
        """Another replica takes over: nothing of the former book is left."""
        await self.ledger.follow()
        self.cache = Cache()
        self.hub = MemoryHub()
        self.ledger = self._new_ledger()
        await self.lead(self.epoch + 1)


def run_of(epoch: int, attempt: int, task: str = "primes.work") -> str:
    """The execution id of a task's run."""
    return str(ExecutionId(f"uid-task-{task}", "-", epoch, attempt))


def played(play: Callable[[Stage], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test as a play on a fresh stage, in virtual time."""

    def test() -> None:
        async def main(clock: VirtualClock) -> None:
            stage = Stage(clock)
            stage.put(builders.job("primes"))
            pings = asyncio.create_task(stage.pings())
            try:
                await play(stage)
            finally:
                pings.cancel()
                await stage.ledger.follow()

        run_virtual(main)

    test.__name__ = play.__name__
    return test


async def ready_node(stage: Stage, name: str = "n1", *, slots: int = 1) -> Agent:
    """A node that takes tasks; the stage leads."""
    agent = stage.node(name, slots=slots)
    await stage.settle()
    agent.connect()
    agent.tell()
    await stage.settle()
    return agent
