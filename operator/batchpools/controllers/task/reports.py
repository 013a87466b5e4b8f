"""Follows the agents: what they say of runs becomes a change of the book (safety rules S1.1, S4.1, S5.2).

A node is believed about its own runs alone: what it says of a run that another node was given, or of a task of another pool,
changes nothing. Nor is a node believed that claims what cannot be: a run that no leader has sent, a run of before that it did not
name in its account, or anything at all of a pod that its node has replaced. It is told to kill and forget those, no more.
"""

import asyncio
from collections.abc import Callable

from batchpools.controllers.task.book import RunBook, is_terminal
from batchpools.controllers.task.dispatcher import Dispatcher
from batchpools.controllers.task.entry import Entry
from batchpools.controllers.task.intake import Intake
from batchpools.controllers.task.live import Live
from batchpools.controllers.task.settler import RUNNING_AFTER, Settler
from batchpools.core.ended import Ended
from batchpools.core.identity import ExecutionId
from batchpools.core.tasks.lifecycle import Bound, Ending, Held, OnNode, Running, Settling, Waiting
from batchpools.core.tasks.status import is_accounted, says_running
from batchpools.core.views import TaskView
from batchpools.hub.port import HubPort, NodeIdentity
from batchpools.link import messages as link

_ASKED_AT_ONCE = 1024  # runs of one node


