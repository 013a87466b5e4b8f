"""FakeKube knows every rule of the CRDs that speaks of a change, in the CRDs' own words."""

from pathlib import Path
from typing import Any

import yaml

from batchpools.testing import transition_rules

CRDS = Path(__file__).parents[2] / "crds"


def _sentences(schema: Any) -> set[str]:
    """Messages of rules with oldSelf, anywhere below."""
    if isinstance(schema, list):
        return set().union(*map(_sentences, schema))
    if not isinstance(schema, dict):
        return set()
    own = {one["message"] for one in schema.get("x-kubernetes-validations", ()) if "oldSelf" in one["rule"]}
    return own.union(*map(_sentences, schema.values()))


def test_every_rule_of_a_change_is_known_by_its_sentence() -> None:
    manifests = [yaml.safe_load(path.read_text()) for path in CRDS.glob("*.yaml")]
    wanted = {(one["spec"]["names"]["kind"], text) for one in manifests for text in _sentences(one)}
    known = {
        (kind, text)
        for table in (transition_rules.SPEC, transition_rules.STATUS)
        for kind, rules in table.items()
        for text, _ in rules
    }
    assert known | {(kind, text) for kind, text, _ in transition_rules.WHOLE} == wanted
