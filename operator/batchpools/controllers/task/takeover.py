"""What may be running without our knowing, after an election: tasks of before wait until every node that might run them has spoken.

A node has spoken when its inventory of our epoch came, when the kubelet wrote that its containers are dead, or when its time
is over (rules S1.1, S4.1). Of a node that was disconnected before, every task that was sent there is recorded: only those wait
for it. A node that was lost together with the former leader keeps all tasks of before waiting; tasks made since do not wait (S3.4).
"""

from batchpools.api import names
from batchpools.api.states import TaskState
from batchpools.controllers.task.book import RunBook, is_terminal
from batchpools.controllers.task.entry import Entry, PoolKey
from batchpools.controllers.task.intake import Intake
from batchpools.controllers.task.live import Live
from batchpools.controllers.task.settler import Settler
from batchpools.core.orphans import nodeless
from batchpools.core.pools import pod_facts
from batchpools.core.pools.reach import is_set_aside
from batchpools.core.tasks.lifecycle import Held, Waiting
from batchpools.core.views import PodView, TaskView
from batchpools.hub.port import HubPort, NodeIdentity

_Node = tuple[str, str]


class Takeover:
    """The silent nodes, and the tasks that wait for them."""

    def __init__(self, book: RunBook, intake: Intake, settler: Settler, live: Live, hub: HubPort) -> None:
        self._book = book
        self._intake = intake
        self._settler = settler
        self._live = live
        self._hub = hub
        self._before: set[str] = set()  # uids of the tasks that may be running without our knowing
        self._silent: dict[PoolKey, dict[str, str]] = {}  # pool -> pod uid -> node
        self._absent: dict[str, _Node] = {}  # pod uid -> node that was disconnected before we led
        self._recorded: dict[_Node, set[str]] = {}  # node -> uids of held tasks that are said to run there
        self._judging: set[str] = set()  # pods that the API server is asked about, for their agents met no runner
        intake.must_hold = self.must_hold

    def begin(self) -> None:
        """We lead, behind the barrier: every node with a pod may run any task of its pool that the cache has now.

        What the cache shows later was made later, whatever anybody's clock says.
        """
        self.end()
        self._before = {view.metadata.uid for view in self._book.cache.tasks}
        for node in self._book.cache.nodes:
            if node.status.pod_uid and is_set_aside(node.status):
                self._absent[node.status.pod_uid] = (node.metadata.namespace, node.metadata.name)
            elif node.status.pod_uid:
                pool = (node.metadata.namespace, node.spec.pool_name)
                self._silent.setdefault(pool, {})[node.status.pod_uid] = node.metadata.name
        for pod in nodeless(self._book.cache.pods, self._book.cache.nodes):
            meta = pod.metadata
            pool = (meta.namespace, meta.labels.get(names.LABEL_POOL, ""))
            self._silent.setdefault(pool, {})[meta.uid] = meta.labels.get(names.LABEL_NODE, "")
        for view in self._book.cache.tasks:
            entry = self._intake.admit(view)
            if entry is not None and isinstance(entry.state, Held) and view.status.state == TaskState.RUNNING:
                place = (view.metadata.namespace, view.status.pool_node_name)
                self._recorded.setdefault(place, set()).add(entry.uid)

    def end(self) -> None:
        """We lead no longer."""
        for held in (self._before, self._silent, self._absent, self._recorded, self._judging):
            held.clear()

    def must_hold(self, view: TaskView) -> bool:
        """Whether a task that nobody runs, as far as we know, may be running on a node that has not spoken."""
        return view.metadata.uid in self._before and bool(self._silent_for(view))

    def is_unknown(self, pod_uid: str) -> bool:
        """Whether this pod may run what is recorded nowhere."""
        return any(pod_uid in nodes for nodes in self._silent.values())

    def silent_nodes(self, entry: Entry) -> list[str]:
        """The nodes for which a held task waits."""
        return self._silent_for(entry.view) if isinstance(entry.state, Held) else []

    def is_silent(self, pod_uid: str) -> bool:
        """Whether this pod may run what we have not heard of."""
        return pod_uid in self._absent or self.is_unknown(pod_uid)

    def spoke(self, pod_uid: str) -> None:
        """The node has said all it knows, or is dead: what only it could run waits no longer."""
        absent = self._absent.pop(pod_uid, None)
        if absent is not None:
            self._look_at_recorded(absent)
            self.release()
        for pool, nodes in list(self._silent.items()):
            node = nodes.pop(pod_uid, None)
            if node is not None:
                self._look_at_recorded((pool[0], node))
            if not nodes:
                del self._silent[pool]
                self.release()

    def met_no_runner(self, node: NodeIdentity) -> None:
        """The agent has not met all its runners: nothing ran there if it has been the only agent, and a container never started.

        For an agent takes no run before it has met every runner.
        """
        if not self.is_silent(node.pod_uid) or node.pod_uid in self._judging:
            return
        self._judging.add(node.pod_uid)

        def answered(pod: PodView | None) -> None:
            self._judging.discard(node.pod_uid)
            self._judge(node.pod_uid, pod)

        self._live.ask_pod(node.namespace, node.pod_name, answered)

    def ask_for_silent(self) -> None:
        """Nodes without a session: those whose agent never started have never run anything."""
        for pool, nodes in self._silent.items():
            for pod_uid, name in nodes.items():
                node = self._book.cache.nodes.get(pool[0], name)
                if node is not None and self._hub.session(pod_uid) is None:
                    self._ask_unless_connected(pool[0], node.status.pod_name, pod_uid)

    def release(self) -> None:
        """Let go of all whose nodes have spoken."""
        for uid in list(self._book.held):
            entry = self._book.entries.get(uid)
            if entry is not None and not entry.asking and not self.must_hold(entry.view):
                self._let_go(entry)

    def ask_how_it_stands(self, entry: Entry) -> None:
        """Nothing happens to a task of which a result may be persisted already before the API server has said how it stands."""
        if entry.asking or not isinstance(entry.state, Waiting | Held):
            return
        entry.asking = True
        if isinstance(entry.state, Waiting):
            self._book.move(entry, Held())
        name = entry.view.metadata.name
        self._live.ask_task(entry.key.namespace, name, lambda view: self._answered(entry, view))

    # ---------------------------------------------------------------- inside

    def _silent_for(self, view: TaskView) -> list[str]:
        """A task whose job is not known may belong to any pool of the namespace."""
        namespace = view.metadata.namespace
        recorded = (namespace, view.status.pool_node_name)
        if view.status.state == TaskState.RUNNING and recorded in self._absent.values():
            return [recorded[1]]
        pool = self._book.pool_of((namespace, view.spec.job_name))
        pools = [pool] if pool is not None else [one for one in self._silent if one[0] == namespace]
        return [name for one in pools for name in self._silent.get(one, {}).values()]

    def _look_at_recorded(self, node: _Node) -> None:
        """Said to run on this node, which has spoken, and yet nowhere adopted: it is lost, even while other nodes are silent."""
        for uid in sorted(self._recorded.pop(node, ())):
            entry = self._book.entries.get(uid)
            if entry is not None and isinstance(entry.state, Held):
                self.ask_how_it_stands(entry)

    def _let_go(self, entry: Entry) -> None:
        if entry.status.state == TaskState.RUNNING:
            self.ask_how_it_stands(entry)  # before it counts as lost
        else:
            self._book.move(entry, Waiting())

    def _answered(self, entry: Entry, view: TaskView | None) -> None:
        """Gone or ended: the cache will show it, until then the entry stays held. Else it goes on from what is true."""
        gone = view is None or view.metadata.uid != entry.uid or is_terminal(view)
        if gone or view is None or self._book.entries.get(entry.uid) is not entry:
            return
        recorded = entry.status.execution_id if entry.status.state == TaskState.RUNNING else ""
        entry.asking = False
        self._intake.admit(view)
        if not isinstance(entry.state, Held):
            return  # adopted meanwhile
        node = (entry.key.namespace, entry.status.pool_node_name)
        is_running = entry.status.state == TaskState.RUNNING
        if is_running and entry.status.execution_id == recorded and not self._is_silent_node(node):
            self._settler.lose(entry)
        elif not self.must_hold(entry.view):
            self._let_go(entry)

    def _is_silent_node(self, node: _Node) -> bool:
        lost = (nodes for pool, nodes in self._silent.items() if pool[0] == node[0])
        return node in self._absent.values() or any(node[1] in nodes.values() for nodes in lost)

    def _ask_unless_connected(self, namespace: str, pod_name: str, pod_uid: str) -> None:
        def answered(pod: PodView | None) -> None:
            if pod is not None and not _started(pod, names.AGENT_CONTAINER):
                self._judge(pod_uid, pod)

        self._live.ask_pod(namespace, pod_name, answered)

    def _judge(self, pod_uid: str, pod: PodView | None) -> None:
        if pod is None or pod.metadata.uid != pod_uid or _restarted(pod, names.AGENT_CONTAINER):
            return
        if not all(_started(pod, one) for one in pod_facts.runner_containers(pod)):
            self.spoke(pod_uid)


def _started(pod: PodView, container: str) -> bool:
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    return any(
        one.name == container and (one.restart_count or one.state.running is not None or one.state.terminated)
        for one in statuses
    )


def _restarted(pod: PodView, container: str) -> bool:
    return any(one.name == container and one.restart_count for one in pod.status.init_container_statuses)
