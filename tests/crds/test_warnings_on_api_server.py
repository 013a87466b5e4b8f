"""What is allowed and probably not meant, on a real API server: kubectl prints a warning, and nothing is refused."""

from typing import Any

import helm_python
import pytest
import yaml
from e2e.cluster.images import ROOT
from e2e.stories import until
from tests.crds.conftest import Kubectl
from tests.crds.objects import Manifest, manifest, task_spec

pytestmark = pytest.mark.cluster

SLOTS = "is more than 4 for each CPU"
SHELL = "a commandLine is run without a shell"


@pytest.fixture(scope="module", autouse=True)
def policies(kubectl: Kubectl, namespace: str) -> None:
    """Those of the chart, as Helm would apply them; in force once a pool that is wrong brings its warning."""
    with helm_python.Chart.load(ROOT / "charts/batchpools") as chart:
        pages = chart.render({}, name="batchpools", namespace="batchpools-system")
    for one in yaml.safe_load_all(pages["batchpools/templates/warnings.yaml"]):
        flags = ("--server-side", "--field-manager=helm", "--force-conflicts", "-f", "-")
        kubectl("apply", *flags, stdin=one, check=True)
    wrong = (
        manifest("Pool", "warm", {"image": "x", "taskSlotsPerNode": 256}),
        manifest("Task", "warm", task_spec(command=None, commandLine="a | b")),
    )
    until(lambda: all("Warning" in tried(kubectl, namespace, one) for one in wrong), "the warnings come")


def tried(kubectl: Kubectl, namespace: str, given: Manifest) -> str:
    """What kubectl says beside that it would be created."""
    spec = {key: value for key, value in given["spec"].items() if value is not None}
    done = kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", stdin={**given, "spec": spec})
    assert done.returncode == 0, done.stderr
    return done.stderr


def sized(slots: int, *, cpu: Any = None, limit: Any = None) -> Manifest:
    resources = {
        **({"requests": {"cpu": cpu}} if cpu is not None else {}),
        **({"limits": {"cpu": limit}} if limit is not None else {}),
    }
    return {"image": "x", "taskSlotsPerNode": slots, **({"resources": resources} if resources else {})}


def long_form(slots: int, cpu: str) -> Manifest:
    tool = {"name": "tool", "image": "y", "resources": {"requests": {"cpu": "64"}}}
    task = {"name": "task", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    return {"taskSlotsPerNode": slots, "template": {"spec": {"containers": [tool, task]}}}


@pytest.mark.parametrize(
    ("spec", "is_much"),
    [
        (sized(4), False),
        (sized(5), True),
        (sized(4, cpu="50m"), False),
        (sized(5, cpu="1"), True),
        (sized(8, cpu="1001m"), False),
        (sized(9, cpu=2), True),
        (sized(12, limit="2.5"), False),
        (sized(13, limit="2.5"), True),
        (sized(256, cpu="64"), False),
        (long_form(8, "2"), False),
        (long_form(9, "2"), True),
        ({"image": "x"}, False),
        ({"template": {"spec": {"containers": [{"name": "task", "image": "x"}]}}, "taskSlotsPerNode": 5}, True),
    ],
    ids=str,
)
def test_more_than_four_slots_a_cpu_bring_a_warning(
    kubectl: Kubectl, namespace: str, spec: Manifest, is_much: bool
) -> None:
    assert (SLOTS in tried(kubectl, namespace, manifest("Pool", "warm", spec))) == is_much


@pytest.mark.parametrize(
    ("line", "is_lost"),
    [
        ("echo $HOME", True),
        ("echo ${HOME}", True),
        ("echo $(HOME)", False),
        ("make && make install", True),
        ("ls > files", True),
        ("ls | wc", True),
        ("sh -c 'ls | wc'", False),
        ("/bin/bash -ec 'echo $HOME'", False),
        ("python3 work.py --price 5$", False),
        ("./sh.py $X", True),
    ],
)
def test_a_command_line_that_needs_a_shell_and_has_none_brings_a_warning(
    kubectl: Kubectl, namespace: str, line: str, is_lost: bool
) -> None:
    task = {"id": "a", "commandLine": line}
    for kind, spec in (
        ("Task", {"jobName": "j", "commandLine": line}),
        ("Job", {"poolName": "p", "tasks": [task]}),
        ("JobSchedule", {"jobTemplate": {"spec": {"poolName": "p", "tasks": [task]}}}),
        ("Pool", {"image": "x", "startTask": {"commandLine": line}}),
    ):
        assert (SHELL in tried(kubectl, namespace, manifest(kind, "warm", spec))) == is_lost, kind


def test_what_says_nothing_of_either_brings_none(kubectl: Kubectl, namespace: str) -> None:
    for given in (
        manifest("Pool", "warm", {"image": "x"}),
        manifest("Job", "warm", {"poolName": "p"}),
        manifest("JobSchedule", "warm", {"jobTemplate": {"spec": {"poolName": "p"}}}),
        manifest("Task", "warm", task_spec()),
    ):
        assert tried(kubectl, namespace, given) == ""
