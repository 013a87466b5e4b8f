"""`kubectl batch logs TASK [-f]`: a task's stdout.txt or stderr.txt, from its node."""

import argparse
from typing import Any
from urllib.parse import urlencode

from batchpools.cli import aggregated
from batchpools.cli.access import Access


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser("logs", parents=[common], help="a task's output")
    verb.add_argument("task", metavar="TASK", help="the task as JOB/ID, or the object's name")
    verb.add_argument("-f", "--follow", action="store_true", help="go on until the task has ended")
    verb.add_argument("--stderr", action="store_true", help="stderr.txt instead of stdout.txt")
    verb.add_argument("--tail", type=_lines, default=0, metavar="N", help="the last N lines only, of at most 64 KiB")
    verb.set_defaults(run=run)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Copy the file to stdout as it comes."""
    task = await access.task(options.task)
    query = {"stream": "stderr"} if options.stderr else {}
    if options.follow:
        query["follow"] = "true"
    if options.tail:
        query["tail"] = str(options.tail)
    path = aggregated.path_to(access, task, "logs")
    access.teach(f"kubectl get --raw '{path}{'?' if query else ''}{urlencode(query)}'")
    async for piece in aggregated.stream(access, path, query):
        access.copy(piece)
    return 0


def _lines(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines")
    return int(text)
