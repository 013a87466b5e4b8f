"""`kubectl batch get [pools|nodes|jobs|tasks|schedules|packages] [NAME]`: tables with progress; without a kind, pools and jobs."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

from batchpools.cli.access import Access, CliError
from batchpools.cli.columns import KINDS, SINGULAR, Kind, rows
from batchpools.cli.live import as_they_are
from batchpools.cli.tables import table

_LIVE = {"pools", "nodes"}


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The verb's own words."""
    verb = verbs.add_parser(
        "get", parents=[common], help="pools, nodes, jobs, tasks, schedules and packages with progress"
    )
    verb.add_argument("kind", nargs="?", choices=[*KINDS, *SINGULAR], help="default: pools and jobs", metavar="KIND")
    verb.add_argument("name", nargs="?", default="", metavar="NAME", help="one object; a task also as JOB/ID")
    verb.add_argument("-A", "--all-namespaces", action="store_true")
    verb.add_argument("-o", "--output", choices=["table", "wide", "json", "yaml"], default="table")
    verb.add_argument("--job", default="", help="tasks of one job only")
    verb.set_defaults(run=run)


async def run(access: Access, options: argparse.Namespace) -> int:
    """Print one table a kind."""
    if options.name and options.all_namespaces:
        raise CliError("a NAME is of one namespace: leave out --all-namespaces", 2)
    wanted = SINGULAR.get(options.kind, options.kind)
    if options.job and wanted != "tasks":
        raise CliError("--job is for tasks: kubectl batch get tasks --job NAME", 2)
    for number, kind in enumerate([wanted] if wanted else ["pools", "jobs"]):
        if number and options.output != "json":
            access.say("---" if options.output == "yaml" else "")
        await _show(access, kind, options)
    return 0


async def _show(access: Access, name: str, options: argparse.Namespace) -> None:
    kind = KINDS[name]
    found = await _find(access, kind, options)
    if options.output == "json":
        access.say(json.dumps(_as_kubectl_would(found, options.name), indent=2))
    elif options.output == "yaml":
        access.say(yaml.safe_dump(_as_kubectl_would(found, options.name), sort_keys=False), end="")
    elif found:
        views = [msgspec.json.decode(raw, type=kind.view) for raw in found]
        if name in _LIVE:
            views = await as_they_are(access, views, everywhere=options.all_namespaces)
        _print_table(access, kind, views, options)
    else:
        access.say(f"No {name} in {'any namespace' if options.all_namespaces else f'namespace {access.namespace}'}.")


async def _find(access: Access, kind: Kind, options: argparse.Namespace) -> list[bytes]:
    """The objects asked for, as JSON, after the kubectl that would find them was shown."""
    name = options.name
    if "/" in name:
        name = (await access.task(name)).metadata.name
    selector = f"spec.jobName={options.job}" if options.job else ""
    words = ["kubectl", "get", kind.short, name, "-A" if options.all_namespaces else f"-n {access.namespace}"]
    words += [f"--field-selector={selector}" if selector else ""]
    words += [f"-o {options.output}" if options.output != "table" else ""]
    access.teach(" ".join(word for word in words if word))
    if name:
        return [await access.client.get(kind.resource, access.namespace, name)]
    return await access.every(kind.resource, field_selector=selector, everywhere=options.all_namespaces)


def _print_table(access: Access, kind: Kind, views: Sequence[Any], options: argparse.Namespace) -> None:
    cells = rows(kind, views, access.clock.now(), wide=options.output == "wide")
    if options.all_namespaces:
        where = ["NAMESPACE", *(view.metadata.namespace for view in views)]
        cells = [[namespace, *row] for namespace, row in zip(where, cells, strict=True)]
    for line in table(cells):
        access.say(line)


def _as_kubectl_would(found: Sequence[bytes], name: str) -> Any:
    """Whole objects, without managedFields: one, or a List."""
    items = [json.loads(raw) for raw in found]
    for item in items:
        item["metadata"].pop("managedFields", None)
    return items[0] if name else {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}
