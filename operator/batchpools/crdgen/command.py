"""`python -m batchpools crds`: writes the generated CRDs where they belong."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from batchpools.crdgen.manifests import chart_manifests, manifests
from batchpools.crdgen.tables import write_tables


def main(arguments: Sequence[str] = ()) -> int:
    """Write the CRDs for kubectl, for the chart, or print them."""
    parser = argparse.ArgumentParser(prog="batchpools crds", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="DIR", help="write them for kubectl apply -f")
    parser.add_argument("--chart", type=Path, metavar="DIR", help="write them as templates of the chart")
    parser.add_argument("--tables", type=Path, metavar="PAGE", help="write the state tables into this page")
    options = parser.parse_args(arguments)
    if options.write:
        _write(options.write, manifests())
    if options.chart:
        _write(options.chart, chart_manifests())
    if options.tables:
        write_tables(options.tables)
    if not (options.write or options.chart or options.tables):
        print("---\n".join(manifests().values()), end="")
    return 0


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
