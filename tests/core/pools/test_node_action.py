"""Reboot, reimage, remove, disable: what each needs next, in which state it is shown, and that it happens once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.pools.situations import DEAD, NOW, READY, RUNNING, node, pod, pool, situation

from batchpools.api import names
from batchpools.api.reasons import Reason, RequeueReason
from batchpools.core.ledger import Contact, NodeRuns
from batchpools.core.plan import Create, Delete, DrainNode, Plan, RestartNode, ResumeNode
from batchpools.core.pools.emptying import emptied_by
from batchpools.core.pools.node_action import REMOVE_PAUSE, RESTART_TIME, pending
from batchpools.core.pools.node_plan import plan_node
from batchpools.core.pools.node_state import Report
from batchpools.core.views import (
    ContainerStatus,
    NodeAction,
    PodContainer,
    PodSpec,
    PodView,
    PoolNodeSpec,
    PoolNodeStatus,
    PoolNodeView,
    RestartRule,
    StartTask,
)

UID = "uid-p-0000-1"
SEEN: dict[str, Any] = {"pod_generation": 1, "pod_name": "p-0000-1", "pod_uid": UID}
OPTIONS = ("Requeue", "Terminate", "TaskCompletion", "RetainedData")


def restartable(present: PodView, count: int = 0, start_task: str = "none") -> PodView:
    """A pod with the rule, whose containers have begun anew so often."""
    rule = (RestartRule(action=names.RESTART_ALL),)
    spec = PodSpec(node_name="node1", containers=(PodContainer(name="task", restart_policy_rules=rule),))
    installer = ContainerStatus(name=names.INSTALL_CONTAINER, restart_count=count)
    told = {**present.metadata.annotations, names.ANNOTATION_START_TASK: start_task}
    return replace(
        present,
        metadata=replace(present.metadata, annotations=told),
        spec=spec,
        status=replace(present.status, init_container_statuses=(installer,)),
    )


LIVING = restartable(pod(task=RUNNING))


def asked(type_: str, option: str = "Requeue", request: str = "1", **spec: Any) -> PoolNodeSpec:
    return PoolNodeSpec(pool_name="p", action=NodeAction(type=type_, request_id=request, option=option), **spec)


@dataclass
class Story:
    """A node whose statuses are persisted; a ledger that has one busy run there at first."""

    spec: PoolNodeSpec
    present: PodView | None = LIVING
    report: Report | None = READY
    now: datetime = NOW
    status: PoolNodeStatus = field(default_factory=lambda: PoolNodeStatus(**SEEN))
    draining: bool = False
    empty: bool = False

    @property
    def node(self) -> PoolNodeView:
        return replace(node(**SEEN), spec=self.spec, status=self.status)

    def step(self, **more: Any) -> Plan[PoolNodeStatus]:
        """One plan, whose status is persisted and whose drains and resumes are carried out."""
        self.now += timedelta(seconds=1)
        known: dict[str, Any] = {
            "report": self.report,
            "draining": self.draining,
            "drained": self.draining and self.empty,
            "runs": NodeRuns(0 if self.empty else 1, 0 if self.empty else 1),
        }
        plan = plan_node(situation(self.node, self.present, **{**known, **more}), now=self.now)
        for effect in plan.effects:
            self.draining = isinstance(effect, DrainNode) or (self.draining and not isinstance(effect, ResumeNode))
        self.status = plan.status or self.status
        return plan

    def until_empty(self) -> None:
        """The action is persisted, the drain is asked for, the run has ended."""
        first = self.step()
        assert first.effects == ()  # what is begun is persisted before anything is done
        assert self.status.last_action is not None
        (drain,) = self.step().effects
        assert isinstance(drain, DrainNode)
        assert (drain.option, self.status.state) == (self.spec.action.option if self.spec.action else "", "Running")
        self.empty = True

    @property
    def result(self) -> str:
        return self.status.last_action.result if self.status.last_action is not None else ""


@pytest.mark.parametrize("option", OPTIONS)
def test_a_reboot_in_place_is_persisted_before_the_containers_are_told_and_done_when_the_kubelet_says_so(
    option: str,
) -> None:
    story = Story(asked("Reboot", option))
    story.until_empty()
    assert story.step().effects == ()  # what is to end is persisted first
    assert story.status.last_action is not None
    assert (story.status.last_action.boot_id, story.status.state) == ("boot", "Rebooting")
    assert story.step().effects == (RestartNode(UID, "boot"),)
    story.report = None  # the agent goes with them
    story.step()
    assert story.result == "InProgress"
    story.present = restartable(pod(task=RUNNING), count=1)
    story.step()
    assert (story.result, story.status.pod_uid, story.status.pod_generation) == ("Done", UID, 1)
    story.report = Report("Ready", "boot2")
    assert story.step().effects == (ResumeNode(UID),)
    assert story.status.state == "Idle"
    assert story.step().effects == ()


def test_a_restart_of_the_operator_anywhere_begins_nothing_twice() -> None:
    """A new leader has no memory: nothing is drained for it, and the status is all it knows."""
    story = Story(asked("Reboot"))
    story.until_empty()
    story.step()
    story.draining = False  # failover between the record and the restart
    assert [type(one) for one in story.step().effects] == [DrainNode]
    assert story.step().effects == (RestartNode(UID, "boot"),)
    story.draining = False  # failover after it
    story.present, story.report = restartable(pod(task=RUNNING), count=1), Report("Ready", "boot2")
    story.step()
    assert story.result == "Done"
    assert story.step().effects == ()
    assert pending(story.node) is None


def test_the_same_request_is_done_once_and_another_one_again() -> None:
    story = Story(asked("Reboot"))
    story.until_empty()
    story.step()
    story.present = restartable(pod(task=RUNNING), count=1)
    story.step()
    assert emptied_by(story.node, pool()) is None
    story.spec = asked("Reboot", request="2")
    assert emptied_by(story.node, pool()) == "Requeue"
    story.step()
    assert (story.result, story.status.last_action and story.status.last_action.request_id) == ("InProgress", "2")


def test_what_ran_is_requeued_for_the_action_and_not_for_a_resize() -> None:
    for type_, reason in (("Reboot", RequeueReason.NODE_REBOOTED), ("Reimage", RequeueReason.NODE_REIMAGED)):
        story = Story(asked(type_))
        story.step()
        (drain,) = story.step().effects
        assert isinstance(drain, DrainNode)
        assert drain.reason == reason


@pytest.mark.parametrize(
    ("present", "report", "start_task"),
    [
        (pod(task=RUNNING), READY, None),  # a cluster without the rule
        (LIVING, None, None),  # no agent to ask
        (LIVING, Report("StartTaskFailed"), None),  # the task container has never been up
        (LIVING, READY, StartTask(command=("other",))),  # the pool has another start task by now
    ],
)
def test_what_cannot_be_rebooted_in_place_gets_a_new_pod(
    present: PodView, report: Report | None, start_task: StartTask | None
) -> None:
    story = Story(asked("Reboot"), present=present, report=report, empty=True)
    story.step(pool=pool(start_task=start_task))
    story.step(pool=pool(start_task=start_task))
    (gone,) = story.step(pool=pool(start_task=start_task)).effects
    assert isinstance(gone, Delete)
    assert gone.uid == UID
    assert story.status.state == "Rebooting"


@pytest.mark.parametrize(
    "passed", [RESTART_TIME, -timedelta(hours=1)], ids=["in time", "a next leader's clock is behind"]
)
def test_a_node_that_does_not_come_back_gets_a_new_pod(passed: timedelta) -> None:
    story = Story(asked("Reboot"), empty=True)
    for _ in range(4):
        story.step()
    story.report = None
    story.now += passed
    (gone,) = story.step().effects
    assert isinstance(gone, Delete)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_reimage_replaces_the_pod_and_is_done_with_the_next_generation(option: str) -> None:
    story = Story(asked("Reimage", option))
    story.until_empty()
    (gone,) = story.step().effects
    assert isinstance(gone, Delete)
    assert story.status.state == "Reimaging"
    story.present = pod(task=DEAD, deleted=True, phase="Succeeded")
    story.step(released=True)
    assert (story.result, story.status.pod_generation, story.status.pod_uid) == ("Done", 2, "")
    story.present, story.report = None, None
    (create,) = story.step().effects
    assert isinstance(create, Create)
    assert story.status.state == "Creating"


def test_a_node_whose_pod_was_refused_has_nothing_to_reboot() -> None:
    story = Story(
        asked("Reboot"), present=None, report=None, status=PoolNodeStatus(pod_generation=1, pod_name="p-0000-1")
    )
    story.step()
    assert story.result == "Done"


def test_a_node_that_nobody_reaches_is_replaced_once_its_runs_are_given_up() -> None:
    story = Story(asked("Reimage"), report=None)
    story.step(contact=Contact.RECORDED)
    assert [type(one) for one in story.step(contact=Contact.RECORDED).effects] == [DrainNode]
    story.empty = True
    assert [type(one) for one in story.step(contact=Contact.GIVEN_UP).effects] == [Delete]


def test_a_removed_node_is_deleted_and_emptied_by_its_own_option() -> None:
    story = Story(asked("Remove", "TaskCompletion"))
    assert story.step().effects == story.step().effects == ()  # whoever asks for it may lower the target meanwhile
    story.now += REMOVE_PAUSE
    (gone,) = story.step().effects
    assert isinstance(gone, Delete)
    assert (gone.key.kind, gone.resource_version) == ("PoolNode", "5")
    leaving = replace(node(deleted=True, **SEEN), spec=story.spec)
    (drain,) = plan_node(situation(leaving, LIVING, report=READY), now=NOW).effects
    assert isinstance(drain, DrainNode)
    assert (drain.option, drain.reason) == ("TaskCompletion", RequeueReason.NODE_REMOVED)


def test_a_node_that_leaves_does_not_finish_its_reboot() -> None:
    leaving = replace(node(deleted=True, **SEEN), spec=asked("Reboot", "TaskCompletion"))
    (drain,) = plan_node(situation(leaving, LIVING, report=READY), now=NOW).effects
    assert isinstance(drain, DrainNode)
    assert (drain.option, drain.reason) == ("Requeue", RequeueReason.POOL_RESIZED)


@pytest.mark.parametrize("option", OPTIONS[:3])
def test_a_disabled_node_is_running_until_its_tasks_are_gone_then_offline_and_idle_when_enabled(option: str) -> None:
    disabled = PoolNodeSpec(pool_name="p", scheduling_state="Disabled", scheduling_disable_option=option)
    story = Story(disabled)
    (drain,) = story.step().effects
    assert isinstance(drain, DrainNode)
    assert (drain.option, drain.reason) == (option, RequeueReason.NODE_DISABLED)
    assert story.status.state == "Running"
    story.empty = True
    assert story.step().effects == ()
    assert story.status.state == "Offline"
    assert story.step() == Plan()
    story.spec = PoolNodeSpec(pool_name="p")
    assert story.step().effects == (ResumeNode(UID),)
    assert story.status.state == "Idle"
    assert story.step() == Plan()


def test_a_disabled_node_that_is_rebooted_is_offline_again() -> None:
    story = Story(asked("Reboot", scheduling_state="Disabled"), empty=True)
    for _ in range(4):
        story.step()
    story.present, story.report = restartable(pod(task=RUNNING), count=1), Report("Ready", "boot2")
    story.step()
    story.step()
    assert (story.result, story.status.state) == ("Done", "Offline")


def test_a_node_that_cannot_launch_tasks_is_unusable_with_the_reason_and_recovers() -> None:
    story = Story(PoolNodeSpec(pool_name="p"), empty=True)
    story.step(runs=NodeRuns(quarantine="The node's disk is full.", quarantined_for=Reason.DISK_FULL))
    assert (story.status.state, story.status.errors[0].code) == ("Unusable", "DiskFull")
    story.step()
    assert (story.status.state, story.status.errors) == ("Idle", ())
