"""docs/monitoring.md names every metric as the table has it, and every alert of the rules."""

import re
from pathlib import Path

import yaml

from batchpools.telemetry.metrics import TABLE, Row

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/monitoring.md").read_text()


def line(name: str, row: Row) -> str:
    """A metric's row on the page; a counter's name ends in _total when it is scraped."""
    shown = name + "_total" if row.kind == "counter" else name
    return f"| `{shown}` | {row.kind} | {', '.join(row.labels)} | {row.help} |"


def test_every_metric_is_on_the_page_as_the_table_has_it() -> None:
    assert re.findall(r"^\| `batchpools_.*$", PAGE, re.MULTILINE) == [line(*one) for one in TABLE.items()]


def test_every_alert_is_on_the_page() -> None:
    rules = yaml.safe_load((ROOT / "charts/batchpools/monitoring/rules.yaml").read_text())["groups"][0]["rules"]
    assert re.findall(r"^\| (Batchpools\w+) ", PAGE, re.MULTILINE) == [rule["alert"] for rule in rules]
