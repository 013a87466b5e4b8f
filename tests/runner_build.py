"""The real runner for tests that speak to it: built once a session from its Go sources."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "operator" / "runner"


@pytest.fixture(scope="session")
def runner_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a runner, built now."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain in PATH: the real runner cannot be built")
    binary = tmp_path_factory.mktemp("runner") / "runner"
    built = subprocess.run(
        [go, "build", "-o", str(binary), "."], cwd=SOURCES, check=False, capture_output=True, text=True, timeout=300
    )
    if built.returncode != 0:
        pytest.fail(f"the runner does not build:\n{built.stderr}")
    return binary
