"""What users do with single nodes: disable and enable, reboot, reimage, remove."""

from batchpools.kube.resources import POOL_NODES
from batchpools.testing.simulation.stage import Act, Stage, ask, set_scheduling
from batchpools.testing.simulation.workload import NAMESPACE

_OPTIONS = ("Requeue", "Requeue", "TaskCompletion")  # Terminate ends tasks otherwise than their commands do
_REASONS = {"Reboot": "NodeRebooted", "Reimage": "NodeReimaged", "Remove": "NodeRemoved"}


def disable_node(stage: Stage, act: Act) -> bool:
    """Its user disables a node, and enables it after a while."""
    item = stage.found(POOL_NODES, act)
    if item is None:
        return False
    option = _OPTIONS[act.flavour % 3]
    if option == "Requeue":
        stage.world.may_requeue_for.add("NodeDisabled")
    name = item["metadata"]["name"]
    set_scheduling(stage, name, "Disabled", option)
    stage.later(act.seconds, lambda: set_scheduling(stage, name, "Enabled", option))
    return True


def ask_node(stage: Stage, act: Act) -> bool:
    """Its user has a node rebooted, reimaged or removed; a request that is under way may be replaced by another."""
    item = stage.found(POOL_NODES, act)
    if item is None:
        return False
    kind = ("Reboot", "Reboot", "Reimage", "Remove")[act.flavour % 4]
    option = _OPTIONS[act.target % 3]
    if option == "Requeue":
        stage.world.may_requeue_for.add(_REASONS[kind])
    request = f"{stage.world.now:.3f}"
    action = {"op": "add", "path": "/spec/action", "value": {"type": kind, "requestId": request, "option": option}}
    name = item["metadata"]["name"]
    ask(stage, lambda: stage.world.kube.patch(POOL_NODES, NAMESPACE, name, [action]))
    return True
