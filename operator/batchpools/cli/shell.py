"""`kubectl batch exec NODE [-- COMMAND]`: a shell on a node, in the container that its tasks run in.

`kubectl exec` does it, with the user's own right to pods/exec; the runner sets the node's variables and directory.
"""

import argparse
import os
import shlex
import shutil
import sys
from typing import Any

from batchpools.api import names
from batchpools.cli.access import Access, CliError
from batchpools.core.node_variables import node_variables
from batchpools.core.packages.marks import marks_of
from batchpools.core.packages.places import package_variables
from batchpools.core.views import PodView, PoolNodeView
from batchpools.kube.resources import PODS, POOL_NODES


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser("exec", parents=[common], help="a shell on a node, or a command: exec NODE [-- COMMAND]")
    verb.add_argument("node", metavar="NODE", help="the PoolNode's name")
    verb.add_argument("--container", default=names.TASK_CONTAINER, metavar="NAME", help="another one that tasks run in")
    verb.add_argument("command", nargs="*", metavar="COMMAND", help="after --; a shell by default")
    verb.set_defaults(run=run)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Give this process to kubectl."""
    node = await access.one(POOL_NODES, PoolNodeView, options.node)
    if not node.status.pod_name:
        raise CliError(f"node {options.node!r} has no pod: it is {node.status.state}")
    pod = await access.one(PODS, PodView, node.status.pod_name)
    words = command_for(node, pod, options.command, container=options.container, terminal=sys.stdin.isatty())
    access.teach(shlex.join(words))
    program = shutil.which("kubectl")
    if program is None:
        raise CliError("kubectl is not in PATH")
    os.execv(program, words)  # noqa: S606 (the user's own kubectl, without a shell)


def command_for(
    node: PoolNodeView,
    pod: PodView,
    command: list[str],
    *,
    terminal: bool,
    container: str = names.TASK_CONTAINER,
) -> list[str]:
    """What kubectl is told: in a container that tasks run in, with AZ_BATCH_* of the node, in its root directory."""
    namespace = node.metadata.namespace
    variables = {
        **node_variables(namespace, node.spec.pool_name, node.metadata.name, dedicated=node.spec.is_dedicated),
        **package_variables(marks_of(pod.metadata.annotations)),
    }
    interactive = ["-it"] if terminal else ["-i"]
    return [
        "kubectl", "exec", *interactive, "-n", namespace, node.status.pod_name, "-c", container, "--",
        names.RUNNER_PATH, "shell", names.NODE_ROOT_DIR, *(f"{name}={value}" for name, value in variables.items()),
        "--", *command,
    ]  # fmt: skip
