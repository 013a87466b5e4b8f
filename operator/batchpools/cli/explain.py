"""`kubectl batch explain TASK`: why it waits, its place in the queue, what refused it."""

import argparse
from typing import Any

from batchpools.cli.access import Access


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser("explain", parents=[common], help="why a task waits")
    verb.add_argument("task", metavar="TASK", help="the task as JOB/ID, or the object's name")
    verb.set_defaults(run=run)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Print the explanation in sentences."""
    task = await access.task(options.task)
    path = access.ops_path(task, "explain")
    access.show(f"kubectl get --raw '{path}'")
    told = await access.ask_ops(path)
    access.say(f"Task {task.metadata.name}: {told['state']}{' on ' + told['node'] if told['node'] else ''}")
    access.say(f"  {told['reason']}{': ' + told['message'] if told['message'] else ''}")
    if told["position"]:
        access.say(f"  Place {told['position']} of {told['waiting']} in the pool's queue.")
    for node, sentence in told["refusals"]:
        access.say(f"  - {node + ': ' if node else ''}{sentence}")
    if told["source"] == "standby":
        access.say("  (told by a standby from what is recorded; ask again for the leader's view)")
    return 0
