"""The source folder is called operator/, yet the standard library's operator still imports, and the wheel holds what it should."""

import subprocess
import sys
import zipfile
from pathlib import Path

from e2e.cluster.images import ROOT


def test_operator_is_a_source_root_and_no_package() -> None:
    assert not (ROOT / "operator/__init__.py").exists()
    code = "import operator, collections; print(operator.add(1, 2), operator.__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3 operator"


def test_no_module_is_named_after_one_of_the_standard_library_at_the_top() -> None:
    names = {path.stem for path in (ROOT / "operator/batchpools").iterdir()}
    assert not names & (set(sys.stdlib_module_names) - {"__init__", "__main__"})


def test_the_wheel_holds_the_package_and_the_crds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("batchpools-*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    assert "batchpools/app.py" in held
    assert "batchpools/_crds/batchpools.dev_pools.yaml" in held
    assert "batchpools/py.typed" in held
    assert not [name for name in held if name.startswith(("operator/", "tests/", "e2e/"))]


def test_the_agent_imports_neither_pydantic_nor_kubernetes() -> None:
    heavy = "('pydantic', 'kubernetes', 'kopf', 'aiohttp')"
    code = f"import sys, batchpools.agent.service; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
