"""Follows the agents: what they say of nodes and runs becomes a change of the book (safety rules S1.1, S4.1, S5.2)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from batchpools.api.reasons import RequeueReason
from batchpools.controllers.task.book import Entry, RunBook, is_terminal
from batchpools.controllers.task.intake import KILL_GRACE, Intake
from batchpools.controllers.task.settler import Settler
from batchpools.core.identity import ExecutionId
from batchpools.core.tasks import status as statuses
from batchpools.core.tasks.lifecycle import Bound, Done, Ending, Held, Running, Settling, Waiting
from batchpools.core.tasks.outcome import Ended
from batchpools.core.views import TaskView
from batchpools.hub.port import HubPort, NodeIdentity
from batchpools.kube.errors import KubeError, NotFoundError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import TASKS
from batchpools.link import messages as link
from batchpools.telemetry.clock import Clock

_log = logging.getLogger(__name__)

RUNNING_AFTER = 2.0  # seconds before Running is written: a short task costs no write for it
_ASK_AGAIN = 1.0


class Reports:
    """The leader's side of what agents say; a standby listens to nothing of it."""

    def __init__(
        self, book: RunBook, intake: Intake, settler: Settler, hub: HubPort, api: KubeApi, clock: Clock
    ) -> None:
        self._book = book
        self._intake = intake
        self._settler = settler
        self._hub = hub
        self._api = api
        self._clock = clock
        self._later: set[asyncio.Task[None]] = set()
        self.on_heard: Callable[[NodeIdentity], None] = lambda _: None
        self.wake_pool: Callable[[tuple[str, str]], None] = lambda _: None

    # ---------------------------------------------------------------- nodes

    def node_reported(self, node: NodeIdentity, report: link.NodeReport) -> None:
        """A session began or a node's phase changed."""
        page = self._book.nodes.reported(node, report)
        seen = self._book.cache.nodes.get(node.namespace, node.node)
        if seen is None or seen.metadata.deletion_timestamp is not None:
            page.draining = page.draining or RequeueReason.POOL_RESIZED
        self.wake_pool(page.pool)

    def node_left(self, node: NodeIdentity) -> None:
        """The session is gone: nothing more is sent there; what runs, runs."""
        page = self._book.nodes.get(node.pod_uid)
        if page is not None:
            page.ready = False
            page.heard = False

    def inventory(self, node: NodeIdentity, inventory: link.Inventory) -> None:
        """What the node knows of runs. What it does not list, it does not have (results follow in the same frame)."""
        self._book.nodes.know(node)
        believed = set(self._book.on_pod.get(node.pod_uid, ()))
        for run in inventory.live:
            self._live_run(node, run)
        for text in inventory.acknowledged:
            self._acknowledged_run(node, text)
        listed = {run.execution_id for run in inventory.live}
        asyncio.get_running_loop().call_soon(self._after_inventory, node, believed, listed)

    def _after_inventory(self, node: NodeIdentity, believed: set[str], listed: set[str]) -> None:
        """The inventory's frame has been handled: what was believed to run there, but is not listed, is lost.

        Only now does the node take tasks: what is sent to it after its inventory is not in the inventory.
        """
        page = self._book.nodes.get(node.pod_uid)
        if page is not None:
            page.heard = True
        for uid in believed & self._book.on_pod.get(node.pod_uid, set()):
            entry = self._book.entries[uid]
            state = entry.state
            if isinstance(state, Bound | Running | Ending) and str(state.execution) not in listed:
                if isinstance(state, Bound):
                    entry.fresh = True
                    self._book.move(entry, Waiting())  # it never arrived
                else:
                    self._settler.requeue(entry, RequeueReason.NODE_LOST)
            elif isinstance(state, Ending):
                self._hub.kill(node.pod_uid, str(state.execution), KILL_GRACE)
        self.on_heard(node)
        self.wake_pool((node.namespace, node.pool))

    # ---------------------------------------------------------------- runs

    def started(self, node: NodeIdentity, message: link.Started) -> None:
        """A process exists."""
        entry = self._current(message.execution_id)
        if entry is not None and isinstance(entry.state, Bound):
            state = entry.state
            self._book.move(entry, Running(node.pod_uid, state.node, state.execution, message.started_at))
            self._remember_to_tell(entry)

    def finished(self, node: NodeIdentity, message: link.Finished) -> None:
        """A run has ended. It is settled, or it is of no interest any more and acknowledged at once."""
        entry = self._current(message.execution_id)
        if entry is None:
            entry = self._adopt(node, message.execution_id, message.started_at)
        if entry is not None:
            if isinstance(entry.state, Bound | Running | Ending):
                self._settle(entry, message)
            return
        if self._loser_ended(node, message.execution_id):
            return
        self._spawn(self._discard_when_sure(node, message))

    def unknown(self, node: NodeIdentity, execution_id: str) -> None:
        """A run that we wanted to end is not there, and will not start."""
        entry = self._current(execution_id)
        if entry is not None and isinstance(entry.state, Bound | Running | Ending):
            ended = Ended("killed", message="it was not there")
            if entry.deleted:
                self._book.drop(entry)
            else:
                self._settler.settle(entry, ended)
        else:
            self._loser_ended(node, execution_id)

    def rejected(self, node: NodeIdentity, message: link.Rejected) -> None:
        """A dispatch was not carried out: the task waits again, nothing is counted."""
        entry = self._current(message.execution_id)
        if entry is None or not isinstance(entry.state, Bound | Ending):
            return
        page = self._book.nodes.get(node.pod_uid)
        if page is not None:
            page.ready = False  # until its next report
        if isinstance(entry.state, Ending):
            self._settler.settle(entry, Ended("killed", message=message.reason))
        else:
            entry.fresh = True
            self._book.move(entry, Waiting())

    # ---------------------------------------------------------------- inside

    def _current(self, execution_id: str) -> Entry | None:
        """The entry whose present run this is."""
        execution = _parse(execution_id)
        entry = self._book.entries.get(execution.task_uid) if execution else None
        state = entry.state if entry is not None else None
        if isinstance(state, Bound | Running | Ending | Settling) and state.execution == execution:
            return entry
        return None

    def _settle(self, entry: Entry, message: link.Finished) -> None:
        ended = Ended(
            cause=message.cause,
            exit_code=message.exit_code,
            started_at=message.started_at,
            ended_at=message.ended_at,
            user_cpu=message.user_cpu,
            kernel_cpu=message.kernel_cpu,
            max_memory_bytes=message.max_memory_bytes,
            code=message.code,
            message=message.message,
        )
        self._settler.settle(entry, ended)

    def _live_run(self, node: NodeIdentity, run: link.RunState) -> None:
        """A run in an inventory: ours, one to adopt, or one to end."""
        if self._current(run.execution_id) is not None:
            return
        if self._adopt(node, run.execution_id, run.started_at) is not None:
            return
        execution = _parse(run.execution_id)
        entry = self._book.entries.get(execution.task_uid) if execution else None
        if entry is not None:
            entry.losers[run.execution_id] = node.pod_uid
            self._hub.kill(node.pod_uid, run.execution_id, KILL_GRACE)
        else:
            self._spawn(self._kill_when_sure(node, run.execution_id, run.task_name))

    def _adopt(self, node: NodeIdentity, execution_id: str, started_at: float) -> Entry | None:
        """An unassigned task takes over a run that a former leader sent, unless that run has been accounted for already."""
        execution = _parse(execution_id)
        entry = self._book.entries.get(execution.task_uid) if execution else None
        if execution is None or entry is None or not isinstance(entry.state, Waiting | Held):
            return None
        status = entry.view.status if entry.view.status.attempt > entry.status.attempt else entry.status
        accounted = execution.attempt < status.attempt or (
            execution.attempt == status.attempt and status.state == "Active"
        )
        if accounted:
            return None
        entry.attempt = max(entry.attempt, execution.attempt)
        if started_at:
            self._book.move(entry, Running(node.pod_uid, node.node, execution, started_at))
            self._remember_to_tell(entry)
        else:
            self._book.move(entry, Bound(node.pod_uid, node.node, execution, fresh=True))
        return entry

    def _loser_ended(self, node: NodeIdentity, execution_id: str) -> bool:
        execution = _parse(execution_id)
        entry = self._book.entries.get(execution.task_uid) if execution else None
        if entry is None or entry.losers.pop(execution_id, None) is None:
            return False
        self._hub.acknowledge(node.pod_uid, [execution_id])
        self._book.enqueue(entry)
        return True

    def _acknowledged_run(self, node: NodeIdentity, execution_id: str) -> None:
        """Its result was persisted by a former leader, yet our cache may not show that: ask the API server before anything runs."""
        execution = _parse(execution_id)
        entry = self._book.entries.get(execution.task_uid) if execution else None
        if execution is None or entry is None or not isinstance(entry.state, Waiting | Held):
            return
        if execution.attempt <= entry.status.attempt and entry.status.state == "Active":
            return  # that retry or requeue is known
        self._book.move(entry, Settling("", node.node, None))
        self._spawn(self._look_again(entry))

    async def _look_again(self, entry: Entry) -> None:
        view = await self._live(entry.key.namespace, entry.key.name)
        if view is None or view.metadata.uid != entry.uid or is_terminal(view):
            self._book.move(entry, Done())
            seen = self._book.cache.tasks.by_uid(entry.uid)
            if seen is None or is_terminal(seen):
                self._book.drop(entry)
            return
        entry.view, entry.status = view, view.status
        self._book.move(entry, Waiting())

    async def _discard_when_sure(self, node: NodeIdentity, message: link.Finished) -> None:
        """A result for no present run. It is forgotten only when the API server says that nobody wants it (S7.1)."""
        execution = _parse(message.execution_id)
        if execution is None:
            self._hub.acknowledge(node.pod_uid, [message.execution_id])
            return
        entry = self._book.entries.get(execution.task_uid)
        if entry is None and self._book.cache.tasks.by_uid(execution.task_uid) is None:
            view = await self._live(*_split(message.task_name))
            if view is not None and view.metadata.uid == execution.task_uid and not is_terminal(view):
                self._intake.admit(view, held=True)
                self.finished(node, message)
                return
        self._hub.acknowledge(node.pod_uid, [message.execution_id])

    async def _kill_when_sure(self, node: NodeIdentity, execution_id: str, task_name: str) -> None:
        """A live run of an unknown task: ended, unless the API server knows the task and our cache is late."""
        execution = _parse(execution_id)
        view = await self._live(*_split(task_name)) if execution else None
        if (
            execution is not None
            and view is not None
            and view.metadata.uid == execution.task_uid
            and not is_terminal(view)
        ):
            self._intake.admit(view, held=True)
            if self._adopt(node, execution_id, self._clock.now().timestamp()) is not None:
                return
        self._hub.kill(node.pod_uid, execution_id, KILL_GRACE)

    async def _live(self, namespace: str, name: str) -> TaskView | None:
        """The task as the API server has it now; asked until it answers."""
        while True:
            try:
                return msgspec.json.decode(await self._api.get(TASKS, namespace, name), type=TaskView)
            except NotFoundError:
                return None
            except KubeError as error:
                _log.info("task %s/%s could not be read: %s", namespace, name, error.sentence)
                await asyncio.sleep(_ASK_AGAIN)

    def _remember_to_tell(self, entry: Entry) -> None:
        """Write Running if it still runs 2 seconds after its start."""
        state = entry.state
        assert isinstance(state, Running)  # noqa: S101 (asked before)
        told = entry.view.status
        if told.state == "Running" and told.execution_id == str(state.execution):
            return
        age = self._clock.now().timestamp() - state.started_at
        delay = max(0.0, RUNNING_AFTER - max(age, 0.0))
        asyncio.get_running_loop().call_later(delay, self._tell_running, entry, state)

    def _tell_running(self, entry: Entry, state: Running) -> None:
        if entry.state is state and self._book.leading and self._book.entries.get(entry.uid) is entry:
            status = statuses.running(
                entry.status,
                node=state.node,
                execution=state.execution,
                started_at=state.started_at,
                now=self._clock.now(),
            )
            self._settler.write_running(entry, status)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def stop(self) -> None:
        """Ask nothing more."""
        for task in list(self._later):
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)


def _parse(text: str) -> ExecutionId | None:
    try:
        return ExecutionId.parse(text)
    except ValueError:
        return None


def _split(task_name: str) -> tuple[str, str]:
    namespace, _, name = task_name.partition("/")
    return namespace, name
