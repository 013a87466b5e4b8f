"""The operator, installed once for all stories, and a namespace for each."""

import re
import secrets
import subprocess
from collections.abc import Iterator

import pytest

from e2e.cluster import choose
from e2e.operator_install import Installation, logs_of
from e2e.stories import Namespace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every story needs a cluster."""
    for item in items:
        item.add_marker(pytest.mark.cluster)
        item.add_marker(pytest.mark.timeout(300, func_only=True))  # the first one also waits for the images


@pytest.fixture(scope="session")
def operator() -> Installation:
    """Two replicas with a short lease."""
    installation = Installation(choose.choose())
    installation.install()
    return installation


@pytest.fixture
def space(request: pytest.FixtureRequest, operator: Installation) -> Iterator[Namespace]:
    """A namespace of the story's own that enforces the restricted pod security; its pools go first at the end."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")
    name = f"e2e-{words[:40].strip('-')}-{secrets.token_hex(2)}"  # one of the same name may still be going away
    space = Namespace(name, operator.kubeconfig, operator.kubectl_program)
    label = "pod-security.kubernetes.io/enforce=restricted"
    operator.kubectl("create", "namespace", name)
    operator.kubectl("label", "namespace", name, label)
    yield space
    if request.session.testsfailed:
        print(logs_of(operator))
    space.kubectl("delete", "bjs,bjob,bpool,bapp", "--all", "--wait=true", "--timeout=120s")
    subprocess.run(
        [operator.kubectl_program, f"--kubeconfig={operator.kubeconfig}", "delete", "namespace", name, "--wait=false"],
        check=True,
        capture_output=True,
    )
