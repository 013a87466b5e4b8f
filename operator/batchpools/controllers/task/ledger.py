"""What the rest of the operator sees of the book of runs: `core.ledger.RunLedger`, and `hub.port.HubListener` for the hub."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from batchpools.api.reasons import Reason, RequeueReason
from batchpools.api.states import NodeDeallocationOption, Result, TaskState
from batchpools.controllers.task.book import RunBook
from batchpools.controllers.task.busyness import Busyness
from batchpools.controllers.task.cleaning import Cleaning
from batchpools.controllers.task.container_doubts import ContainerDoubts
from batchpools.controllers.task.dispatcher import Dispatcher
from batchpools.controllers.task.entry import Entry, PoolKey
from batchpools.controllers.task.intake import Intake
from batchpools.controllers.task.inventory import Inventories
from batchpools.controllers.task.live import Live
from batchpools.controllers.task.load import load_of
from batchpools.controllers.task.reports import Reports
from batchpools.controllers.task.settler import Settler
from batchpools.controllers.task.silence import Silence
from batchpools.controllers.task.sweep import Sweep
from batchpools.controllers.task.takeover import Takeover
from batchpools.controllers.task.writer import StatusWriter
from batchpools.core.ledger import Contact, Explanation, NodeRuns, PoolLoad
from batchpools.core.pools.emptying import why_ended
from batchpools.core.pools.reach import is_set_aside
from batchpools.core.scheduling.explain import explain_waiting
from batchpools.core.scheduling.fit import Question, job_is_active
from batchpools.core.scheduling.quarantine import sentence
from batchpools.core.tasks.lifecycle import Done, OnNode, Settling, Waiting, Why
from batchpools.core.views import TaskCounts, TaskView
from batchpools.hub.port import HubPort, NodeIdentity
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.port import KubeApi
from batchpools.link import messages as link
from batchpools.telemetry.clock import Clock


class RunLedgerOfLeader:
    """The book and all that works on it. On a standby it keeps counts and is otherwise empty.

    `wake_job(namespace, job)` when counts of a job changed. on_latency(seconds): how long a task waited before its dispatch.
    """

    def __init__(self, cache: Cache, clock: Clock, wake_job: Callable[[str, str], None]) -> None:
        self._cache = cache
        self._clock = clock
        self._book = RunBook(cache, clock.monotonic, self._wake_pool, wake_job)
        self._watching: list[asyncio.Task[None]] = []
        self._connected = False
        self.on_latency: Callable[[float], None] = lambda _: None
        self.on_samples: Callable[[NodeIdentity, list[link.Sample]], None] = lambda *_: None
        self.on_node: Callable[[NodeIdentity], None] = lambda _: None  # its agent said something of the node
        self.on_pool: Callable[[PoolKey], None] = lambda _: None  # slots of it were taken or freed

    def connect(self, hub: HubPort, applier: Applier, api: KubeApi) -> None:
        """Second half of the construction: hub and applier need the ledger, and it needs them."""
        book, clock = self._book, self._clock
        self._hub = hub
        self._live = Live(api)
        self._writer = StatusWriter(applier, api, clock)
        self._settler = Settler(book, self._writer, hub, clock)
        self._dispatcher = Dispatcher(book, hub, self._settler, clock.monotonic)
        self._dispatcher.on_latency = self._waited
        self._settler.send_again = self._dispatcher.send_again
        self._settler.on_ended = self._dispatcher.judge
        self._dispatcher.on_quarantine = self._heard_again
        self._intake = Intake(book, self._settler, clock.monotonic)
        self._cleaning = Cleaning(book, hub, clock)
        self._settler.on_deleted = self._intake.on_deleted = self._cleaning.deleted
        self._takeover = Takeover(book, self._intake, self._settler, self._live, hub)
        self._reports = Reports(book, self._intake, self._settler, self._dispatcher, hub, self._live)
        self._reports.may_have_more = self._takeover.is_silent
        self._inventories = Inventories(book, self._intake, self._settler, self._reports, self._takeover)
        self._doubts = ContainerDoubts(book, self._settler, self._live)
        self._silence = Silence(book, clock.monotonic)
        self._silence.on_silent = self._fell_silent
        self._silence.on_heard_again = self._heard_again
        self._silence.on_given_up = self._give_up
        self._silence.is_waited_for = self._takeover.is_silent
        self._busyness = Busyness(book, clock.monotonic)
        self._busyness.on_change = self._heard_again
        self._sweep = Sweep(book, self._settler, self._writer, self._takeover, clock)
        self._cache.tasks.subscribe(self._intake.task_changed)
        self._cache.jobs.subscribe(self._intake.job_changed)
        self._cache.pools.subscribe(self._intake.pool_changed)
        self._cache.nodes.subscribe(self._intake.node_changed)
        self._connected = True

    # ---------------------------------------------------------------- leading

    def lead(self, epoch: int) -> None:
        """Begin from the cache, before the hub announces the epoch: what may be running somewhere waits until it is known."""
        self._book.clear()
        self._dispatcher.making_room.clear()
        self._book.leading = True
        self._book.epoch = epoch
        self._book.claims.claim_all(self._cache.tasks)
        self._book.records.begin(self._cache.nodes)
        for view in self._cache.nodes:
            if is_set_aside(view.status):
                self._book.nodes.set_aside(view.status.pod_uid, True)
        self._silence.begin()
        self._busyness.begin()
        for session in self._hub.sessions():
            if session.report is not None:
                self._inventories.node_reported(session.node, session.report)
        self._takeover.begin()
        self._takeover.ask_for_silent()
        loop = asyncio.get_running_loop()
        self._watching = [
            loop.create_task(self._sweep.run(), name="sweep"),
            loop.create_task(self._silence.run(), name="silence"),
            loop.create_task(self._busyness.run(), name="busyness"),
            loop.create_task(self._cleaning.run(), name="cleaning"),
        ]

    async def follow(self) -> None:
        """Lead no longer: forget everything; nothing that was not persisted was acknowledged."""
        self._book.leading = False
        watching, self._watching = self._watching, []
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await self._writer.stop()
        await self._live.stop()
        self._reports.clear()
        self._takeover.end()
        self._doubts.clear()
        self._book.clear()

    @property
    def entries(self) -> int:
        """How many tasks the book has."""
        return len(self._book.entries)

    # ---------------------------------------------------------------- RunLedger

    def job_counts(self, namespace: str, job: str) -> TaskCounts:
        """Live counts; completed only once persisted."""
        return self._book.tally.of(namespace, job)

    def node_runs(self, pod_uid: str) -> NodeRuns:
        """What the node of this pod does and did."""
        page = self._book.nodes.get(pod_uid)
        busy = self._busyness.is_busy(pod_uid)
        if page is None:
            return NodeRuns(busy=busy)
        why = sentence(page.standing) if page.quarantined else ""
        did = self._book.records.of(page.identity.namespace, page.identity.node)
        done = (did.run, did.succeeded, tuple(did.recent))
        return NodeRuns(page.used, len(page.holding), *done, busy, why, page.standing.reason, bool(page.managers))

    def pool_slots(self, namespace: str, pool: str) -> tuple[int, int]:
        """(total, used) slots of the pool's ready nodes."""
        pages = [page for page in self._book.nodes.of_pool((namespace, pool)) if page.ready]
        return sum(page.total for page in pages), sum(page.used for page in pages)

    def pool_load(self, namespace: str, pool: str) -> PoolLoad:
        """The tasks of a pool."""
        return load_of(self._book, (namespace, pool))

    def pool_waits(self, namespace: str, pool: str) -> int:
        """How many tasks wait for a node of the pool."""
        return len(self._book.pool_book((namespace, pool)) or ())

    def contact(self, pod_uid: str) -> Contact:
        """Whether we hear of this pod. What ran on a node that was lost with the former leader is recorded nowhere."""
        found = self._silence.contact(pod_uid)
        return Contact.SILENT if found is Contact.RECORDED and self._takeover.is_unknown(pod_uid) else found

    def set_aside(self, pod_uid: str) -> None:
        """Nothing is sent there until it is taken back."""
        self._book.nodes.set_aside(pod_uid, True)

    def take_back(self, pod_uid: str) -> None:
        """It may take tasks again, once it is heard."""
        self._book.nodes.set_aside(pod_uid, False)
        page = self._book.nodes.get(pod_uid)
        if page is not None:
            self._book.wake_pool(page.pool)

    def is_set_aside(self, pod_uid: str) -> bool:
        """Whether nothing is sent there for that reason."""
        return self._book.nodes.is_set_aside(pod_uid)

    def drain_node(
        self, pod_uid: str, reason: RequeueReason, option: NodeDeallocationOption = NodeDeallocationOption.REQUEUE
    ) -> None:
        """No more tasks for it; its runs end as the option says."""
        self._book.nodes.drain(pod_uid)
        why = why_ended(option)
        if why is None:
            return
        for entry in self._book.on_pod(pod_uid):
            self._settler.end_run(entry, why, reason)

    def resume_node(self, pod_uid: str) -> None:
        """It takes tasks again."""
        self._book.nodes.resume(pod_uid)
        page = self._book.nodes.get(pod_uid)
        if page is not None:
            self._book.wake_pool(page.pool)

    def restart_node(self, pod_uid: str, boot_id: str) -> None:
        """All containers of a drained node begin anew (safety rule S6.4)."""
        if self.is_drained(pod_uid):
            self._hub.restart(pod_uid, boot_id)

    def is_draining(self, pod_uid: str) -> bool:
        """Whether it takes no tasks since it is to be emptied."""
        return self._book.nodes.is_draining(pod_uid)

    def cordon(self, namespace: str, pool: str, pod_uids: frozenset[str]) -> None:
        """No new task goes to exactly these pods of the pool."""
        if self._book.nodes.cordon((namespace, pool), pod_uids):
            self._book.wake_pool((namespace, pool))

    def cordoned(self, namespace: str, pool: str) -> frozenset[str]:
        """What was last said so of the pool."""
        return self._book.nodes.cordoned((namespace, pool))

    def is_drained(self, pod_uid: str) -> bool:
        """Whether the node takes no tasks, and every end on it is confirmed and persisted."""
        return self._book.nodes.is_draining(pod_uid) and self.is_released(pod_uid)

    def release_node(self, pod_uid: str) -> None:
        """All task containers of this pod are dead: its runs are lost."""
        self._book.nodes.drain(pod_uid)
        self._all_dead(pod_uid, RequeueReason.NODE_LOST)
        if not self._book.on_pod(pod_uid):
            self._book.nodes.forget(pod_uid)

    def is_released(self, pod_uid: str) -> bool:
        """Whether nothing is believed to run in this pod, and what followed from that is persisted."""
        busy = self._book.on_pod(pod_uid) or self._book.losers_on(pod_uid)
        return not busy and not self._takeover.is_silent(pod_uid)

    def end_job(self, namespace: str, job: str) -> None:
        """Kill the runs of a job that is going away; the book starts none of a job that is not active."""
        for entry in self._of_job(namespace, job):
            self._settler.end_run(entry, Why.JOB_ENDED)

    def is_job_quiet(self, namespace: str, job: str) -> bool:
        """Whether nothing of the job runs any more, confirmed, and nothing of it will."""
        stopped = job_is_active(Question(job, 1, self._cache.jobs.get(namespace, job), None)) is not None
        gone = self._cache.jobs.get(namespace, job) is None
        left = self._book.claims.is_leaving(namespace, job)  # its tasks may have vanished before their runs (S7.1)
        return (
            (stopped or gone)
            and not left
            and all(
                isinstance(entry.state, Waiting | Done) and not entry.losers for entry in self._of_job(namespace, job)
            )
        )

    def explain(self, namespace: str, task: str) -> Explanation | None:
        """Why a task stands where it stands; None when no such task is known."""
        view = self._cache.tasks.get(namespace, task)
        if view is None:
            return None
        entry = self._book.entries.get(view.metadata.uid)
        return _by_status(view) if entry is None else self._explain(entry)

    # ---------------------------------------------------------------- HubListener

    def node_reported(self, node: NodeIdentity, report: link.NodeReport) -> None:
        """See hub.port."""
        if self._book.leading:
            self._inventories.node_reported(node, report)
            self.on_node(node)

    def pinged(self, node: NodeIdentity) -> None:
        """See hub.port."""
        if self._book.leading:
            self._silence.heard(node)

    def vouched(self, node: NodeIdentity) -> None:
        """See hub.port."""
        if self._book.leading:
            self._inventories.vouched(node)

    def measured(self, node: NodeIdentity, samples: list[link.Sample]) -> None:
        """See hub.port; it is autoscaling that wants to know."""
        if self._book.leading:
            self.on_samples(node, samples)

    def node_left(self, node: NodeIdentity) -> None:
        """See hub.port."""
        if self._book.leading:
            self._inventories.node_left(node)
            self.on_node(node)

    def inventory(self, node: NodeIdentity, inventory: link.Inventory) -> None:
        """See hub.port."""
        if self._book.leading:
            self._inventories.take(node, inventory)

    def started(self, node: NodeIdentity, message: link.Started) -> None:
        """See hub.port."""
        if self._book.leading:
            self._reports.started(node, message.execution_id, message.started_at)

    def finished(self, node: NodeIdentity, message: link.Finished) -> None:
        """See hub.port."""
        if self._book.leading:
            self._reports.finished(node, message)

    def unknown(self, node: NodeIdentity, execution_id: str) -> None:
        """See hub.port."""
        if self._book.leading:
            self._reports.unknown(node, execution_id)

    def rejected(self, node: NodeIdentity, message: link.Rejected) -> None:
        """See hub.port."""
        if self._book.leading:
            self._reports.rejected(node, message)

    # ---------------------------------------------------------------- silent nodes

    def _fell_silent(self, node: NodeIdentity) -> None:
        """Whoever leads next must know what was sent there; the node's status says so once that is persisted (S3.4)."""
        self.set_aside(node.pod_uid)
        for entry in self._book.on_pod(node.pod_uid):
            self._settler.record(entry)
        self.on_node(node)

    def _heard_again(self, node: NodeIdentity) -> None:
        self.on_node(node)

    def _give_up(self, node: NodeIdentity) -> None:
        """Its runner has ended everything (S3.1); should it come back, it begins with an inventory."""
        page = self._book.nodes.get(node.pod_uid)
        if page is not None:
            page.heard = False
        self._hub.drop(node.pod_uid)
        self._all_dead(node.pod_uid, RequeueReason.NODE_UNREACHABLE)
        self.on_node(node)

    def _all_dead(self, pod_uid: str, reason: RequeueReason) -> None:
        """Nothing runs in this pod any more: its runs are lost, and nobody waits for its word."""
        for entry in self._book.on_pod(pod_uid):
            if isinstance(entry.state, OnNode):
                self._settler.lose(entry, reason)
        for entry, execution_id in self._book.losers_on(pod_uid):
            self._reports.loser_is_gone(entry, execution_id)
        self._takeover.spoke(pod_uid)

    # ---------------------------------------------------------------- inside

    def _wake_pool(self, pool: PoolKey) -> None:
        if self._connected:
            self._dispatcher.wake(pool)
        self.on_pool(pool)

    def _waited(self, seconds: float) -> None:
        self.on_latency(seconds)

    def _of_job(self, namespace: str, job: str) -> list[Entry]:
        views = self._cache.tasks.indexed("by_job", (namespace, job))
        found = (self._book.entries.get(view.metadata.uid) for view in views)
        return [entry for entry in found if entry is not None]

    def _explain(self, entry: Entry) -> Explanation:
        state = entry.state
        if isinstance(state, OnNode):
            reason = type(state).__name__
            return Explanation(TaskState.RUNNING, state.node, reason, f"It runs on node {state.node}.", 0, 0, ())
        if isinstance(state, Settling | Done):
            sentence = "Its run has ended; what follows is being written."
            node = state.node if isinstance(state, Settling) else ""
            return Explanation(entry.status.state, node, "Settling", sentence, 0, 0, ())
        pool = self._book.pool_of(entry.job_key)
        question = replace(
            self._book.question(entry),
            rooms=self._book.nodes.rooms(pool) if pool is not None else (),
            unheard=self._takeover.silent_nodes(entry),
        )
        return explain_waiting(question, self._book.pool_book(pool), entry.uid, TaskState.ACTIVE)


def _by_status(view: TaskView) -> Explanation:
    """What the API says of a task that is not in the book: it has ended, or we do not lead."""
    status = view.status
    if status.state != TaskState.COMPLETED:
        return Explanation(status.state, status.pool_node_name, status.state, "", 0, 0, ())
    reason = Reason.SUCCEEDED if status.result == Result.SUCCESS else Reason.FAILED
    message = status.failure_info.message if status.failure_info is not None else ""
    return Explanation(status.state, status.pool_node_name, reason, message, 0, 0, ())
