"""FakeKube's table of status defaults is that of the CRDs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from batchpools.testing.fresh_status import FRESH_STATUS, STATUS_FIELDS

CRDS = Path(__file__).parents[2] / "crds"


def status_schema(plural: str) -> dict[str, Any]:
    crd = yaml.safe_load((CRDS / f"batchpools.dev_{plural}.yaml").read_text())
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("Pool", "pools"),
        ("PoolNode", "poolnodes"),
        ("Job", "jobs"),
        ("Task", "tasks"),
        ("JobSchedule", "jobschedules"),
        ("ApplicationPackage", "applicationpackages"),
    ],
)
def test_the_table_says_what_the_crd_fills_in(kind: str, plural: str) -> None:
    schema = status_schema(plural)
    fields = {name: field["default"] for name, field in schema["properties"].items() if "default" in field}
    assert fields == STATUS_FIELDS[kind]
    assert schema["default"] == FRESH_STATUS[kind]
