"""Reads a pod: what the kubelet and the scheduler say of it, in the words that decisions need. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from batchpools.api import names
from batchpools.core.views import ContainerStatus, PodView

_PULL_TROUBLE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
_START_TROUBLE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps a pod from working, with the kubelet's or scheduler's own words."""

    code: str
    message: str


def is_dead(pod: PodView) -> bool:
    """Whether the kubelet has written that nothing of the task container runs any more, and that it will not start (S4.1).

    So too when the container never started in a pod that is being deleted: then nothing ever ran in it.
    """
    ending = pod.metadata.deletion_timestamp is not None or pod.status.phase in {"Failed", "Succeeded"}
    if not ending:
        return False
    task = _container(pod.status.container_statuses, names.TASK_CONTAINER)
    if task is None:
        return not pod.spec.node_name  # no machine ever had it
    if task.state.terminated is not None:
        return True
    return task.state.waiting is not None and task.restart_count == 0


def is_scheduled(pod: PodView) -> bool:
    """Whether it has a machine."""
    return bool(pod.spec.node_name)


def unschedulable(pod: PodView) -> str:
    """The scheduler's words when it finds no machine; empty otherwise."""
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False" and condition.reason == "Unschedulable":
            return condition.message
    return ""


def trouble(pod: PodView) -> Trouble | None:
    """The first container that cannot start, and why."""
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        waiting = status.state.waiting
        if waiting is None:
            continue
        if waiting.reason in _PULL_TROUBLE:
            return Trouble(
                "ImagePullFailed", f"container {status.name}: image {status.image}: {waiting.message or waiting.reason}"
            )
        if waiting.reason in _START_TROUBLE:
            return Trouble(waiting.reason, f"container {status.name}: {waiting.message or waiting.reason}")
    return None


def agent_started(pod: PodView) -> bool:
    """Whether the agent's container runs."""
    agent = _container(pod.status.init_container_statuses, names.AGENT_CONTAINER)
    return agent is not None and agent.state.running is not None


def _container(statuses: Iterable[ContainerStatus], name: str) -> ContainerStatus | None:
    return next((one for one in statuses if one.name == name), None)
