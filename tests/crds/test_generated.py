"""What is committed is what the models say, and nothing in it is foreign to a structural schema."""

from typing import Any

import pytest
import yaml
from e2e.cluster.images import ROOT

from batchpools.crdgen.manifests import chart_manifests, manifests
from batchpools.crdgen.structural import NotStructuralError, structural

FORBIDDEN = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "title", "additionalItems", "prefixItems"}


def test_the_committed_crds_are_the_generated_ones() -> None:
    assert {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")} == manifests()


def test_the_charts_crds_are_the_generated_ones() -> None:
    folder = ROOT / "charts/batchpools/templates/crds"
    assert {path.name: path.read_text() for path in folder.glob("*.yaml")} == chart_manifests()


@pytest.mark.parametrize("text", manifests().values(), ids=manifests().keys())
def test_nothing_in_a_schema_is_foreign_to_a_structural_one(text: str) -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            assert not FORBIDDEN & set(node), node
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(yaml.safe_load(text)["spec"]["versions"][0]["schema"])


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"oneOf": []},
        {},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}},
    ],
    ids=["a choice of types", "oneOf", "no type", "recursion"],
)
def test_what_cannot_be_structural_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises((NotStructuralError, RecursionError)):
        structural(schema)
