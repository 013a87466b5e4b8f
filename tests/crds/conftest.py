"""A real API server with the CRDs, and a namespace."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.cluster import pins
from e2e.cluster.images import ROOT

Manifest = dict[str, Any]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """kubectl against the cluster that `make up` brought up."""
    built = pins.cache_dir() / "bin" / "kubectl"
    program = str(built) if built.exists() else shutil.which("kubectl") or "kubectl"
    ours = ROOT / ".cluster" / "kubeconfig"
    kubeconfig = str(ours) if ours.exists() else os.environ.get("KUBECONFIG", str(Path.home() / ".kube/config"))

    def run(*arguments: str, stdin: Manifest | None = None, check: bool = False) -> subprocess.CompletedProcess[str]:
        text = json.dumps(stdin) if stdin is not None else None
        command = [program, f"--kubeconfig={kubeconfig}", *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=check, timeout=60)

    # As Helm would: a later `helm upgrade` of the chart must not find the fields to be somebody else's.
    done = run("apply", "--server-side", "--field-manager=helm", "--force-conflicts", "-f", str(ROOT / "crds"))
    assert done.returncode == 0, done.stderr
    run("wait", "--for=condition=Established", "crd", "-l", "!nothing", "--timeout=30s", check=True)
    return run


@pytest.fixture(scope="session")
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of the tests' own."""
    name = f"crds-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name, check=True)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
