"""Follows what nodes say of themselves: their phase, their going, and the account of their runs that closes a takeover."""

from batchpools.controllers.task.book import RunBook
from batchpools.controllers.task.intake import Intake
from batchpools.controllers.task.reports import Reports, parse
from batchpools.controllers.task.settler import Settler
from batchpools.controllers.task.takeover import Takeover
from batchpools.core.ended import Ended
from batchpools.core.tasks.lifecycle import Bound, Ending, Held, OnNode, Waiting
from batchpools.core.tasks.status import is_accounted
from batchpools.hub.port import NodeIdentity
from batchpools.link import messages as link


class Inventories:
    """Nodes as their agents tell of them."""

    def __init__(self, book: RunBook, intake: Intake, settler: Settler, reports: Reports, takeover: Takeover) -> None:
        self._book = book
        self._intake = intake
        self._settler = settler
        self._reports = reports
        self._takeover = takeover

    def node_reported(self, node: NodeIdentity, report: link.NodeReport) -> None:
        """A session began or a node's phase changed."""
        page = self._book.nodes.reported(node, report)
        self._intake.judge_node(node.pod_uid)
        self._book.wake_pool(page.pool)

    def node_left(self, node: NodeIdentity) -> None:
        """The session is gone: nothing more is sent there; what runs, runs."""
        page = self._book.nodes.get(node.pod_uid)
        if page is not None:
            page.ready = page.heard = page.vouched = False

    def vouched(self, node: NodeIdentity) -> None:
        """The node's dead-man timer runs by our word: runs may be sent."""
        page = self._book.nodes.know(node)
        page.vouched = True
        self._book.wake_pool(page.pool)

    def take(self, node: NodeIdentity, inventory: link.Inventory) -> None:
        """All that the node knows of runs; its results came before. What is in neither is not there, and will not start."""
        if inventory.epoch != self._book.epoch:
            return
        page = self._book.nodes.know(node)
        if not inventory.boot_id:
            self._takeover.met_no_runner(node)
            return
        listed = {run.execution_id for run in inventory.live}
        page.strangers = set(listed)  # each, until it has its place
        self._close_account(node, listed)
        for run in sorted(inventory.live, key=_newest_first):
            self._live_run(node, run)
        page.strangers = {one for one in page.strangers if self._reports.current(node, one) is None}
        for execution_id in inventory.acknowledged:
            self._acknowledged_run(node, execution_id)
        page.heard = True
        self._takeover.spoke(node.pod_uid)
        self._book.wake_pool(page.pool)

    # ---------------------------------------------------------------- inside

    def _close_account(self, node: NodeIdentity, listed: set[str]) -> None:
        """What we believe to be there, and is not."""
        for entry in self._book.on_pod(node.pod_uid):
            state = entry.state
            if not isinstance(state, OnNode) or str(state.execution) in listed:
                continue
            if isinstance(state, Bound):
                self._settler.put_back(entry)  # it never arrived
            elif isinstance(state, Ending):
                self._settler.settle(entry, Ended("killed", message="it was not there"))
            else:
                self._settler.lose(entry)
        for entry, execution_id in self._book.losers_on(node.pod_uid):
            if execution_id not in listed:
                self._reports.loser_is_gone(entry, execution_id)

    def _live_run(self, node: NodeIdentity, run: link.RunState) -> None:
        """A run in an inventory: ours, one to adopt, or one to end."""
        execution = parse(run.execution_id)
        entry = self._book.entries.get(execution.task_uid) if execution else None
        if execution is None:
            self._settler.kill(node.pod_uid, run.execution_id)
        elif entry is None:
            self._reports.ask_about_live(node, run)
        elif self._reports.current(node, run.execution_id) is entry:
            self._go_on(node, run)
        elif not self._reports.adopt(node, entry, execution, run.started_at):
            self._reports.end_live(node, entry, run.execution_id)

    def _go_on(self, node: NodeIdentity, run: link.RunState) -> None:
        """Ours: perhaps its start, or our wish to end it, was lost with the former session."""
        if run.started_at:
            self._reports.started(node, run.execution_id, run.started_at)
        entry = self._reports.current(node, run.execution_id)
        if entry is not None and isinstance(entry.state, Ending):
            self._settler.kill(node.pod_uid, run.execution_id)

    def _acknowledged_run(self, node: NodeIdentity, execution_id: str) -> None:
        """Persisted by a former leader, or discarded; if the cache does not show it, ask before anything runs."""
        execution = parse(execution_id)
        entry = self._book.entries.get(execution.task_uid) if execution else None
        if execution is None or entry is None or not isinstance(entry.state, Waiting | Held):
            return
        if self._reports.may_run(node, entry) and not is_accounted(execution, entry.status):
            self._takeover.ask_how_it_stands(entry)


def _newest_first(run: link.RunState) -> tuple[int, int]:
    execution = parse(run.execution_id)
    return (0, 0) if execution is None else (-execution.epoch, -execution.attempt)
