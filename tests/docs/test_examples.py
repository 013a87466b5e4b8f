"""What stands in examples/ is what the models take, and its formulas can be evaluated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchpools.api.application_package import ApplicationPackageSpec
from batchpools.api.job import JobSpec
from batchpools.api.job_schedule import JobScheduleSpec
from batchpools.api.pool import PoolSpec
from batchpools.core.autoscale.parser import parse

EXAMPLES = Path(__file__).parents[2] / "examples"
SPECS: dict[str, type[PoolSpec] | type[JobSpec] | type[JobScheduleSpec] | type[ApplicationPackageSpec]] = {
    "Pool": PoolSpec,
    "Job": JobSpec,
    "JobSchedule": JobScheduleSpec,
    "ApplicationPackage": ApplicationPackageSpec,
}


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Our own objects of all examples."""
    for path in sorted(EXAMPLES.glob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text()):
            if one["apiVersion"].startswith("batchpools.dev/"):
                yield f"{path.name}: {one['kind']} {one['metadata']['name']}", one


@pytest.mark.parametrize(("what", "manifest"), list(manifests()), ids=[what for what, _ in manifests()])
def test_an_example_is_valid(what: str, manifest: dict[str, Any]) -> None:
    spec = SPECS[manifest["kind"]].model_validate(manifest["spec"])
    formula = spec.auto_scale.formula if isinstance(spec, PoolSpec) and spec.auto_scale else None
    if formula:
        parse(formula)
    assert len(manifest["spec"]) >= 2, what
