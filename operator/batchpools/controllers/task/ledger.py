"""What the rest of the operator sees of the book of runs: `core.ledger.RunLedger`, and `hub.port.HubListener` for the hub."""

import asyncio
from collections.abc import Callable

from batchpools.api.reasons import Reason, RequeueReason
from batchpools.controllers.task.book import Entry, RunBook
from batchpools.controllers.task.dispatcher import Dispatcher
from batchpools.controllers.task.intake import KILL_GRACE, Intake
from batchpools.controllers.task.nodes import PoolKey
from batchpools.controllers.task.reports import Reports
from batchpools.controllers.task.settler import Settler
from batchpools.core.ledger import Explanation, NodeRuns
from batchpools.core.scheduling.explain import explain_waiting
from batchpools.core.tasks import status as statuses
from batchpools.core.tasks.lifecycle import Bound, Done, Ending, OnNode, Running, Settling, Waiting, Why
from batchpools.core.views import PoolNodeView, TaskCounts
from batchpools.hub.port import HubPort, NodeIdentity
from batchpools.kube.applier import Applier
from batchpools.kube.cache import Cache
from batchpools.kube.port import KubeApi
from batchpools.link import messages as link
from batchpools.telemetry.clock import Clock

SWEEP_EVERY = 10.0
TELL_AFTER = 30.0  # seconds that a task waits before its status says why
_TOLD = {Reason.JOB_NOT_FOUND, Reason.POOL_NOT_FOUND, Reason.REQUIRED_SLOTS_TOO_LARGE}


