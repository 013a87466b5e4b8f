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
_TRIES = 5  # of a change of the target that somebody else changes too


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser("node", help="disable, enable, reboot, reimage and remove nodes")
    what = verb.add_subparsers(dest="what", required=True, metavar="WHAT")
    disable = _add(what, common, "disable", "no more tasks for a node", run_disable)
    _add_option(disable, DisableSchedulingOption)
    _add(what, common, "enable", "a node takes tasks again", run_enable)
    for name, (_, sentence) in _ACTIONS.items():
        _add_option(_add(what, common, name, sentence, run_action), NodeDeallocationOption)


def _add(what: Any, common: argparse.ArgumentParser, name: str, sentence: str, run: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = what.add_parser(name, parents=[common], help=sentence, description=sentence)
    parser.add_argument("node", metavar="NODE", help="the PoolNode's name")
    parser.set_defaults(run=run)
    return parser


def _add_option(parser: argparse.ArgumentParser, options: Any) -> None:
    text = "what becomes of its tasks: Requeue runs them elsewhere, Terminate ends them for good, TaskCompletion waits for them"
    parser.add_argument("--option", choices=[one.value for one in options], default="Requeue", help=text)


async def run_disable(access: Access, options: argparse.Namespace) -> int:
    """No more tasks; once it has none it is Offline."""
    node = await access.one(POOL_NODES, PoolNodeView, options.node)
    if node.spec.scheduling_state == SchedulingState.DISABLED:
        raise CliError(f"node {options.node!r} is disabled already (NodeAlreadyInTargetSchedulingState)")
    wanted = {"schedulingState": SchedulingState.DISABLED, "schedulingDisableOption": options.option}
    await _set(access, POOL_NODES, node.metadata, wanted)
    access.say(f"Node {options.node} takes no more tasks; it is Offline once it has none ({options.option}).")
    return 0


async def run_enable(access: Access, options: argparse.Namespace) -> int:
    """It takes tasks again."""
    node = await access.one(POOL_NODES, PoolNodeView, options.node)
    if node.spec.scheduling_state == SchedulingState.ENABLED:
        raise CliError(f"node {options.node!r} is enabled already (NodeAlreadyInTargetSchedulingState)")
    await _set(access, POOL_NODES, node.metadata, {"schedulingState": SchedulingState.ENABLED})
    access.say(f"Node {options.node} takes tasks again.")
    return 0


async def run_action(access: Access, options: argparse.Namespace) -> int:
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
