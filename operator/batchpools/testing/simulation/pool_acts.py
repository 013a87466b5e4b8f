"""What users do to a pool while it works, and what is done to its low-priority nodes. One function an act, as in `acts`."""

from collections.abc import Callable
from typing import Any

from batchpools.kube.resources import PODS, POOL_NODES, POOLS
from batchpools.testing.simulation import workload
from batchpools.testing.simulation.stage import Act, Stage
from batchpools.testing.simulation.workload import NAMESPACE

OPTIONS = ("Requeue", "Terminate", "TaskCompletion", "RetainedData")


def _scale(stage: Stage, act: Act) -> bool:
    least = max(stage.size.nodes // 2, 1)  # enough of them that what is left to do is done in time
    stage.dedicated = least + act.target % (stage.size.nodes + 2 - least)
    if _is_scaled(stage):
        return stage.change_pool(autoScale=workload.scale(stage.dedicated))
    return stage.change_pool(targetDedicatedNodes=stage.dedicated)


def _switch_autoscale(stage: Stage, act: Act) -> bool:
    """On with a minimum, where low-priority nodes leave, or off with a target."""
    stage.dedicated, stage.low_priority = 1 + act.target % (stage.size.nodes + 1), 0
    if _is_scaled(stage):
        return stage.change_pool(autoScale=None, targetDedicatedNodes=stage.dedicated)
    scale = workload.scale(stage.dedicated)
    return stage.change_pool(targetDedicatedNodes=0, targetLowPriorityNodes=0, autoScale=scale)


def _scale_low_priority(stage: Stage, act: Act) -> bool:
    if _is_scaled(stage):
        return False  # the API server refuses it
    stage.low_priority = act.target % 3
    return stage.change_pool(targetLowPriorityNodes=stage.low_priority)


def _change_option(stage: Stage, act: Act) -> bool:
    return stage.change_pool(nodeDeallocationOption=OPTIONS[act.flavour % 4])


def _stop_resize(stage: Stage, act: Act) -> bool:
    return not _is_scaled(stage) and stage.change_pool(stopResize={"requestId": f"{act.at:.3f}"})


def _change_template(stage: Stage, act: Act) -> bool:
    """Another image, or one of before: nodes get other pods, a few at a time."""
    policy = {**_policy(stage), "maxUnavailable": 1 + act.flavour % 2}
    return stage.change_pool(**workload.images(stage.size, f"image:{act.target % 3}"), upgradePolicy=policy)


def _move_tag(stage: Stage, act: Act) -> bool:
    """The pool looks what its image is from now on, and the tag moves: nodes get other pods. With some flavours nobody looks."""
    pool = stage.world.kube.object(POOLS, NAMESPACE, workload.POOL)
    if pool is None:
        return False
    stage.world.kubelets.move_tag(workload.image_of(pool))
    policy = {**_policy(stage), "imageCheckInterval": "5s"}
    if act.flavour == 0:
        policy.pop("imageCheckInterval")
    return stage.change_pool(upgradePolicy=policy)


def _allow_elevated(stage: Stage, _: Act) -> bool:
    """Tasks may be elevated, or may not any more: nodes get other pods, and tasks that ask for it wait for those, or fail."""
    pool = stage.world.kube.object(POOLS, NAMESPACE, workload.POOL)
    return pool is not None and stage.change_pool(allowElevated=not pool["spec"].get("allowElevated"))


def _lose_probe(stage: Stage, _: Act) -> bool:
    """Somebody deletes the pod that is to find out what the image is."""
    held = stage.world.kube.object(PODS, NAMESPACE, f"{workload.POOL}-image-check")
    return held is not None and stage.delete(PODS, held)


def _policy(stage: Stage) -> dict[str, Any]:
    pool = stage.world.kube.object(POOLS, NAMESPACE, workload.POOL)
    return pool["spec"].get("upgradePolicy") or {} if pool is not None else {}


def _delete_node(stage: Stage, act: Act) -> bool:
    item = stage.found(POOL_NODES, act)
    if item is None:
        return False
    stage.world.deleted_nodes.add(item["metadata"]["name"])
    return stage.delete(POOL_NODES, item)


def _preempt(stage: Stage, act: Act) -> bool:
    """Somebody ends the pod of a low-priority node: who takes the machine away, or with an odd flavour its kubelet."""
    kube = stage.world.kube
    low = {one["metadata"]["name"] for one in kube.objects(POOL_NODES, NAMESPACE) if not one["spec"]["isDedicated"]}
    pods = [one for one in stage.world.pods() if one.name.rpartition("-")[0] in low and not one.stopping]
    if not pods:
        return False
    pod = pods[act.target % len(pods)]
    item = kube.object(PODS, NAMESPACE, pod.name)
    if act.flavour % 2:
        stage.world.kubelets.evict(pod)
        return True
    return item is not None and item["metadata"]["uid"] == pod.uid and stage.delete(PODS, item)


def calm_pool(stage: Stage) -> None:
    """In the end nobody waits for retained data any more, and a resize that was stopped goes on to another target."""
    pool = stage.world.kube.object(POOLS, NAMESPACE, workload.POOL)
    if pool is None:
        return
    if pool["spec"].get("nodeDeallocationOption") == "RetainedData":
        stage.change_pool(nodeDeallocationOption="TaskCompletion")
    if pool["spec"].get("stopResize") and not _is_scaled(stage):
        stage.dedicated = stage.size.nodes + 2  # nobody has wanted so many before: no stop can be meant for it
        stage.change_pool(targetDedicatedNodes=stage.dedicated)


def _is_scaled(stage: Stage) -> bool:
    pool = stage.world.kube.object(POOLS, NAMESPACE, workload.POOL)
    return pool is not None and "autoScale" in pool["spec"]


POOL_ACTS: dict[str, Callable[[Stage, Act], bool]] = {
    "scale": _scale,
    "switch-autoscale": _switch_autoscale,
    "scale-low-priority": _scale_low_priority,
    "change-option": _change_option,
    "stop-resize": _stop_resize,
    "change-template": _change_template,
    "move-tag": _move_tag,
    "allow-elevated": _allow_elevated,
    "lose-probe": _lose_probe,
    "delete-node": _delete_node,
    "preempt": _preempt,
}
