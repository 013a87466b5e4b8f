"""Reads a pod: what the kubelet and the scheduler say of it, in the words that decisions need. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from batchpools.api import names
from batchpools.api.reasons import Reason
from batchpools.core.views import ContainerStatus, PodView

_PULL_TROUBLE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
_FINAL = {"Failed", "Succeeded"}
_GARBAGE = "DeletionByPodGC"  # why the garbage collector of pods ended one
_LOST = "NodeLost"  # written by the control plane, which has not heard of the machine
_CRASH_LOOP = "CrashLoopBackOff"
_START_TROUBLE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps a pod from working, with the kubelet's own words; code: its word, or the reason."""

    reason: Reason
    code: str
    message: str


def is_dead(pod: PodView) -> bool:
    """Whether the kubelet has written that no container that runs tasks is alive, and that none will start again (S4.1).

    A terminated or waiting state alone may be older than the truth: a container is started again, a waiting one starts while
    its pod is being deleted. The kubelet writes a final phase only when no container can run any more (seen on 1.37: with the
    last terminated states, also after a force delete). The phase alone does not do either: the pod garbage collector writes
    it for pods of machines that are gone, and leaves the states as they were: also a terminated one of a container that the
    kubelet has started again since (found by the simulator).
    """
    if not pod.spec.node_name and not pod.status.container_statuses:
        return is_over(pod)  # the API server binds no pod that is being deleted: no machine ever had it
    if pod.status.phase not in _FINAL or _was_given_up(pod):
        return False
    found = [_container(pod.status.container_statuses, name) for name in runner_containers(pod)]
    if all(one is None for one in found):
        return _was_rejected(pod)
    return all(one is not None and _has_ended(one) for one in found)


def runner_containers(pod: PodView) -> tuple[str, ...]:
    """The containers in which tasks run: the task container, and each whose first process is the runner."""
    others = (one.name for one in pod.spec.containers if one.command[:1] == (names.RUNNER_PATH,))
    return (names.TASK_CONTAINER, *(name for name in others if name != names.TASK_CONTAINER))


def _has_ended(container: ContainerStatus) -> bool:
    never_started = container.state.waiting is not None and container.restart_count == 0
    return container.state.terminated is not None or never_started


def is_over(pod: PodView) -> bool:
    """Whether it is ending or has ended: it will not serve as a node again."""
    return pod.metadata.deletion_timestamp is not None or pod.status.phase in _FINAL


def has_ended(pod: PodView) -> bool:
    """Whether its phase is final: no container of it will run again."""
    return pod.status.phase in _FINAL


def _was_given_up(pod: PodView) -> bool:
    """Whether the final phase is the word of the control plane, which has not heard of the machine."""
    conditions = pod.status.conditions
    return pod.status.reason == _LOST or any(
        one.type == "DisruptionTarget" and one.status == "True" and one.reason == _GARBAGE for one in conditions
    )


def _was_rejected(pod: PodView) -> bool:
    """Whether the machine's kubelet did not take the pod (OutOfcpu, NodeAffinity): it says why, and no container has a state."""
    status = pod.status
    return status.phase == "Failed" and status.reason not in {"", _LOST} and not status.init_container_statuses


def can_restart(pod: PodView) -> bool:
    """Whether the API server took the rule by which the kubelet restarts all containers; an older one drops it."""
    rules = (
        rule for one in pod.spec.containers if one.name == names.TASK_CONTAINER for rule in one.restart_policy_rules
    )
    return any(rule.action == names.RESTART_ALL for rule in rules)


def restarts(pod: PodView) -> int:
    """How often all containers of the pod have begun anew: nothing else starts its first one again."""
    installer = _container(pod.status.init_container_statuses, names.INSTALL_CONTAINER)
    return installer.restart_count if installer is not None else 0


def image_id(pod: PodView, container: str = names.TASK_CONTAINER) -> str:
    """What a container's image was when it began, by digest; empty until it has."""
    found = _container(pod.status.container_statuses, container)
    return found.image_id[:1024] if found is not None else ""


def is_scheduled(pod: PodView) -> bool:
    """Whether it has a machine."""
    return bool(pod.spec.node_name)


def unschedulable(pod: PodView) -> str:
    """The scheduler's words when it finds no machine; empty otherwise."""
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False" and condition.reason == "Unschedulable":
            return condition.message
    return ""


def disruption(pod: PodView) -> str:
    """Why a pod was ended from outside (preemption, eviction, a machine that is taken away), in Kubernetes' words."""
    for condition in pod.status.conditions:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            return condition.message or condition.reason
    return pod.status.message


def trouble(pod: PodView) -> Trouble | None:
    """The first container that cannot start, or ends again and again, and why: the kubelet tries on, with growing pauses."""
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        waiting = status.state.waiting
        if waiting is None:
            continue
        told = waiting.message or waiting.reason
        if waiting.reason in _PULL_TROUBLE:
            reason = Reason.IMAGE_PULL_FAILED
            return Trouble(reason, reason, f"container {status.name}: image {status.image}: {told}")
        if waiting.reason == _CRASH_LOOP:
            return Trouble(Reason.CRASH_LOOP, _CRASH_LOOP, f"container {status.name}: {_last_end(status)}{told}")
        if waiting.reason in _START_TROUBLE:
            return Trouble(Reason.POD_FAILED, waiting.reason, f"container {status.name}: {told}")
    return None


def eviction(pod: PodView) -> Trouble | None:
    """Why the kubelet has ended or rejected a whole pod (disk or memory of the machine, a limit of the pod); it is replaced."""
    if pod.status.phase != "Failed" or pod.status.reason in {"", _LOST}:
        return None
    told = pod.status.message or "the kubelet has ended the pod"
    return Trouble(Reason.POD_FAILED, Reason.POD_FAILED, f"{pod.status.reason}: {told}")


def _last_end(status: ContainerStatus) -> str:
    """How a container ended that is started again and again."""
    end = status.last_state.terminated
    if end is None:
        return ""
    why = f" ({end.reason})" if end.reason else ""
    said = f": {end.message.strip()}" if end.message.strip() else ""
    return f"it ended {status.restart_count} times, at last with exit code {end.exit_code}{why}{said}; "


def _container(statuses: Iterable[ContainerStatus], name: str) -> ContainerStatus | None:
    return next((one for one in statuses if one.name == name), None)
