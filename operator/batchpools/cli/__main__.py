"""`kubectl batch ...` (console script kubectl-batch): picks the verb, runs it, turns refusals into sentences."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from batchpools.cli import autoscale, explain, get, logs, node, shell, wait
from batchpools.cli.access import Access, CliError
from batchpools.kube.errors import KubeError

_VERBS = (get, logs, wait, explain, node, shell, autoscale)

EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_NOBODY_READS = 1, 130, 141


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="kubectl batch",
        description="Pools, nodes, jobs, tasks, schedules and packages of batchpools. Uses the current kubectl context.",
        epilog="Plain objects: kubectl get bpool,bnode,bjob,btask",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-n", "--namespace", default="", help="the namespace; the context's by default")
    common.add_argument("--show-kubectl", action="store_true", help="print the raw kubectl command first")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in _VERBS:
        verb.add(verbs, common)
    return top


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line. What follows `--` of `exec` is the command, wherever options of ours stand before it."""
    words = list(arguments)
    if words[:1] != ["exec"] or "--" not in words:
        return parser().parse_args(words)
    at = words.index("--")
    options = parser().parse_args(words[:at])
    options.command += words[at + 1 :]
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. 0 success, 1 refusal or failure, 2 wrong usage, 124 out of time, 130 Ctrl-C, 141 nobody reads on."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return asyncio.run(_run(options))
    except KubeError as error:
        print(f"error: {error.sentence}", file=sys.stderr)
        return EXIT_FAILURE
    except CliError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # else Python complains when it flushes at its end
        return EXIT_NOBODY_READS


async def _run(options: argparse.Namespace) -> int:
    if "alone" in options:  # it needs no cluster
        done: int = options.alone(options)
        return done
    access = Access.of_user(options.namespace, show=options.show_kubectl)
    try:
        code: int = await options.run(access, options)
        return code
    finally:
        await access.client.close()


if __name__ == "__main__":
    sys.exit(main())
