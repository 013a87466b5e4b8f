"""Decides how a node stands: the conditions Scheduled → Registered → StartTaskDone → Ready, and Azure's one word. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from batchpools.api.reasons import Condition, FailureCode, Reason
from batchpools.api.states import NodeState, Result, SchedulingState, StartTaskState
from batchpools.core.conditions import find_condition, set_condition
from batchpools.core.ledger import Contact
from batchpools.core.pools import pod_facts
from batchpools.core.pools.emptying import is_marked
from batchpools.core.pools.node_action import state_while
from batchpools.core.tasks.failure_category import category_of
from batchpools.core.views import ConditionView, FailureInfo, NodeError, PodView, PoolNodeView, StartTaskInfo

REGISTER_TIME = timedelta(seconds=60)

Conditions = tuple[ConditionView, ...]


@dataclass(frozen=True, slots=True)
class StartTaskFacts:
    """What the agent says of the start task; ended_at 0 while it runs."""

    retry_count: int
    started_at: float
    ended_at: float
    exit_code: int | None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What the agent last said, while its session lives. phase: a word of `link.words.NodePhase`."""

    phase: str
    boot_id: str = ""
    start_task: StartTaskFacts | None = None
    message: str = ""  # what keeps the node from starting
    code: str = ""  # and what that is called

    @property
    def reason(self) -> Reason:
        """The code as far as we know it."""
        return Reason.PACKAGE_ERROR if self.code == Reason.PACKAGE_ERROR else Reason.REFERENCE_MISSING


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """All that decides how a node stands. report: None without a session, and from a node that is silent in spite of one."""

    node: PoolNodeView
    pod: PodView | None
    report: Report | None
    has_start_task: bool
    running_tasks: int = 0
    refused: str = ""  # the sentence that says why there is no pod
    refused_for: Reason = Reason.ALLOCATION_FAILED
    contact: Contact = Contact.IN_TOUCH
    renewing: bool = False  # it is emptied, to get a pod of the pool's present template
    quarantine: str = ""  # why it takes no tasks for a while
    quarantined_for: Reason = Reason.TASK_LAUNCH_FAILED
    emptied: bool = False  # it takes no tasks, and every end there is persisted

    @property
    def known(self) -> Conditions:
        """What was told of this very pod: nothing that was said of a former one holds for it."""
        same = self.pod is not None and self.pod.metadata.uid == self.node.status.pod_uid
        return self.node.status.conditions if same else ()

    @property
    def between_sessions(self) -> bool:
        """Whether the agent was here a moment ago and may be back in another, or it is not recorded yet what it runs."""
        recent = self.contact in {Contact.IN_TOUCH, Contact.SILENT}
        return self.report is None and recent and _holds(self.known, Condition.REGISTERED)


def conditions_of(facts: NodeFacts, now: datetime) -> Conditions:
    """The four conditions, in order; a later one is not true unless the former are."""
    if facts.between_sessions:
        return facts.node.status.conditions
    generation = facts.node.metadata.generation
    said = [_scheduled(facts), _registered(facts, now), _start_task_done(facts)]
    ready = next((one for one in said if one.status != "True"), None)
    found = _trouble(facts)
    if facts.report is not None and facts.report.phase == "Ready" and _all_but_start_task(said):
        said.append(_condition(Condition.READY, True, Reason.NODE_READY))
    elif facts.report is not None and facts.report.message:
        said.append(_condition(Condition.READY, False, facts.report.reason, facts.report.message))
    elif found is not None:
        said.append(_condition(Condition.READY, False, found.reason, found.message))
    elif ready is None:
        said.append(_condition(Condition.READY, False, Reason.AGENT_NOT_CONNECTED, "The task container is not up."))
    else:
        said.append(_condition(Condition.READY, False, Reason(ready.reason), ready.message))
    conditions = facts.node.status.conditions
    for one in said:
        stamped = ConditionView(
            type=one.type, status=one.status, reason=one.reason, message=one.message, observed_generation=generation
        )
        conditions = set_condition(conditions, stamped, now=now)
    return conditions


def state_of(facts: NodeFacts, conditions: Conditions) -> NodeState:
    """Azure's one word."""
    if facts.node.metadata.deletion_timestamp is not None or is_marked(facts.node):
        return NodeState.LEAVING_POOL
    acting = state_while(facts.node, empty=facts.emptied or facts.pod is None)
    if acting is not None:
        return acting
    preempted = is_preempted(facts, conditions)
    if preempted or facts.between_sessions:
        return NodeState.PREEMPTED if preempted else NodeState(facts.node.status.state)
    if facts.pod is None or not _holds(conditions, Condition.SCHEDULED):
        return NodeState.UNUSABLE if facts.refused else NodeState.CREATING
    return _unheard(facts, conditions) if facts.report is None else _heard(facts, facts.report)


