"""What a pod's status proves: when its runs may be given to others, and when it only looks so."""

from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.pools.situations import DEAD, RUNNING, pod, waiting

from batchpools.api import names
from batchpools.api.reasons import Reason
from batchpools.core.pools.pod_facts import eviction, is_dead, trouble
from batchpools.core.views import (
    ContainerState,
    ContainerStateDetail,
    ContainerStatus,
    PodCondition,
    PodContainer,
    PodView,
)

WAITS = waiting("PodInitializing")


def rejected(reason: str, *, phase: str = "Failed", inits: tuple[ContainerStatus, ...] = ()) -> PodView:
    """A pod whose containers have no state at all."""
    view = pod(phase=phase)
    return replace(view, status=replace(view.status, reason=reason, init_container_statuses=inits))


def lost(view: PodView) -> PodView:
    """A pod that the control plane gave up."""
    return replace(view, status=replace(view.status, reason="NodeLost"))


def collected(view: PodView) -> PodView:
    """A pod of which the garbage collector says so in a condition."""
    why = PodCondition(type="DisruptionTarget", status="True", reason="DeletionByPodGC")
    return replace(view, status=replace(view.status, conditions=(why,)))


@pytest.mark.parametrize(
    ("view", "dead"),
    [
        pytest.param(pod(task=RUNNING), False, id="it runs"),
        pytest.param(pod(task=RUNNING, deleted=True), False, id="it runs and is being deleted"),
        pytest.param(pod(task=DEAD), False, id="its container ended, and will be started again"),
        pytest.param(
            pod(task=DEAD, deleted=True), False, id="its container ended before the kubelet knew of the deletion"
        ),
        pytest.param(pod(task=DEAD, deleted=True, phase="Succeeded"), True, id="deleted, and all has ended"),
        pytest.param(pod(task=DEAD, phase="Failed"), True, id="evicted, and all has ended"),
        pytest.param(pod(task=RUNNING, phase="Failed"), False, id="failed, as the garbage collector of pods writes it"),
        pytest.param(pod(task=WAITS, phase="Pending", deleted=True), False, id="deleted while its start task runs"),
        pytest.param(pod(task=WAITS, phase="Failed", deleted=True), True, id="deleted before it ever started"),
        pytest.param(pod(task=WAITS, phase="Failed", restarts=1), False, id="waiting after a restart says nothing"),
        pytest.param(pod(machine="", phase="Pending"), False, id="no machine yet"),
        pytest.param(pod(machine="", phase="Pending", deleted=True), True, id="deleted before it had a machine"),
        pytest.param(pod(phase="Pending", deleted=True), False, id="bound, and the kubelet has not spoken"),
        pytest.param(rejected("OutOfcpu"), True, id="rejected by the kubelet"),
        pytest.param(rejected("NodeLost"), False, id="failed because the machine is not heard"),
        pytest.param(lost(pod(task=DEAD, phase="Failed")), False, id="lost after its container was started again"),
        pytest.param(collected(pod(task=DEAD, phase="Failed")), False, id="collected as garbage, likewise"),
        pytest.param(rejected(""), False, id="failed, and nobody says why"),
        pytest.param(rejected("Evicted", inits=(ContainerStatus(name="agent"),)), False, id="it had containers"),
    ],
)
def test_a_pod_is_dead_only_when_the_kubelet_has_said_so(view: PodView, dead: bool) -> None:
    assert is_dead(view) is dead


def with_tool(view: PodView, tool: ContainerState | None, restarts: int = 0, sidecar: bool = False) -> PodView:
    """The same with a second container that tasks run in; sidecar: a mesh has put in one that is not ours."""
    ours = tuple(PodContainer(name, (names.RUNNER_PATH, "serve")) for name in ("task", "tool"))
    theirs = (PodContainer("proxy", ("envoy",)),) if sidecar else ()
    found = (ContainerStatus(name="tool", state=tool, restart_count=restarts),) if tool is not None else ()
    there = (*view.status.container_statuses, *found)
    return replace(
        view,
        spec=replace(view.spec, containers=(*ours, *theirs)),
        status=replace(view.status, container_statuses=there),
    )


@pytest.mark.parametrize(
    ("view", "dead"),
    [
        pytest.param(with_tool(pod(task=DEAD, phase="Failed"), DEAD), True, id="both have ended"),
        pytest.param(with_tool(pod(task=DEAD, phase="Failed"), RUNNING), False, id="one runs"),
        pytest.param(with_tool(pod(task=RUNNING, phase="Failed"), DEAD), False, id="the other runs"),
        pytest.param(with_tool(pod(task=DEAD, phase="Failed"), None), False, id="nothing is said of one"),
        pytest.param(with_tool(pod(phase="Failed"), DEAD), False, id="nothing is said of the task container"),
        pytest.param(with_tool(pod(task=DEAD, phase="Failed"), WAITS), True, id="one never started"),
        pytest.param(with_tool(pod(task=DEAD, phase="Failed"), WAITS, 1), False, id="one waits after a restart"),
        pytest.param(with_tool(pod(task=DEAD), DEAD), False, id="both ended, and will be started again"),
        pytest.param(with_tool(pod(task=DEAD, phase="Failed"), DEAD, sidecar=True), True, id="a sidecar runs no task"),
    ],
)
def test_a_pod_is_dead_only_when_all_its_containers_of_tasks_are(view: PodView, dead: bool) -> None:
    assert is_dead(view) is dead


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("ErrImagePull", "ImagePullFailed"),
        ("ImagePullBackOff", "ImagePullFailed"),
        ("InvalidImageName", "ImagePullFailed"),
        ("CreateContainerConfigError", "CreateContainerConfigError"),
        ("PodInitializing", None),
        ("ContainerCreating", None),
    ],
)
def test_a_container_that_cannot_start_is_trouble_in_the_kubelets_words(reason: str, code: str | None) -> None:
    found: Any = trouble(pod(task=waiting(reason, "the words"), phase="Pending"))
    assert (found.code if found else None) == code
    assert found is None or "the words" in found.message


@pytest.mark.parametrize("name", [names.INSTALL_CONTAINER, names.AGENT_CONTAINER, names.START_TASK_CONTAINER, "task"])
def test_a_container_that_ends_again_and_again_is_trouble_whichever_it_is(name: str) -> None:
    ended = ContainerState(
        terminated=ContainerStateDetail(reason="Error", message="exec format error\n", exit_code=255)
    )
    state = waiting("CrashLoopBackOff", "back-off 40s restarting failed container")
    status = ContainerStatus(name=name, state=state, last_state=ended, restart_count=3)
    view = pod(phase="Pending")
    where = "container_statuses" if name == "task" else "init_container_statuses"
    found = trouble(replace(view, status=replace(view.status, **{where: (status,)})))
    assert found is not None
    assert (found.reason, found.code) == (Reason.CRASH_LOOP, "CrashLoopBackOff")
    assert found.message == (
        f"container {name}: it ended 3 times, at last with exit code 255 (Error): exec format error; "
        "back-off 40s restarting failed container"
    )


def test_a_pod_that_the_kubelet_has_ended_says_so() -> None:
    view = rejected("Evicted")
    told = replace(view, status=replace(view.status, message="The node was low on resource: ephemeral-storage."))
    found = eviction(told)
    assert found is not None
    assert (found.code, found.message) == ("PodFailed", "Evicted: The node was low on resource: ephemeral-storage.")
    assert eviction(rejected("NodeLost")) is None, "nobody has heard of its machine"
