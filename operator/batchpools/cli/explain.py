"""`kubectl batch explain TASK`: why it waits, its place in the queue, what refused it."""

import argparse
from typing import Any

import msgspec

from batchpools.cli import aggregated
from batchpools.cli.access import Access


class Told(msgspec.Struct):
    """`core.ledger.Explanation` as the aggregated API gives it."""

    state: str
    node: str
    reason: str
    message: str
    position: int
    waiting: int
    refusals: list[tuple[str, str]]


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser("explain", parents=[common], help="why a task waits")
    verb.add_argument("task", metavar="TASK", help="the task as JOB/ID, or the object's name")
    verb.set_defaults(run=run)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Print the explanation in sentences."""
    task = await access.task(options.task)
    path = aggregated.path_to(access, task, "explain")
    access.teach(f"kubectl get --raw '{path}'")
    told = await aggregated.ask(access, path, Told)
    access.say(f"Task {task.metadata.name}: {told.state}{' on ' + told.node if told.node else ''}")
    access.say(f"  {told.reason}{': ' + told.message if told.message else ''}")
    if told.position:
        access.say(f"  Place {told.position} of {told.waiting} in the pool's queue.")
    for node, sentence in told.refusals:
        access.say(f"  - {node + ': ' if node else ''}{sentence}")
    return 0