def _unheard(facts: NodeFacts, conditions: Conditions) -> NodeState:
    """Of a pod whose agent has no session, or is silent."""
    reason = _reason(conditions, Condition.REGISTERED)
    if reason == Reason.AGENT_SILENT:
        return NodeState.UNKNOWN if facts.contact is Contact.GIVEN_UP else NodeState.DISCONNECTED
    return (
        NodeState.UNUSABLE
        if _trouble(facts) is not None or reason == Reason.AGENT_NOT_CONNECTED
        else NodeState.STARTING
    )


def _heard(facts: NodeFacts, report: Report) -> NodeState:
    """As its agent says, unless the kubelet knows better."""
    if report.phase == "StartTaskFailed":
        return NodeState.START_TASK_FAILED
    if report.message or _trouble(facts) is not None:
        return NodeState.UNUSABLE
    if report.phase == "StartTask":
        return NodeState.WAITING_FOR_START_TASK
    return NodeState.STARTING if report.phase != "Ready" else _serving(facts)


def _serving(facts: NodeFacts) -> NodeState:
    """Of a node that is up."""
    if facts.renewing:
        return NodeState.UPGRADING_OS
    if facts.quarantine:
        return NodeState.UNUSABLE
    if facts.running_tasks:
        return NodeState.RUNNING
    return NodeState.OFFLINE if facts.node.spec.scheduling_state == SchedulingState.DISABLED else NodeState.IDLE


def is_preempted(facts: NodeFacts, conditions: Conditions) -> bool:
    """Whether a low-priority node has lost its machine: from the end of its pod until the next one has a machine."""
    if facts.node.spec.is_dedicated:
        return False
    if facts.pod is not None and pod_facts.is_over(facts.pod):
        return True
    waits = facts.pod is None or not _holds(conditions, Condition.SCHEDULED)
    return waits and facts.node.status.state == NodeState.PREEMPTED


def live_state(told: str, used_slots: int) -> str:
    """A node's state as told, with Idle and Running as they are now: status follows them within 30 s (safety rule S5.4)."""
    if told in {NodeState.IDLE, NodeState.RUNNING}:
        return NodeState.RUNNING if used_slots else NodeState.IDLE
    return told


def errors_of(facts: NodeFacts, conditions: Conditions) -> tuple[NodeError, ...]:
    """What is wrong with the node, in words for people."""
    if is_preempted(facts, conditions):
        return (NodeError(code=NodeState.PREEMPTED, message=_why_preempted(facts)[:1024]),)
    if facts.refused:
        return (NodeError(code=facts.refused_for, message=facts.refused[:1024]),)
    if facts.pod is None:
        return ()
    found = _trouble(facts)
    if found is not None:
        return (NodeError(code=found.code, message=found.message[:1024]),)
    if facts.report is not None and facts.report.message:
        return (NodeError(code=facts.report.reason, message=facts.report.message[:1024]),)
    if facts.quarantine:
        return (NodeError(code=facts.quarantined_for, message=facts.quarantine[:1024]),)
    words = pod_facts.unschedulable(facts.pod)
    if words:
        return (NodeError(code=Reason.POD_UNSCHEDULABLE, message=words[:1024]),)
    registered = find_condition(conditions, Condition.REGISTERED)
    if registered is not None and registered.reason in {Reason.AGENT_NOT_CONNECTED, Reason.AGENT_SILENT}:
        return (NodeError(code=registered.reason, message=registered.message),)
    return ()


def _trouble(facts: NodeFacts) -> pod_facts.Trouble | None:
    """What the kubelet says is wrong with the pod."""
    return None if facts.pod is None else pod_facts.trouble(facts.pod) or pod_facts.eviction(facts.pod)


def _why_preempted(facts: NodeFacts) -> str:
    """That local data is lost, why if anybody says so, and what the next pod waits for."""
    told = "The node was preempted: what tasks had left on it is lost; it comes back under its name when there is room."
    if facts.pod is None:
        return f"{told} {facts.refused}".strip()
    return f"{told} {pod_facts.disruption(facts.pod) or pod_facts.unschedulable(facts.pod)}".strip()


