"""`kubectl batch node disable | enable | reboot | reimage | remove NODE`: fields that a user sets, with the user's own rights.

`remove` lowers the pool's target too, so that the node is not replaced; deleting a PoolNode alone replaces it.
"""

import argparse
import shlex
from collections.abc import Sequence
from typing import Any

import msgspec

from batchpools.api.states import DisableSchedulingOption, NodeActionType, NodeDeallocationOption, SchedulingState
from batchpools.cli.access import Access, CliError
from batchpools.core.views import PoolNodeView, PoolView
from batchpools.kube.errors import TestFailedError
from batchpools.kube.port import PatchOperation, Resource
from batchpools.kube.resources import POOL_NODES, POOLS

_ACTIONS = {
    "reboot": (NodeActionType.REBOOT, "restart all containers of a node; its files stay, its start task runs again"),
    "reimage": (NodeActionType.REIMAGE, "give a node a new pod; its local files are lost"),
    "remove": (NodeActionType.REMOVE, "take a node out of its pool, and lower the pool's target by one"),
}
_SCHEDULING = {"disable": "no more tasks for a node", "enable": "a node takes tasks again"}
_TRIES = 5  # of a change of the target that somebody else changes too


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    told = {**{name: sentence for name, (_, sentence) in _ACTIONS.items()}, **_SCHEDULING}
    text = "\n".join(f"  {name:8} {sentence}" for name, sentence in told.items())
    verb = verbs.add_parser(
        "node",
        parents=[common],
        help="disable, enable, reboot, reimage and remove nodes",
        description=f"What a node is to do:\n{text}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("what", metavar="WHAT", choices=list(told), help=" | ".join(told))
    verb.add_argument("node", metavar="NODE", help="the PoolNode's name")
    text = "what becomes of its tasks: Requeue (default) runs them elsewhere, Terminate ends them for good, TaskCompletion waits"
    options = [one.value for one in NodeDeallocationOption]
    verb.add_argument("--option", choices=options, default="Requeue", help=f"{text}, RetainedData also for their files")
    verb.set_defaults(run=run)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Set the fields that say so."""
    if options.what == "disable":
        return await _disable(access, options)
    return await (_enable if options.what == "enable" else _act)(access, options)


async def _disable(access: Access, options: argparse.Namespace) -> int:
    """No more tasks; once it has none it is Offline."""
    if options.option not in set(DisableSchedulingOption):
        raise CliError(f"a node is not disabled by {options.option}: Requeue, Terminate or TaskCompletion", 2)
    node = await access.one(POOL_NODES, PoolNodeView, options.node)
    if node.spec.scheduling_state == SchedulingState.DISABLED:
        raise CliError(f"node {options.node!r} is disabled already (NodeAlreadyInTargetSchedulingState)")
    wanted = {"schedulingState": SchedulingState.DISABLED, "schedulingDisableOption": options.option}
    await _set(access, POOL_NODES, node.metadata, wanted)
    access.say(f"Node {options.node} takes no more tasks; it is Offline once it has none ({options.option}).")
    return 0


async def _enable(access: Access, options: argparse.Namespace) -> int:
    """It takes tasks again."""
    node = await access.one(POOL_NODES, PoolNodeView, options.node)
    if node.spec.scheduling_state == SchedulingState.ENABLED:
        raise CliError(f"node {options.node!r} is enabled already (NodeAlreadyInTargetSchedulingState)")
    await _set(access, POOL_NODES, node.metadata, {"schedulingState": SchedulingState.ENABLED})
    access.say(f"Node {options.node} takes tasks again.")
    return 0


async def _act(access: Access, options: argparse.Namespace) -> int:
    """Ask for it once. A removal lowers the target at once after: the pool then lets this very node go."""
    type_, _ = _ACTIONS[options.what]
    node = await access.one(POOL_NODES, PoolNodeView, options.node)
    request = str(round(access.clock.now().timestamp() * 1000))
    action = {"type": type_, "requestId": request, "option": options.option}
    await _set(access, POOL_NODES, node.metadata, {"action": action})
    if type_ is NodeActionType.REMOVE:
        await _lower(access, node)
    access.say(f"{type_} of node {options.node} is asked for ({options.option}): status.lastAction, request {request}.")
    return 0


async def _lower(access: Access, node: PoolNodeView) -> None:
    """The pool's target of this sort of node, by one."""
    name = "targetDedicatedNodes" if node.spec.is_dedicated else "targetLowPriorityNodes"
    for _ in range(_TRIES):
        pool = await access.one(POOLS, PoolView, node.spec.pool_name)
        spec = pool.spec
        target = spec.target_dedicated_nodes if node.spec.is_dedicated else spec.target_low_priority_nodes
        if not target:
            access.note(
                f"The target of pool {pool.metadata.name} is 0 in its spec: what it is to have is decided elsewhere."
            )
            return
        try:
            await _set(access, POOLS, pool.metadata, {name: target - 1}, {name: target})
        except TestFailedError:
            continue  # somebody else has changed it: look again
        return
    raise CliError(f"the target of pool {node.spec.pool_name!r} changes all the time; lower it by hand")


async def _set(
    access: Access, resource: Resource, meta: Any, fields: dict[str, Any], expected: dict[str, Any] | None = None
) -> None:
    """Set fields of spec, of this life of the object."""
    operations: list[PatchOperation] = [{"op": "test", "path": "/metadata/uid", "value": meta.uid}]
    operations += [{"op": "test", "path": f"/spec/{name}", "value": value} for name, value in (expected or {}).items()]
    operations += [{"op": "add", "path": f"/spec/{name}", "value": value} for name, value in fields.items()]
    access.teach(_command(access, resource, meta.name, fields))
    await access.client.patch(resource, access.namespace, meta.name, operations)


def _command(access: Access, resource: Resource, name: str, fields: dict[str, Any]) -> str:
    patch = msgspec.json.encode({"spec": fields}).decode()
    words: Sequence[str] = ["kubectl", "patch", "-n", access.namespace, f"{resource.plural}.{resource.group}", name]
    return shlex.join([*words, "--type", "merge", "-p", patch])
