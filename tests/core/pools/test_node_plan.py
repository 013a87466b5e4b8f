"""What happens to a node next: its pods, its leaving, and the order of effects that a restart may cut anywhere."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.pools.situations import DEAD, NOW, READY, RUNNING, SETTINGS, node, pod, pool, situation, waiting

from batchpools.api import names
from batchpools.api.reasons import Reason, RequeueReason
from batchpools.api.states import NodeDeallocationOption
from batchpools.core.conditions import find_condition
from batchpools.core.identity import Key
from batchpools.core.ledger import Contact, NodeRuns
from batchpools.core.plan import Annotate, Create, Delete, DrainNode, Plan, ReleaseNode, RemoveFinalizer, ResumeNode
from batchpools.core.pools.node_plan import plan_node
from batchpools.core.pools.node_pod import create_pod
from batchpools.core.pools.node_state import Report, StartTaskFacts
from batchpools.core.views import LowPriorityTemplate, PodCondition, PodView, PoolNodeStatus, PoolNodeView, StartTask

POD = Key("Pod", "ns", "p-0000-1")
TASK_COMPLETION = NodeDeallocationOption.TASK_COMPLETION
FIRST: dict[str, Any] = {"pod_generation": 1, "pod_name": "p-0000-1"}
SEEN: dict[str, Any] = {**FIRST, "pod_uid": "uid-p-0000-1"}


def settled(view: PoolNodeView, **facts: Any) -> PoolNodeView:
    """The node with the status that its plan wants."""
    status = plan_node(situation(view, **facts), now=NOW).status
    assert status is not None
    return PoolNodeView(metadata=view.metadata, spec=view.spec, status=status)


def test_the_generation_is_persisted_before_the_pod_is_created() -> None:
    plan = plan_node(situation(node()), now=NOW)
    assert plan.effects == ()
    assert plan.status is not None
    assert (plan.status.pod_generation, plan.status.pod_name, plan.status.pod_uid) == (1, "p-0000-1", "")


def test_a_restart_after_that_creates_the_pod_of_that_generation_and_no_other() -> None:
    plan = plan_node(situation(node(**FIRST)), now=NOW)
    (create,) = plan.effects
    assert isinstance(create, Create)
    assert create.key == POD
    assert create.owner_uid == "node-uid-0"
    assert plan.status is not None
    assert plan.status.pod_generation == 1


def test_a_pod_that_is_seen_is_recorded_by_its_uid() -> None:
    status = plan_node(situation(node(**FIRST), pod(task=RUNNING), report=READY), now=NOW).status
    assert status is not None
    assert (status.pod_uid, status.node_name, status.state) == ("uid-p-0000-1", "node1", "Idle")


def test_applied_twice_the_second_plan_is_empty() -> None:
    view = settled(node(**FIRST), present=pod(task=RUNNING), report=READY)
    again = plan_node(situation(view, pod(task=RUNNING), report=READY), now=NOW + timedelta(minutes=5))
    assert again == Plan()


def test_a_pod_that_was_deleted_is_not_buried_before_the_kubelet_says_that_it_is_dead() -> None:
    ending = pod(task=RUNNING, deleted=True)
    for released in (False, True):  # also an idle one: it may start again, or was never heard
        plan = plan_node(situation(node(**SEEN), ending, report=READY, released=released), now=NOW)
        assert plan.effects == ()
        assert plan.status is None or plan.status.pod_uid == "uid-p-0000-1"


def test_a_failed_phase_alone_is_no_death() -> None:
    plan = plan_node(situation(node(**SEEN), pod(task=RUNNING, phase="Failed")), now=NOW)
    assert [type(effect) for effect in plan.effects] == [Delete]


def test_a_dead_pod_is_released_then_recorded_as_dead_and_only_then_let_go() -> None:
    """S4.1: the next number is the record; what a leader knew who died in between is found again."""
    dead = pod(task=DEAD, deleted=True, phase="Succeeded")
    first = plan_node(situation(node(**SEEN), dead), now=NOW)
    assert first.effects == (ReleaseNode("uid-p-0000-1"),)
    then = plan_node(situation(node(**SEEN), dead, released=True), now=NOW)
    assert then.effects == ()
    assert then.status is not None
    assert (then.status.pod_generation, then.status.pod_name, then.status.pod_uid) == (2, "p-0000-2", "")
    view = settled(node(**SEEN), present=dead, released=True)
    last = plan_node(situation(view, other_pods=(dead,)), now=NOW)
    gone = RemoveFinalizer(POD, "uid-p-0000-1", names.FINALIZER_POD)
    assert last.effects == (ReleaseNode("uid-p-0000-1"), gone)
    assert [type(one) for one in plan_node(situation(view), now=NOW).effects] == [Create]


def test_that_the_object_of_a_pod_is_gone_proves_nothing() -> None:
    """S4.1: somebody took our finalizer off; the containers may run on. Its agent confirms, or its time runs out."""
    first = plan_node(situation(node(**SEEN)), now=NOW)
    assert (first.effects, first.status) == ((DrainNode("uid-p-0000-1", RequeueReason.NODE_LOST),), None)
    assert plan_node(situation(node(**SEEN), released=True), now=NOW).effects == first.effects, (
        "not before it is drained"
    )
    status = plan_node(situation(node(**SEEN), drained=True, released=True), now=NOW).status
    assert status is not None
    assert (status.pod_generation, status.pod_name, status.pod_uid) == (2, "p-0000-2", "")
    leaving = plan_node(situation(node(deleted=True, **SEEN)), now=NOW)
    assert leaving.effects == first.effects


@pytest.mark.parametrize("leaving", [False, True])
def test_a_pod_whose_machine_is_lost_is_let_go_when_its_time_is_over(leaving: bool) -> None:
    """S4.1: the third way. Else a pool would be short of a node for ever."""
    lost = pod(task=RUNNING, deleted=True)
    view = node(deleted=leaving, **SEEN)
    waits = plan_node(situation(view, lost, contact=Contact.RECORDED), now=NOW)
    assert waits.status is None or waits.status.pod_uid == "uid-p-0000-1"
    unwritten = plan_node(situation(view, lost, contact=Contact.GIVEN_UP), now=NOW)
    assert unwritten.status is None or unwritten.status.pod_uid == "uid-p-0000-1", "its runs are accounted for first"
    over = settled(view, present=lost, contact=Contact.GIVEN_UP, released=True, drained=True)
    assert over.status.pod_generation == 2
    last = plan_node(situation(over, other_pods=(lost,)), now=NOW)
    assert RemoveFinalizer(POD, "uid-p-0000-1", names.FINALIZER_POD) in last.effects
    lingers = replace(lost, metadata=replace(lost.metadata, finalizers=()))
    (effect,) = plan_node(situation(over, other_pods=(lingers,)), now=NOW).effects
    assert isinstance(effect, RemoveFinalizer if leaving else Create), "its object holds nothing up"


def test_a_pod_of_another_generation_goes_before_a_new_one_comes() -> None:
    living = plan_node(situation(node(**FIRST), other_pods=(pod("p-0000-7", task=RUNNING),)), now=NOW)
    assert living.effects == (Delete(Key("Pod", "ns", "p-0000-7"), "uid-p-0000-7", "11"),)
    other = pod("p-0000-7", task=DEAD, deleted=True, phase="Failed")
    plan = plan_node(situation(node(**FIRST), other_pods=(other,)), now=NOW)
    gone = RemoveFinalizer(Key("Pod", "ns", "p-0000-7"), "uid-p-0000-7", names.FINALIZER_POD)
    assert plan.effects == (ReleaseNode("uid-p-0000-7"), gone)


def test_a_former_pod_that_the_watch_shows_late_is_let_go_beside_its_successor() -> None:
    """The next number was persisted before, and it says that nothing runs in the former one."""
    view = node(pod_generation=2, pod_name="p-0000-2", pod_uid="uid-p-0000-2")
    present, dead = pod("p-0000-2", task=RUNNING), pod(task=DEAD, deleted=True, phase="Failed")
    plan = plan_node(situation(view, present, other_pods=(dead,)), now=NOW)
    gone = RemoveFinalizer(POD, "uid-p-0000-1", names.FINALIZER_POD)
    assert plan.effects[:2] == (ReleaseNode("uid-p-0000-1"), gone)
    later = pod("p-0000-3", task=RUNNING)
    assert plan_node(situation(view, present, other_pods=(later,)), now=NOW).effects == (), (
        "no number says so of this one"
    )


def test_a_leaving_node_is_drained_then_its_pod_deleted_then_itself() -> None:
    leaving, living = node(deleted=True, **SEEN), pod(task=RUNNING)
    drain = plan_node(situation(leaving, living, report=READY), now=NOW)
    assert drain.effects == (DrainNode("uid-p-0000-1", RequeueReason.POOL_RESIZED),)
    assert drain.status is not None
    assert drain.status.state == "LeavingPool"
    delete = plan_node(situation(leaving, living, drained=True), now=NOW)
    assert delete.effects == (Delete(POD, "uid-p-0000-1", "11"),)
    dead = pod(task=DEAD, deleted=True, phase="Succeeded")
    gone = settled(leaving, present=dead, drained=True, released=True)
    assert gone.status.state == "LeavingPool"
    let_go = plan_node(situation(gone, other_pods=(dead,)), now=NOW)
    assert [type(one) for one in let_go.effects] == [ReleaseNode, RemoveFinalizer]
    assert let_go.status is None, "all is said, and its object goes next"
    last = plan_node(situation(gone), now=NOW)
    key = Key("PoolNode", "ns", "p-0000")
    assert last.effects == (RemoveFinalizer(key, "node-uid-0", names.FINALIZER_NODE),)


def test_a_node_of_a_deleted_pool_gets_no_new_pod() -> None:
    assert plan_node(situation(node(), pool=pool(deleted=True)), now=NOW) == Plan()


def test_a_refused_pod_is_an_error_with_the_servers_sentence_and_tried_again() -> None:
    plan = plan_node(situation(node(**FIRST), refusal="exceeded quota: tight"), now=NOW)
    assert [type(effect) for effect in plan.effects] == [Create]
    assert plan.requeue_after == 15.0
    assert plan.status is not None
    assert plan.status.state == "Unusable"
    assert plan.status.errors[0].message == "exceeded quota: tight"


def test_an_image_that_cannot_be_pulled_makes_the_node_unusable_with_the_kubelets_words() -> None:
    stuck = pod(task=waiting("ImagePullBackOff", "not found"), phase="Pending")
    status = plan_node(situation(node(**FIRST), stuck, report=Report("Starting")), now=NOW).status
    assert status is not None
    assert status.state == "Unusable"
    assert "not found" in status.errors[0].message


@pytest.mark.parametrize("report", [None, Report("Starting"), READY], ids=["no agent", "starting", "ready"])
@pytest.mark.parametrize(
    ("reason", "told", "code"),
    [
        ("CrashLoopBackOff", "CrashLoopBackOff", "CrashLoopBackOff"),
        ("ErrImagePull", "ImagePullFailed", "ImagePullFailed"),
        ("CreateContainerConfigError", "PodFailed", "CreateContainerConfigError"),
    ],
)
def test_a_container_that_does_not_come_up_makes_the_node_unusable_until_it_does(
    reason: str, told: str, code: str, report: Report | None
) -> None:
    stuck = pod(task=waiting(reason, "the kubelet's words"))
    broken = plan_node(situation(node(**SEEN), stuck, report=report), now=NOW)
    assert broken.effects == (), "the kubelet tries again by itself"
    assert broken.status is not None
    assert (broken.status.state, broken.status.errors[0].code) == ("Unusable", code)
    ready = find_condition(broken.status.conditions, "Ready")
    assert ready is not None
    if report is not READY:  # what the agent said last may be older than what the kubelet says
        assert (ready.status, ready.reason) == ("False", told)
        assert "the kubelet's words" in ready.message
    view = PoolNodeView(metadata=node().metadata, spec=node().spec, status=broken.status)
    well = plan_node(situation(view, pod(task=RUNNING), report=READY), now=NOW).status
    assert well is not None
    assert (well.state, well.errors) == ("Idle", ())


def test_a_node_that_does_not_register_within_a_minute_is_unusable() -> None:
    view = node(**SEEN)
    early = plan_node(situation(view, pod(task=RUNNING)), now=NOW + timedelta(seconds=30)).status
    late = plan_node(situation(view, pod(task=RUNNING)), now=NOW + timedelta(seconds=90)).status
    assert early is not None
    assert late is not None
    assert (early.state, late.state) == ("Starting", "Unusable")
    assert late.errors[0].code == "AgentNotConnected"


@pytest.mark.parametrize(
    ("contact", "state", "sentence"),
    [(Contact.RECORDED, "Disconnected", "its tasks go on"), (Contact.GIVEN_UP, "Unknown", "its tasks have ended")],
)
def test_a_silent_node_keeps_its_pod_and_says_what_becomes_of_its_tasks(
    contact: Contact, state: str, sentence: str
) -> None:
    view = settled(node(**FIRST), present=pod(task=RUNNING), report=READY)
    plan = plan_node(situation(view, pod(task=RUNNING), contact=contact), now=NOW + timedelta(seconds=30))
    assert plan.effects == ()
    assert plan.status is not None
    assert plan.status.state == state
    assert sentence in plan.status.errors[0].message


def test_a_silent_node_is_not_called_disconnected_before_its_tasks_are_recorded() -> None:
    """S3.4: a next leader would wait for recorded tasks alone."""
    view = settled(node(**FIRST), present=pod(task=RUNNING), report=READY)
    plan = plan_node(situation(view, pod(task=RUNNING), contact=Contact.SILENT), now=NOW + timedelta(seconds=30))
    assert plan == Plan(requeue_after=1.0)


def test_the_timeout_of_a_node_is_persisted_with_the_number_of_its_pod() -> None:
    """S3.3: leaders of before and after a change of the pool agree on what a node was promised."""
    held = pool(node_unreachable_timeout="20s")
    first = plan_node(situation(node(), None, pool=held), now=NOW).status
    assert first is not None
    assert (first.pod_generation, first.node_unreachable_timeout) == (1, "20s")
    changed = pool(node_unreachable_timeout="90s")
    seen = settled(node(**FIRST, node_unreachable_timeout="20s"), present=pod(task=RUNNING), report=READY, pool=changed)
    assert seen.status.node_unreachable_timeout == "20s"


def test_a_failed_start_task_is_shown_with_its_exit_code() -> None:
    told = Report("StartTaskFailed", "", StartTaskFacts(1, 1.0, 2.0, 3))
    with_start = pool(start_task=StartTask(command=("false",)))
    status = plan_node(
        situation(node(**FIRST), pod(task=waiting("PodInitializing")), report=told, pool=with_start), now=NOW
    ).status
    assert status is not None
    info = status.start_task_info
    assert info is not None
    assert (status.state, info.exit_code, info.retry_count, info.result) == ("StartTaskFailed", 3, 1, "Failure")
    done = find_condition(status.conditions, "StartTaskDone")
    assert done is not None
    assert done.reason == "StartTaskFailed"


def test_a_start_task_that_could_not_have_a_file_says_whose_fault_it_is() -> None:
    with_start = pool(start_task=StartTask(command=("true",)))
    for code, category in (("BlobNotFound", "UserError"), ("BlobDownloadTimedOut", "ServerError")):
        told = Report("StartTaskFailed", "", StartTaskFacts(0, 1.0, 2.0, None, code, "in/x: it is not there"))
        view = situation(node(**FIRST), pod(task=waiting("PodInitializing")), report=told, pool=with_start)
        status = plan_node(view, now=NOW).status
        assert status is not None
        assert status.state == "StartTaskFailed"
        assert status.start_task_info is not None
        failure = status.start_task_info.failure_info
        assert failure is not None
        assert (failure.category, failure.code, failure.message) == (category, code, "in/x: it is not there")


def test_running_tasks_alone_wait_for_their_turn_to_be_written() -> None:
    view = settled(node(**FIRST), present=pod(task=RUNNING), report=READY)
    busy = NodeRuns(slots_used=1, running_tasks=1)
    early = plan_node(situation(view, pod(task=RUNNING), report=READY, runs=busy, counts_due=False), now=NOW)
    assert (early.status, early.requeue_after) == (None, 30.0)
    due = plan_node(situation(view, pod(task=RUNNING), report=READY, runs=busy), now=NOW)
    assert due.status is not None
    assert (due.status.state, due.status.running_tasks, due.urgent) == ("Running", 1, False)


def test_a_new_pod_inherits_nothing_that_was_said_of_the_former_one() -> None:
    view = settled(node(**FIRST), present=pod(task=RUNNING), report=READY)
    view = settled(view, drained=True)
    assert (view.status.pod_name, view.status.pod_uid) == ("p-0000-2", "")
    fresh = settled(view, present=pod("p-0000-2", task=waiting("PodInitializing"), phase="Pending"))
    registered = find_condition(fresh.status.conditions, "Registered")
    assert registered is not None
    assert (fresh.status.state, registered.reason) == ("Starting", "PodPending")


def test_an_agent_that_reconnects_within_seconds_costs_no_write() -> None:
    view = settled(node(**FIRST), present=pod(task=RUNNING), report=READY)
    plan = plan_node(situation(view, pod(task=RUNNING), contact=Contact.IN_TOUCH), now=NOW + timedelta(seconds=5))
    assert plan == Plan(requeue_after=1.0)


def test_a_silent_node_has_still_done_its_start_task() -> None:
    with_start = pool(start_task=StartTask(command=("true",)))
    view = settled(node(**FIRST), present=pod(task=RUNNING), report=READY, pool=with_start)
    silent = situation(view, pod(task=RUNNING), pool=with_start, contact=Contact.RECORDED)
    status = plan_node(silent, now=NOW).status
    assert status is not None
    assert {one.type: one.status for one in status.conditions} == {
        "Scheduled": "True",
        "Registered": "False",
        "StartTaskDone": "True",
        "Ready": "False",
    }


def test_a_node_that_never_registers_is_written_once_and_not_every_minute() -> None:
    late = plan_node(situation(node(**SEEN), pod(task=RUNNING)), now=NOW + timedelta(seconds=90)).status
    assert late is not None
    view = PoolNodeView(metadata=node().metadata, spec=node().spec, status=late)
    plan = plan_node(situation(view, pod(task=RUNNING)), now=NOW + timedelta(minutes=9))
    assert (plan.effects, plan.status) == ((), None)


def test_a_changed_template_does_not_change_what_is_told_of_a_pod_that_has_the_old_one() -> None:
    view = settled(node(**FIRST), present=pod(task=RUNNING), report=READY)
    changed = pool(image="newer", task_slots_per_node=9)
    assert plan_node(situation(view, pod(task=RUNNING), report=READY, pool=changed), now=NOW) == Plan()
    assert (view.status.image, view.status.task_slots) == ("x", 1)


@pytest.mark.parametrize("reason", [Reason.ALLOCATION_FAILED, Reason.NAME_CONFLICT])
def test_why_there_is_no_pod_is_said_in_the_condition_and_the_errors(reason: Reason) -> None:
    status = plan_node(situation(node(**FIRST), refusal="no", refused_for=reason), now=NOW).status
    assert status is not None
    scheduled = find_condition(status.conditions, "Scheduled")
    assert scheduled is not None
    assert (scheduled.status, scheduled.reason, scheduled.message) == ("False", reason, "no")
    assert [(one.code, one.message) for one in status.errors] == [(reason, "no")]


def test_a_bad_template_makes_no_pod_and_says_why() -> None:
    plan = plan_node(situation(node(), pool=pool(image="")), now=NOW)
    assert plan.effects == ()
    assert plan.status is not None
    assert (plan.status.state, plan.status.errors[0].code) == ("Unusable", "TemplateInvalid")


def test_a_pod_that_finds_no_machine_is_still_being_made_and_says_what_the_scheduler_says() -> None:
    stuck = pod(machine="", phase="Pending")
    told = PodCondition(type="PodScheduled", status="False", reason="Unschedulable", message="0/1 nodes")
    view = replace(stuck, status=replace(stuck.status, conditions=(told,)))
    status = plan_node(situation(node(**FIRST), view), now=NOW).status
    assert status is not None
    assert (status.state, status.errors[0].code, status.errors[0].message) == ("Creating", "Unschedulable", "0/1 nodes")


@pytest.mark.parametrize(
    ("annotations", "first"),
    [({names.ANNOTATION_CA: "a former CA"}, False), ({"their": "own"}, False), ({}, True)],
)
def test_a_living_pod_is_told_of_the_cas_as_they_are_now(annotations: dict[str, str], first: bool) -> None:
    """S9.1: its agent reads them when it connects again, so it must not be left with a CA that is no longer used."""
    view = settled(node(**SEEN), present=pod(task=RUNNING), report=READY)
    plan = plan_node(situation(view, pod(task=RUNNING, ca=annotations), report=READY), now=NOW)
    assert plan == Plan(effects=(Annotate(POD, "uid-p-0000-1", names.ANNOTATION_CA, "CA", first=first),))


def test_a_pod_that_is_ending_is_told_too_and_one_that_has_ended_or_is_not_ours_is_not() -> None:
    old = {names.ANNOTATION_CA: "a former CA"}
    ending = pod("p-0000-1", task=RUNNING, deleted=True, ca=old)
    others = (
        pod("p-0000-2", task=RUNNING, ca=old),
        pod("p-0000-3", task=DEAD, phase="Failed", ca=old),
        pod("p-0000-4", task=RUNNING, owner="somebody", ca=old),
    )
    plan = plan_node(situation(node(**SEEN), ending, other_pods=others), now=NOW)
    told = [effect.key.name for effect in plan.effects if isinstance(effect, Annotate)]
    assert told == ["p-0000-1", "p-0000-2"]


# ---------------------------------------------------------------- leaving when its tasks have ended


def marked(option: str, present: PodView | None = None, **more: Any) -> Plan[PoolNodeStatus]:
    view = node(marked=True, pod_name="p-0000-1", pod_uid="uid-p-0000-1", pod_generation=1)
    view_pool = pool(node_deallocation_option=option)
    return plan_node(situation(view, present, pool=view_pool, **{"report": READY, **more}), now=NOW)


def test_a_marked_node_gets_no_more_tasks_and_goes_when_it_is_empty() -> None:
    waits = marked("TaskCompletion", pod(task=RUNNING))
    assert waits.effects == (DrainNode("uid-p-0000-1", RequeueReason.POOL_RESIZED, TASK_COMPLETION),)
    assert waits.status is not None
    assert (waits.status.state, waits.requeue_after) == ("LeavingPool", 5.0)
    empty = marked("TaskCompletion", pod(task=RUNNING), draining=True, drained=True)
    assert empty.effects == (Delete(Key("PoolNode", "ns", "p-0000"), "node-uid-0", "5"),)


def test_a_marked_node_without_a_living_pod_gets_no_other_one() -> None:
    gone = Delete(Key("PoolNode", "ns", "p-0000"), "node-uid-0", "5")
    assert marked("TaskCompletion").effects == (gone,)
    assert marked("TaskCompletion", pod(task=DEAD, phase="Failed")).effects == (gone,)


def test_with_retained_data_it_also_waits_for_the_retention_time() -> None:
    ended: dict[str, Any] = {"draining": True, "drained": True}
    waits = marked("RetainedData", pod(task=RUNNING), **ended, retained_until=NOW + timedelta(seconds=90))
    assert (waits.effects, waits.requeue_after) == ((), 60.0)
    over = marked("RetainedData", pod(task=RUNNING), **ended, retained_until=NOW)
    assert [type(effect) for effect in over.effects] == [Delete]
    nothing = marked("RetainedData", pod(task=RUNNING), **ended)
    assert [type(effect) for effect in nothing.effects] == [Delete]
    other = marked("TaskCompletion", pod(task=RUNNING), **ended, retained_until=NOW + timedelta(seconds=90))
    assert [type(effect) for effect in other.effects] == [Delete]


def test_a_node_that_is_taken_back_takes_tasks_again() -> None:
    view = node(pod_name="p-0000-1", pod_uid="uid-p-0000-1", pod_generation=1)
    plan = plan_node(situation(view, pod(task=RUNNING), report=READY, draining=True), now=NOW)
    assert plan.effects == (ResumeNode("uid-p-0000-1"),)


def test_a_deleted_node_is_emptied_by_the_option_of_its_pool() -> None:
    view = node(deleted=True, pod_name="p-0000-1", pod_uid="uid-p-0000-1", pod_generation=1)
    asked = pool(node_deallocation_option="TaskCompletion")
    plan = plan_node(situation(view, pod(task=RUNNING), pool=asked, report=READY), now=NOW)
    assert plan.effects == (DrainNode("uid-p-0000-1", RequeueReason.POOL_RESIZED, TASK_COMPLETION),)


# ---------------------------------------------------------------- preemption


def low_priority(present: PodView | None = None, **status: Any) -> Plan[PoolNodeStatus]:
    known = {"pod_name": "p-0000-1", "pod_uid": "uid-p-0000-1", "pod_generation": 1, "state": "Idle", **status}
    return plan_node(situation(node(is_dedicated=False, **known), present), now=NOW)


def test_a_low_priority_node_whose_pod_ends_is_preempted_until_the_next_one_has_a_machine() -> None:
    ended = pod(task=DEAD, phase="Failed")
    why = PodCondition(type="DisruptionTarget", status="True", reason="PreemptionByScheduler", message="by pod x")
    first = low_priority(replace(ended, status=replace(ended.status, conditions=(why,)))).status
    assert first is not None
    assert first.state == "Preempted"
    assert first.errors[0].code == "Preempted"
    assert first.errors[0].message.endswith("when there is room. by pod x")
    waits = low_priority(
        pod("p-0000-2", machine="", phase="Pending"), state="Preempted", pod_name="p-0000-2", pod_uid=""
    )
    assert waits.status is not None
    assert waits.status.state == "Preempted"
    there = low_priority(pod("p-0000-2", phase="Pending"), state="Preempted", pod_name="p-0000-2", pod_uid="")
    assert there.status is not None
    assert (there.status.state, there.status.errors) == ("Starting", ())


def test_a_dedicated_node_is_not_preempted() -> None:
    view = node(pod_name="p-0000-1", pod_uid="uid-p-0000-1", pod_generation=1, state="Idle")
    status = plan_node(situation(view, pod(task=DEAD, phase="Failed")), now=NOW).status
    assert status is None or status.state != "Preempted"


def test_a_low_priority_pod_is_scheduled_as_its_template_says() -> None:
    template = {"spec": {"containers": [{"name": "task", "image": "x"}], "nodeSelector": {"a": "1", "spot": "no"}}}
    other = LowPriorityTemplate(
        node_selector={"spot": "yes"}, tolerations=({"key": "spot", "operator": "Exists"},), priority_class_name="low"
    )
    asked = pool(image="", template=template, low_priority_template=other)
    spec = create_pod(asked, node(is_dedicated=False), 1, SETTINGS).manifest["spec"]
    assert spec["nodeSelector"] == {"a": "1", "spot": "yes"}
    assert (spec["tolerations"], spec["priorityClassName"]) == ([{"key": "spot", "operator": "Exists"}], "low")
    dedicated = create_pod(asked, node(), 1, SETTINGS).manifest["spec"]
    assert dedicated["nodeSelector"] == {"a": "1", "spot": "no"}
    assert "priorityClassName" not in dedicated