def start_task_info(facts: NodeFacts) -> StartTaskInfo | None:
    """How the start task went; what was told stays when the agent is gone."""
    told = facts.report.start_task if facts.report is not None else None
    if told is None:
        return facts.node.status.start_task_info
    begun = _time(told.started_at) if told.started_at else None
    if not told.ended_at:
        return StartTaskInfo(state=StartTaskState.RUNNING, retry_count=told.retry_count, start_time=begun)
    good = told.exit_code == 0
    code = told.code or FailureCode.FAILURE_EXIT_CODE
    sentence = told.message or f"The start task left with exit code {told.exit_code}."
    failure = FailureInfo(category=category_of(code), code=code, message=sentence)
    return StartTaskInfo(
        state=StartTaskState.COMPLETED,
        exit_code=told.exit_code,
        retry_count=told.retry_count,
        start_time=begun,
        end_time=_time(told.ended_at),
        result=Result.SUCCESS if good else Result.FAILURE,
        failure_info=None if good else failure,
    )


def _all_but_start_task(said: list[ConditionView]) -> bool:
    """A node that is ready although its start task is not done does not wait for it (waitForSuccess false)."""
    return all(one.status == "True" for one in said if one.type != Condition.START_TASK_DONE)


def _scheduled(facts: NodeFacts) -> ConditionView:
    if facts.pod is None:
        reason = facts.refused_for if facts.refused else Reason.POD_PENDING
        return _condition(Condition.SCHEDULED, False, reason, facts.refused)
    if pod_facts.is_scheduled(facts.pod):
        return _condition(Condition.SCHEDULED, True, Reason.POD_SCHEDULED)
    words = pod_facts.unschedulable(facts.pod)
    return _condition(Condition.SCHEDULED, False, Reason.POD_UNSCHEDULABLE if words else Reason.POD_PENDING, words)


def _registered(facts: NodeFacts, now: datetime) -> ConditionView:
    if facts.report is not None:
        return _condition(Condition.REGISTERED, True, Reason.AGENT_CONNECTED)
    if _reason(facts.known, Condition.REGISTERED) in {Reason.AGENT_CONNECTED, Reason.AGENT_SILENT}:
        sentence = "The agent is not heard; its tasks go on until the node's nodeUnreachableTimeout."
        if facts.contact is Contact.GIVEN_UP:
            sentence = "The agent was not heard in time: its tasks have ended, and go on elsewhere."
        return _condition(Condition.REGISTERED, False, Reason.AGENT_SILENT, sentence)
    begun = facts.pod.status.start_time if facts.pod is not None else None
    if begun is not None and now - begun > REGISTER_TIME:
        sentence = f"The agent has not registered within {REGISTER_TIME.total_seconds():g} s of the pod's start."
        return _condition(Condition.REGISTERED, False, Reason.AGENT_NOT_CONNECTED, sentence)
    return _condition(Condition.REGISTERED, False, Reason.POD_PENDING)


def _start_task_done(facts: NodeFacts) -> ConditionView:
    if not facts.has_start_task:
        return _condition(Condition.START_TASK_DONE, True, Reason.NO_START_TASK)
    told_before = find_condition(facts.known, Condition.START_TASK_DONE)
    if facts.report is None and told_before is not None:
        return told_before  # that the agent is gone undoes nothing
    phase = facts.report.phase if facts.report is not None else ""
    told = facts.report.start_task if facts.report is not None else None
    is_on = told is not None and not told.ended_at
    has_failed = told is not None and bool(told.ended_at) and told.exit_code != 0
    if phase == "Ready" and not is_on and not has_failed:
        return _condition(Condition.START_TASK_DONE, True, Reason.START_TASK_SUCCEEDED)
    if phase == "StartTaskFailed" or has_failed:
        runs = told.retry_count + 1 if told is not None else 1
        code = told.exit_code if told is not None else None
        sentence = f"The start task failed {runs} times, at last with exit code {code}."
        return _condition(Condition.START_TASK_DONE, False, Reason.START_TASK_FAILED, sentence)
    return _condition(Condition.START_TASK_DONE, False, Reason.START_TASK_RUNNING)


def _condition(type_: Condition, holds: bool, reason: Reason, message: str = "") -> ConditionView:
    return ConditionView(type=type_, status=str(holds), reason=reason, message=message[:1024])


def _holds(conditions: Conditions, type_: Condition) -> bool:
    found = find_condition(conditions, type_)
    return found is not None and found.status == "True"


def _reason(conditions: Conditions, type_: Condition) -> str:
    found = find_condition(conditions, type_)
    return found.reason if found is not None else ""


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds), UTC)
