"""The CRDs on a real API server: what kubectl shows and does of them: fresh states, columns, selectors, scale, explain."""

import json
from typing import Any

import pytest
from tests.crds.conftest import Kubectl
from tests.crds.objects import Manifest, manifest, task_spec

from batchpools.crdgen.kinds import KINDS

pytestmark = pytest.mark.cluster


def test_fresh_objects_have_their_state_without_a_write(kubectl: Kubectl, namespace: str) -> None:
    waits = {"suspend": True, "jobTemplate": {"spec": {"poolName": "p"}}}
    for kind, spec in (("Task", task_spec()), ("Job", {"poolName": "no-such-pool"}), ("JobSchedule", waits)):
        made = kubectl(
            "create", "-n", namespace, "-o", "json", "-f", "-", stdin=manifest(kind, "fresh", spec), check=True
        )
        status = json.loads(made.stdout)["status"]
        assert status["state"] == "Active"
        assert [one["status"] for one in status["conditions"] if one["type"] == "Finished"] == ["False"]


def test_tasks_are_selected_by_their_fields(kubectl: Kubectl, namespace: str) -> None:
    chosen = manifest("Task", "chosen", task_spec(jobName="selected", id="only"))
    kubectl("create", "-n", namespace, "-f", "-", stdin=chosen, check=True)
    selector = "--field-selector=spec.jobName=selected,spec.id=only,status.state=Active"
    assert kubectl("get", "btask", "-n", namespace, selector, "-o", "name").stdout == "task.batchpools.dev/chosen\n"


def test_the_scale_subresource_sets_the_target(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "-n", namespace, "-f", "-", stdin=manifest("Pool", "scaled", {"image": "x"}), check=True)
    done = kubectl("scale", "bpool", "scaled", "-n", namespace, "--replicas=0")
    assert done.returncode == 0, done.stderr


def test_names_and_columns_are_as_documented(kubectl: Kubectl, namespace: str) -> None:
    for kind in KINDS:
        header = kubectl("get", kind.short, "-n", namespace).stdout.split("\n")[0].split()
        if header:
            assert [name.upper() for name, _, _ in kind.columns if not name.endswith("*")] == header[1:]
    listed = kubectl("api-resources", "--categories=batchpools", "--no-headers").stdout
    assert {line.split()[0] for line in listed.splitlines()} == {"pools", "jobs", "jobschedules"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.short)
def test_kubectl_explain_has_a_sentence_on_every_field(kubectl: Kubectl, kind: Any) -> None:
    listed = json.loads(kubectl("get", "crd", f"{kind.plural}.batchpools.dev", "-o", "json").stdout)
    schema = listed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    bare = [path for path, node in _fields("", schema) if not node.get("description") and path != ".metadata"]
    assert bare == []


def _fields(path: str, node: Manifest) -> list[tuple[str, Manifest]]:
    found = []
    for name, child in node.get("properties", {}).items():
        found.append((f"{path}.{name}", child))
        found += _fields(f"{path}.{name}", child)
    if "items" in node:
        found += _fields(f"{path}[]", node["items"])
    return found
