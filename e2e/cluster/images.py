"""Builds the images that demo and e2e need without Docker: the project's own, and a Debian Python under the name python:3-slim."""

import hashlib
import json
import os
import py_compile
import shutil
import subprocess
import tarfile
from pathlib import Path

from e2e.cluster import archive, pins, prerequisites
from e2e.cluster.build import only_one

ROOT = Path(__file__).parents[2]
PROJECT_IMAGE = "batchpools.dev/batchpools:dev"
PYTHON_IMAGE = "docker.io/library/python:3-slim"
_LIBRARY = "opt/batchpools/lib"
_STANDARD = ROOT / "operator"


def python_image() -> archive.Image:
    """A Debian Python under exactly the name that examples use; this cluster cannot pull from a registry."""
    print(
        f"{PYTHON_IMAGE} is a locally built Debian {pins.DEBIAN} Python here: this cluster has no registry", flush=True
    )
    config = {"Cmd": ["python3"]}
    with only_one(pins.cache_dir() / "images.lock"):
        return archive.pack(PYTHON_IMAGE, [_base_layer()], config, pins.cache_dir() / "images" / "python.tar")


def project_image() -> archive.Image:
    """Operator, agent and runner in one image: Debian Python, the wheels, the code; only the last layer changes with the code."""
    config = {
        "Entrypoint": ["python3", "-m", "batchpools"],
        "User": "64500",
        "Env": [
            archive.PATH,
            f"PYTHONPATH=/{_LIBRARY}/code:/{_LIBRARY}/wheels",
            "PYTHONSAFEPATH=1",
            "PYTHONUNBUFFERED=1",
        ],
        "WorkingDir": "/",
    }
    with only_one(pins.cache_dir() / "images.lock"):
        layers = [_base_layer(), _wheels_layer(), _code_layer()]
        return archive.pack(PROJECT_IMAGE, layers, config, _of_checkout() / "batchpools.tar")


def _of_checkout() -> Path:
    """What is made of the code of this checkout: others build theirs beside it."""
    folder = pins.cache_dir() / "images" / f"checkout-{_short(str(ROOT))}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _base_layer() -> Path:
    """A minimal Debian with Python (27 s once)."""
    recipe = json.dumps([pins.DEBIAN, pins.BASE_PACKAGES, 2])
    out = pins.cache_dir() / "images" / f"base-{_short(recipe)}.tar"
    if out.exists():
        return out
    prerequisites.install_packages()
    print(f"building a Debian {pins.DEBIAN} base image with mmdebstrap (about half a minute, once)", flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial.tar")
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{one}/*" for one in ("doc", "man", "locale")]
    link = "ln -s /usr/bin/python3 $1/usr/local/bin/python; ln -s /usr/bin/python3 $1/usr/local/bin/python3"
    command = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(pins.BASE_PACKAGES)}", *excluded]
    command += ['--aptopt=Acquire::Languages "none"', f"--customize-hook={link}", pins.DEBIAN, str(partial)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise prerequisites.MissingError(f"mmdebstrap failed:\n{done.stderr[-2000:]}")
    partial.rename(out)
    return out


def _wheels_layer() -> Path:
    """What pyproject.toml asks for, installed for Debian's Python."""
    text = (ROOT / "pyproject.toml").read_text()
    out = pins.cache_dir() / "images" / f"wheels-{_short(text)}.tar"
    if out.exists():
        return out
    print("installing the operator's wheels for the image", flush=True)
    target = out.with_suffix("") / "wheels"
    shutil.rmtree(target.parent, ignore_errors=True)
    pip = [str(ROOT / ".venv/bin/pip"), "install", "-q", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*pip, "--only-binary=:all:", "--python-version=3.11", *_requirements()], check=True)
    _compile(target)
    return _tar(target, f"{_LIBRARY}/wheels", out)


def _requirements() -> list[str]:
    """Base and operator requirements, as pyproject.toml names them."""
    import tomllib  # noqa: PLC0415 (only here)

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return sorted({*project["dependencies"], *extras["operator"], *extras["agent"]})


def _code_layer() -> Path:
    """The package and the runner; keyed by their contents."""
    folder = _of_checkout() / "code"
    shutil.rmtree(folder, ignore_errors=True)
    code = folder / "code"
    shutil.copytree(_STANDARD / "batchpools", code / "batchpools", ignore=shutil.ignore_patterns("__pycache__"))
    _compile(code)
    runner = folder / "batchpools-runner"
    flags = ["build", "-trimpath", "-ldflags=-s -w", "-o", str(runner), "."]
    environment = {**os.environ, "CGO_ENABLED": "0"}
    subprocess.run([prerequisites.go_program(), *flags], cwd=_STANDARD / "runner", check=True, env=environment)
    layer = _tar(code, f"{_LIBRARY}/code", folder / "code.tar")
    with tarfile.open(layer, "a") as tar:
        tar.add(runner, "usr/local/bin/batchpools-runner", filter=_owned_by_root)
    return layer


def _compile(folder: Path) -> None:
    """Bytecode beside the sources: the file system of the operator is read-only, and an agent should start quickly."""
    for source in sorted(folder.rglob("*.py")):
        target = source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc"
        try:
            py_compile.compile(
                str(source),
                cfile=str(target),
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError:
            continue  # a template or a test of syntax errors inside a wheel


def _tar(folder: Path, inside: str, out: Path) -> Path:
    partial = out.with_suffix(".partial.tar")
    with tarfile.open(partial, "w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                tar.add(path, f"{inside}/{path.relative_to(folder)}", filter=_owned_by_root)
    partial.rename(out)
    return out


def _owned_by_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = "root"
    info.mode = 0o755 if info.mode & 0o100 else 0o644
    return info


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
