"""docs/status.md tells the truth: its fields are the schema's, and every row that says `works` names a test that there is."""

import re

from e2e.cluster.images import ROOT

from batchpools.crdgen.kinds import KINDS

TEXT = (ROOT / "docs/status.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("|")]


def test_the_fields_are_those_of_the_schema() -> None:
    told = {
        row[0]: row[1].split(", ")
        for row in ROWS
        if len(row) == 2 and row[0] in {"Pool", "PoolNode", "Job", "JobSchedule", "Task", "ApplicationPackage"}
    }
    for kind in KINDS:
        spec = kind.model.model_fields["spec"].annotation
        assert spec is not None
        fields = {field.alias for field in spec.model_fields.values()}
        assert set(told[kind.model.__name__]) == fields, kind.model.__name__


def test_every_row_is_marked_and_what_works_names_a_test_that_there_is() -> None:
    features = [row for row in ROWS if len(row) == 3 and row[0] not in {"feature", "---"}]
    assert len(features) > 60
    for feature, state, shown_by in features:
        assert state in {"works", "not yet"}, feature
        if state == "works":
            path, _, name = shown_by.partition("::")
            assert (ROOT / path).is_file(), f"{feature}: {path}"
            assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE) or re.search(
                rf"^    (async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE
            ), f"{feature}: {shown_by}"
        else:
            assert shown_by == "", feature