class Reports:
    """The leader's side of what agents say of runs; a standby listens to nothing of it."""

    def __init__(
        self, book: RunBook, intake: Intake, settler: Settler, dispatcher: Dispatcher, hub: HubPort, live: Live
    ) -> None:
        self._book = book
        self._intake = intake
        self._settler = settler
        self._dispatcher = dispatcher
        self._hub = hub
        self._live = live
        self._asked: dict[str, set[str]] = {}  # pod uid -> execution ids that the API server is asked about
        self._overflowed: set[str] = set()  # pods of which not all could be asked
        self.may_have_more: Callable[[str], bool] = lambda _: True  # whether this pod's account is open yet

    def clear(self) -> None:
        """We lead no longer: no question of ours is answered any more."""
        self._asked.clear()
        self._overflowed.clear()

    def started(self, node: NodeIdentity, execution_id: str, started_at: float) -> None:
        """A process exists."""
        entry = self.current(node, execution_id)
        if entry is not None and isinstance(entry.state, Bound):
            self._runs(entry, entry.state, started_at)

    def finished(self, node: NodeIdentity, message: link.Finished) -> None:
        """A run has ended. It is settled, or it is of no interest any more and acknowledged."""
        self._stranger_is_gone(node, message.execution_id)
        execution = parse(message.execution_id)
        entry = self._book.entries.get(execution.task_uid) if execution else None
        if execution is None:
            self._hub.acknowledge(node.pod_uid, [message.execution_id])
        elif entry is None:
            self._ask_about_result(node, execution, message)
        elif self.current(node, message.execution_id) is entry or self.adopt(
            node, entry, execution, message.started_at
        ):
            self._settle(entry, message)
        elif not self._is_settling(node, entry, execution):
            self._loser_said_to_end(node, entry, message.execution_id)
            self._hub.acknowledge(node.pod_uid, [message.execution_id])

    def unknown(self, node: NodeIdentity, execution_id: str) -> None:
        """A run that we wanted to end is not there, and will not start."""
        self._stranger_is_gone(node, execution_id)
        entry = self.current(node, execution_id)
        if entry is not None:
            self._settler.settle(entry, Ended("killed", message="it was not there"))
            return
        execution = parse(execution_id)
        loser_of = self._book.entries.get(execution.task_uid) if execution else None
        if loser_of is not None:
            self._loser_said_to_end(node, loser_of, execution_id)

    def rejected(self, node: NodeIdentity, message: link.Rejected) -> None:
        """A dispatch was not carried out: the task waits again, nothing is counted."""
        entry = self.current(node, message.execution_id)
        self._dispatcher.pause(node.pod_uid)
        if entry is not None and isinstance(entry.state, Bound):
            self._settler.put_back(entry)
        elif entry is not None and isinstance(entry.state, Ending):
            self._settler.settle(entry, Ended("killed", message=message.reason))

    # ---------------------------------------------------------------- adoption

    def current(self, node: NodeIdentity, execution_id: str) -> Entry | None:
        """The entry whose present run this is, on this node."""
        execution = parse(execution_id)
        entry = self._book.entries.get(execution.task_uid) if execution else None
        if entry is None or not isinstance(entry.state, OnNode):
            return None
        return entry if (entry.state.execution, entry.state.pod_uid) == (execution, node.pod_uid) else None

    def adopt(self, node: NodeIdentity, entry: Entry, execution: ExecutionId, started_at: float) -> bool:
        """A task that nobody runs takes over a run that a former leader sent; of two the newer one wins (S1.1)."""
        state = entry.state
        is_newer = isinstance(state, Bound | Running) and self._is_newer(node, entry, state, execution)
        if entry.deleted or not (is_newer or isinstance(state, Waiting | Held)):
            return False
        if is_accounted(execution, entry.status) or not self._was_sent(entry, execution):
            return False
        if not self.may_run(node, entry) or self._is_replaced(node):
            return False
        if isinstance(state, Bound | Running):
            self.end_loser(entry, str(state.execution), state.pod_uid)
        entry.attempt = max(entry.attempt, execution.attempt)
        self._book.move(entry, Bound(node.pod_uid, node.node, execution))
        if started_at and isinstance(entry.state, Bound):
            self._runs(entry, entry.state, started_at)
        return True

    def end_loser(self, entry: Entry, execution_id: str, pod_uid: str) -> None:
        """A run of the task that is not to be: ended, and its end confirmed before anything else happens to the task."""
        self._book.lose(entry, execution_id, pod_uid)
        self._settler.kill(pod_uid, execution_id)

    def end_live(self, node: NodeIdentity, entry: Entry, execution_id: str) -> None:
        """A live run that is not the task's.

        No task waits for the word of a node of another pool; none that runs on one node waits for what another has made up.
        """
        if self.may_run(node, entry) and self._may_be_live(node, entry, execution_id):
            self.end_loser(entry, execution_id, node.pod_uid)
        else:
            self._settler.kill(node.pod_uid, execution_id)

    def may_run(self, node: NodeIdentity, entry: Entry) -> bool:
        """Whether the node is of the task's pool; with an unknown job, at least of its namespace."""
        pool = self._book.pool_of(entry.job_key)
        return entry.key.namespace == node.namespace and pool in {None, (node.namespace, node.pool)}

    def loser_is_gone(self, entry: Entry, execution_id: str) -> None:
        """The node that ran it says, or the kubelet, that it is not there any more."""
        self._loser_ended(entry, execution_id)

    def ask_about_live(self, node: NodeIdentity, run: link.RunState) -> None:
        """A live run of a task that the cache does not know: ended, unless the API server knows the task (S7.1)."""

        def answered(view: TaskView | None) -> None:
            execution = parse(run.execution_id)
            entry = self._admit_late(view, execution)
            if entry is None or execution is None or not self.adopt(node, entry, execution, run.started_at):
                self._settler.kill(node.pod_uid, run.execution_id)
            else:
                self._stranger_is_gone(node, run.execution_id)

        self._ask(node, run.execution_id, run.task_name, answered)

    # ---------------------------------------------------------------- inside

    def _ask(
        self, node: NodeIdentity, execution_id: str, task_name: str, answered: Callable[[TaskView | None], None]
    ) -> None:
        """Ask the API server, about each run once at a time. A node that has us ask about too many says the rest anew."""
        asked = self._asked.setdefault(node.pod_uid, set())
        if execution_id in asked:
            return
        if len(asked) >= _ASKED_AT_ONCE:
            self._overflowed.add(node.pod_uid)
            return
        asked.add(execution_id)

        def done(view: TaskView | None) -> None:
            asked.discard(execution_id)
            answered(view)
            if not asked:
                self._asked.pop(node.pod_uid, None)
                self._begin_anew(node)

        self._live.ask_task(node.namespace, task_name, done)

    def _begin_anew(self, node: NodeIdentity) -> None:
        """All that was asked is answered: what there was no room for comes with the next session's account."""
        if node.pod_uid in self._overflowed:
            self._overflowed.discard(node.pod_uid)
            self._hub.drop(node.pod_uid)

    def _was_sent(self, entry: Entry, execution: ExecutionId) -> bool:
        """Whether a leader can have sent it: a former one, or we ourselves."""
        ours = execution.epoch == self._book.epoch and execution.attempt <= entry.attempt
        return ours or execution.epoch < self._book.epoch

    def _is_newer(self, node: NodeIdentity, entry: Entry, state: Bound | Running, execution: ExecutionId) -> bool:
        """Whether a run is the newer one of two that former leaders sent.

        Between nodes this is for the first account of a node alone, and not against what is recorded: before a task was
        sent once more, the end of its former run was.
        """
        if state.execution.order >= execution.order:
            return False
        if state.pod_uid == node.pod_uid:
            return True
        return self.may_have_more(node.pod_uid) and not says_running(entry.view.status, state)

    def _stranger_is_gone(self, node: NodeIdentity, execution_id: str) -> None:
        """A live run that was no task's has ended, or is a task's now: the node has room again."""
        page = self._book.nodes.get(node.pod_uid)
        if page is not None and execution_id in page.strangers:
            page.strangers.discard(execution_id)
            self._book.wake_pool(page.pool)

    def _may_be_live(self, node: NodeIdentity, entry: Entry, execution_id: str) -> bool:
        """Whether a run of the task may be there. Of one that is bound elsewhere only what a former leader sent, and such
        runs are in the node's first account."""
        execution = parse(execution_id)
        if execution is None or not self._was_sent(entry, execution):
            return False
        if not isinstance(entry.state, OnNode | Settling) or entry.state.pod_uid == node.pod_uid:
            return True
        return execution.epoch < self._book.epoch and self.may_have_more(node.pod_uid)

    def _is_replaced(self, node: NodeIdentity) -> bool:
        """Whether its node has another pod by now: its session may only kill and report (safety rule S1.2)."""
        view = self._book.cache.nodes.get(node.namespace, node.node)
        return view is not None and view.status.pod_uid not in {"", node.pod_uid}

    def _runs(self, entry: Entry, state: Bound, started_at: float) -> None:
        """It has started. Told to people if it still runs a while from now, by our own clock."""
        running = Running(state.pod_uid, state.node, state.execution, started_at)
        self._book.move(entry, running)
        told = entry.status
        if told.state != "Running" or told.execution_id != str(state.execution):
            loop = asyncio.get_running_loop()
            loop.call_later(RUNNING_AFTER, self._settler.write_running, entry, running)

    def _settle(self, entry: Entry, message: link.Finished) -> None:
        if entry.losers:
            entry.parked = message
            return
        self._settler.settle(entry, _ended(message))

    def _is_settling(self, node: NodeIdentity, entry: Entry, execution: ExecutionId) -> bool:
        """Told again while it is being written: it is acknowledged when that is done."""
        state = entry.state
        return isinstance(state, Settling) and (state.execution, state.pod_uid) == (execution, node.pod_uid)

    def _loser_said_to_end(self, node: NodeIdentity, entry: Entry, execution_id: str) -> None:
        """Its own node says so; of another's run nobody else can say it."""
        if entry.losers.get(execution_id) == node.pod_uid:
            self._loser_ended(entry, execution_id)

    def _loser_ended(self, entry: Entry, execution_id: str) -> None:
        if not self._book.lost(entry, execution_id) or entry.losers or entry.parked is None:
            return
        parked, entry.parked = entry.parked, None
        if isinstance(entry.state, OnNode) and str(entry.state.execution) == parked.execution_id:
            self._settler.settle(entry, _ended(parked))

    def _ask_about_result(self, node: NodeIdentity, execution: ExecutionId, message: link.Finished) -> None:
        """A result of a task that the book does not have: forgotten only when it is sure that nobody wants it."""
        known = self._book.cache.tasks.by_uid(execution.task_uid)
        if known is not None and is_terminal(known):
            self._hub.acknowledge(node.pod_uid, [message.execution_id])
            return

        def answered(view: TaskView | None) -> None:
            if self._admit_late(view, execution) is not None:
                self.finished(node, message)
            else:
                self._hub.acknowledge(node.pod_uid, [message.execution_id])

        self._ask(node, message.execution_id, message.task_name, answered)

    def _admit_late(self, view: TaskView | None, execution: ExecutionId | None) -> Entry | None:
        """The entry of a task that the API server has and our cache had not."""
        if view is None or execution is None or view.metadata.uid != execution.task_uid or is_terminal(view):
            return None
        return self._intake.admit(view)


def parse(text: str) -> ExecutionId | None:
    """An execution id, or None when it is none."""
    try:
        return ExecutionId.parse(text)
    except ValueError:
        return None


def _ended(message: link.Finished) -> Ended:
    return Ended(
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
