"""docs/safety.md, tests/safety_rules.toml and the tests agree: every part of a rule has a test that there is, or comes later.

The files that it and docs/architecture.md name are there.
"""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from e2e.cluster.images import ROOT

TEXT = (ROOT / "docs/safety.md").read_text()
MAP = (ROOT / "docs/architecture.md").read_text()
ENTRIES: dict[str, Any] = tomllib.loads((ROOT / "tests/safety_rules.toml").read_text())
STATED = re.findall(r"^- \*\*(S\d\.\d[a-z]?)\*\* ", TEXT, re.MULTILINE)
RULES = {
    f"S{section}.{number}"
    for section, last in enumerate([3, 5, 4, 1, 5, 4, 2, 7, 4], start=1)
    for number in range(1, last + 1)
}


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of the tests in a Python or Go file."""
    if path.suffix == ".go":
        return frozenset(re.findall(r"^func (Test\w+)\(", path.read_text(), re.MULTILINE))
    found = ast.walk(ast.parse(path.read_text()))
    names = (one.name for one in found if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in names if name.startswith("test_"))


def not_yet() -> set[str]:
    """The features that docs/status.md calls not yet there."""
    rows = [line.strip("|").split("|") for line in (ROOT / "docs/status.md").read_text().splitlines()]
    return {row[0].strip() for row in rows if len(row) == 3 and row[1].strip() == "not yet"}


def test_every_rule_is_on_the_page_and_none_twice() -> None:
    assert {one.rstrip("abcdefghij") for one in STATED} == RULES
    assert len(STATED) == len(set(STATED))


def test_every_part_of_a_rule_has_an_entry_and_every_entry_is_a_part_of_a_rule() -> None:
    assert sorted(ENTRIES) == sorted(STATED)


@pytest.mark.parametrize("rule", sorted(ENTRIES))
def test_what_shows_a_rule_is_there(rule: str) -> None:
    entry = ENTRIES[rule]
    if isinstance(entry, dict):
        assert set(entry) == {"later"}
        assert entry["later"] in not_yet(), f"{rule}: docs/status.md has no such feature that is not yet there"
        return
    assert entry, rule
    for one in entry:
        path, _, name = one.partition("::")
        assert (ROOT / path).is_file(), f"{rule}: {path}"
        assert name in names_in(ROOT / path), f"{rule}: {one}"


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:operator/runner|core|controllers|kube|hub)/[\w/]+\.(?:py|go))`", TEXT + MAP)))
)
def test_files_that_the_pages_name_are_there(path: str) -> None:
    assert (ROOT / path).is_file() or (ROOT / "operator/batchpools" / path).is_file()
