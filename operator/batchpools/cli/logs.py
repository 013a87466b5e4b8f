"""`kubectl batch logs TASK [-f]`: a task's stdout.txt or stderr.txt, from its node."""

import argparse
import sys
from typing import Any
from urllib.parse import urlencode

from batchpools.cli.access import Access


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser("logs", parents=[common], help="a task's output")
    verb.add_argument("task", metavar="TASK", help="the task as JOB/ID, or the object's name")
    verb.add_argument("-f", "--follow", action="store_true", help="go on until the task has ended")
    verb.add_argument("--stderr", action="store_true", help="stderr.txt instead of stdout.txt")
    verb.add_argument("--tail", type=int, default=0, metavar="N", help="the last N lines only")
    verb.set_defaults(run=run)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Copy the file to stdout as it comes."""
    task = await access.task(options.task)
    query = {"stream": "stderr"} if options.stderr else {}
    if options.follow:
        query["follow"] = "true"
    if options.tail:
        query["tail"] = str(options.tail)
    path = access.ops_path(task, "logs")
    access.show(f"kubectl get --raw '{path}{'?' if query else ''}{urlencode(query)}'")
    async for piece in access.stream_ops(path, query):
        if access.out is sys.stdout:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        else:
            access.out.write(piece.decode(errors="replace"))
    return 0