class RunLedgerOfLeader:
    """The book and all that works on it. On a standby it keeps counts and is otherwise empty."""

    def __init__(self, cache: Cache, clock: Clock, wake_job: Callable[[str, str], None]) -> None:
        self._cache = cache
        self._clock = clock
        self._dispatcher: Dispatcher | None = None
        self._book = RunBook(cache, self._wake_pool, wake_job)
        self._sweeper: asyncio.Task[None] | None = None
        self.on_latency: Callable[[float], None] = lambda _: None
        self.on_node: Callable[[NodeIdentity], None] = lambda _: None  # its agent said something of the node
        self.on_pool: Callable[[PoolKey], None] = lambda _: None  # slots of it were taken or freed

    def connect(self, hub: HubPort, applier: Applier, api: KubeApi) -> None:
        """Second half of the construction: hub and applier need the ledger, and it needs them."""
        self._hub = hub
        dispatcher = Dispatcher(self._book, hub, self._clock.monotonic, self._waited)
        self._dispatcher = dispatcher
        self._settler = Settler(self._book, applier, hub, self._clock, dispatcher.send_again)
        dispatcher.fail = self._settler.fail
        self._intake = Intake(self._book, self._settler, hub, self._clock.monotonic)
        self._reports = Reports(self._book, self._intake, self._settler, hub, api, self._clock)
        self._reports.on_heard = self._heard
        self._reports.wake_pool = self._wake_pool
        self._cache.tasks.subscribe(self._intake.task_changed)
        self._cache.jobs.subscribe(self._intake.job_changed)
        self._cache.pools.subscribe(self._intake.pool_changed)
        self._cache.nodes.subscribe(self._node_changed)

    # ---------------------------------------------------------------- leading

    def lead(self, epoch: int) -> None:
        """Begin from the cache: every task that has not ended may be running on any node of its pool until that node was heard."""
        assert self._dispatcher is not None  # noqa: S101 (connected before)
        self._book.clear()
        self._book.leading = True
        self._dispatcher.epoch = epoch
        for node in self._cache.nodes:
            if node.status.pod_uid and self._may_run(node):
                pool = (node.metadata.namespace, node.spec.pool_name)
                self._book.unheard.setdefault(pool, {})[node.status.pod_uid] = node.metadata.name
        self._intake.claim_all()
        for view in self._cache.tasks:
            self._intake.admit(view, held=self._must_hold(view.metadata.namespace, view.spec.job_name))
        for session in self._hub.sessions():
            if session.report is not None:
                self._book.nodes.reported(session.node, session.report)
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="sweep")

    async def follow(self) -> None:
        """Lead no longer: forget everything; nothing that was not persisted was acknowledged."""
        self._book.leading = False
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self._settler.stop()
        await self._reports.stop()
        self._book.clear()

    # ---------------------------------------------------------------- RunLedger

    def job_counts(self, namespace: str, job: str) -> TaskCounts:
        """Live counts; completed only once persisted."""
        return self._book.tally.of(namespace, job)

    def node_runs(self, pod_uid: str) -> NodeRuns:
        """What the node of this pod does."""
        return self._book.nodes.runs(pod_uid)

    def pool_slots(self, namespace: str, pool: str) -> tuple[int, int]:
        """(total, used) slots of the pool's ready nodes."""
        nodes = [node for node in self._book.nodes.of_pool((namespace, pool)) if node.ready]
        return sum(node.total for node in nodes), sum(node.used for node in nodes)

    def drain_node(self, pod_uid: str, reason: RequeueReason) -> None:
        """No more tasks for it; its runs are killed and requeued."""
        page = self._book.nodes.get(pod_uid)
        if page is not None:
            page.draining = reason
        for entry in self._on_pod(pod_uid):
            self._end_run(entry, Why.DRAINED, reason)

    def is_drained(self, pod_uid: str) -> bool:
        """Whether the node takes no tasks, and every end on it is confirmed and persisted."""
        page = self._book.nodes.get(pod_uid)
        return (page is None or page.draining is not None) and self.is_released(pod_uid)

    def is_released(self, pod_uid: str) -> bool:
        """Whether nothing is believed to run in this pod, and what followed from that is persisted."""
        unheard = any(pod_uid in waiting for waiting in self._book.unheard.values())
        return not unheard and not self._busy(pod_uid)

    def release_node(self, pod_uid: str) -> None:
        """All task containers of this pod are dead: its runs are lost."""
        for entry in self._on_pod(pod_uid):
            if entry.deleted:
                self._book.drop(entry)
            else:
                self._settler.requeue(entry, RequeueReason.NODE_LOST)
        for waiting in self._book.unheard.values():
            waiting.pop(pod_uid, None)
        self._release_held()
        if not self._busy(pod_uid):
            self._book.nodes.forget(pod_uid)

    def end_job(self, namespace: str, job: str) -> None:
        """Kill the runs of a job that is going away, start none."""
        view = self._cache.jobs.get(namespace, job)
        if view is not None:
            self._book.ended_jobs.add(view.metadata.uid)
        for entry in self._of_job(namespace, job):
            if isinstance(entry.state, Waiting):
                self._book.dequeue(entry)
            else:
                self._end_run(entry, Why.JOB_ENDED, RequeueReason.POOL_RESIZED)

    def is_job_quiet(self, namespace: str, job: str) -> bool:
        """Whether nothing of the job runs any more, confirmed."""
        view = self._cache.jobs.get(namespace, job)
        stopped = view is None or view.metadata.uid in self._book.ended_jobs
        return stopped and all(isinstance(entry.state, Waiting | Done) for entry in self._of_job(namespace, job))

    def explain(self, namespace: str, task: str) -> Explanation | None:
        """Why a task stands where it stands; None when no such task is known."""
        view = self._cache.tasks.get(namespace, task)
        if view is None:
            return None
        entry = self._book.entries.get(view.metadata.uid)
        if entry is None:
            reason = "Succeeded" if view.status.result == "Success" else view.status.state
            return Explanation(view.status.state, view.status.pool_node_name, reason, "", 0, 0, ())
        state = entry.state
        if isinstance(state, Bound | Running | Ending):
            return Explanation("Running", state.node, type(state).__name__, f"It runs on node {state.node}.", 0, 0, ())
        if isinstance(state, Settling | Done):
            return Explanation("Completed", "", "Settling", "Its run has ended; the result is being written.", 0, 0, ())
        question = self._book.question(entry)
        pool = (namespace, question.job.spec.pool_name) if question.job is not None else ("", "")
        return explain_waiting(question, self._book.pool_book(pool), entry.uid, "Active")

    # ---------------------------------------------------------------- HubListener

    def node_reported(self, node: NodeIdentity, report: link.NodeReport) -> None:
        """See hub.port."""
        if self._book.leading:
            self._reports.node_reported(node, report)
            self.on_node(node)

    def node_left(self, node: NodeIdentity) -> None:
        """See hub.port."""
        if self._book.leading:
            self._reports.node_left(node)
            self.on_node(node)

    def inventory(self, node: NodeIdentity, inventory: link.Inventory) -> None:
        """See hub.port."""
        if self._book.leading:
            self._reports.inventory(node, inventory)

    def started(self, node: NodeIdentity, message: link.Started) -> None:
        """See hub.port."""
        if self._book.leading:
            self._reports.started(node, message)

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

    # ---------------------------------------------------------------- inside

    def _wake_pool(self, pool: PoolKey) -> None:
        if self._dispatcher is not None:
            self._dispatcher.wake(pool)
        self.on_pool(pool)

    def _waited(self, seconds: float) -> None:
        self.on_latency(seconds)

    def _on_pod(self, pod_uid: str) -> list[Entry]:
        return [self._book.entries[uid] for uid in list(self._book.on_pod.get(pod_uid, ()))]

    def _busy(self, pod_uid: str) -> bool:
        """Whether anything of this pod is running or being written."""
        if self._book.on_pod.get(pod_uid):
            return True
        return any(
            isinstance(entry.state, Settling) and entry.state.pod_uid == pod_uid
            for entry in self._book.entries.values()
        )

    def _of_job(self, namespace: str, job: str) -> list[Entry]:
        views = self._cache.tasks.indexed("by_job", (namespace, job))
        found = (self._book.entries.get(view.metadata.uid) for view in list(views))
        return [entry for entry in found if entry is not None]

    def _end_run(self, entry: Entry, why: Why, reason: RequeueReason) -> None:
        state = entry.state
        if isinstance(state, Bound | Running):
            started = state.started_at if isinstance(state, Running) else 0.0
            self._book.move(entry, Ending(state.pod_uid, state.node, state.execution, started, why, reason))
        if isinstance(state, OnNode):
            self._hub.kill(state.pod_uid, str(state.execution), KILL_GRACE)

    def _must_hold(self, namespace: str, job_name: str) -> bool:
        job = self._cache.jobs.get(namespace, job_name)
        if job is None:
            return bool(self._book.unheard)
        return bool(self._book.unheard.get((namespace, job.spec.pool_name)))

    def _may_run(self, node: PoolNodeView) -> bool:
        """Whether something may be running in a node's pod: not before its task container has ever started."""
        pod = self._cache.pods.get(node.metadata.namespace, node.status.pod_name)
        if pod is None or pod.metadata.uid != node.status.pod_uid:
            return True
        return any(one.state.waiting is None or one.restart_count > 0 for one in pod.status.container_statuses)

    def _heard(self, node: NodeIdentity) -> None:
        """A node has said all it knows."""
        waiting = self._book.unheard.get((node.namespace, node.pool))
        if waiting is not None:
            waiting.pop(node.pod_uid, None)
        self._release_held()

    def _release_held(self) -> None:
        """Tasks of pools that have been heard wait no longer: what was recorded as running, and is nowhere, is lost."""
        silent = {pool for pool, waiting in self._book.unheard.items() if waiting}
        self._book.unheard = {pool: self._book.unheard[pool] for pool in silent}
        for uid in list(self._book.held):
            entry = self._book.entries[uid]
            job = self._cache.jobs.get(*entry.job_key)
            pool = (entry.job_key[0], job.spec.pool_name) if job is not None else None
            if pool in silent or (pool is None and silent):
                continue
            self._book.move(entry, Waiting())
            if entry.status.state == "Running":
                self._settler.requeue(entry, RequeueReason.NODE_LOST)

    def _node_changed(self, old: PoolNodeView | None, new: PoolNodeView | None) -> None:
        """A node that leaves takes no more tasks, from the moment that anybody can see it."""
        view = new or old
        if view is None or not self._book.leading:
            return
        page = self._book.nodes.get(view.status.pod_uid)
        if page is not None and (new is None or view.metadata.deletion_timestamp is not None):
            page.draining = page.draining or RequeueReason.POOL_RESIZED

    async def _sweep(self) -> None:
        """Now and then: tell tasks that wait in no queue why, and ask again for ends that were not confirmed."""
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            self._release_held()
            now = self._clock.monotonic()
            for entry in list(self._book.entries.values()):
                if isinstance(entry.state, Ending):
                    self._hub.kill(entry.state.pod_uid, str(entry.state.execution), KILL_GRACE)
                elif entry.refusal is not None and isinstance(entry.state, Waiting) and now - entry.since >= TELL_AFTER:
                    self._tell_why(entry)

    def _tell_why(self, entry: Entry) -> None:
        refusal = entry.refusal
        if refusal is None or refusal.reason not in _TOLD or entry.refusal_told == refusal.sentence:
            return
        entry.refusal_told = refusal.sentence
        generation = entry.view.metadata.generation
        status = statuses.unschedulable(
            entry.status, refusal.reason, refusal.sentence, generation=generation, now=self._clock.now()
        )
        entry.status = status
        self._settler.write_later(entry, status)
