"""Builds the programs of the local cluster from Go modules, once, into the cache. A broken build resumes."""

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import pins, prerequisites

_PAUSE = Path(__file__).parent / "pause"
_VERSION = "k8s.io/component-base/version"


def programs() -> Path:
    """The folder with all programs; builds what is missing (about 13 minutes the first time), saying what and how long."""
    folder = pins.cache_dir() / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    if all((folder / name).exists() for name in pins.PROGRAMS):
        return folder
    with only_one(folder.parent / "lock"):
        missing = [name for name in pins.PROGRAMS if not (folder / name).exists()]
        if missing:
            print(
                f"building {len(missing)} programs from Go modules into {folder} (about 13 minutes, once)", flush=True
            )
            _Builder(folder).build(missing)
    return folder


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """One process at a time in here, whichever checkout it is of."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Builder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._go = prerequisites.go_program()
        self._work = folder.parent / "work"
        self._start = time.monotonic()

    def build(self, missing: list[str]) -> None:
        self._work.mkdir(exist_ok=True)
        for number, name in enumerate(missing, 1):
            began = time.monotonic()
            print(f"  [{number}/{len(missing)}] {name} ...", end="", flush=True)
            self._build_one(name)
            now = time.monotonic()
            print(f" {now - began:.0f} s (total {(now - self._start) / 60:.1f} min)", flush=True)
        shutil.rmtree(self._work)

    def _build_one(self, name: str) -> None:
        out = self._work / name
        if name == "pause":
            self._run(["build", "-trimpath", "-ldflags=-s -w", "-o", str(out), "."], cwd=_PAUSE)
        elif name == "etcd" or name in pins.KUBERNETES_PROGRAMS:
            self._build_kubernetes(name, out)
        else:
            package, tags, cgo = _package(name)
            flags = ["-trimpath", "-ldflags=-s -w", *([f"-tags={tags}"] if tags else [])]
            self._run(["install", *flags, package], cwd=self._work, GOBIN=str(self._work), CGO_ENABLED=cgo)
        out.rename(self._folder / name)

    def _build_kubernetes(self, name: str, out: Path) -> None:
        module = self._work / "module"
        if not (module / "go.sum").exists():
            module.mkdir(exist_ok=True)
            (module / "go.mod").write_text(self._wrapper_module())
            self._run(["mod", "tidy"], cwd=module)
        major, minor, _ = pins.KUBERNETES.split(".")
        facts = {"gitVersion": f"v{pins.KUBERNETES}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        flags = " ".join(["-s -w", *(f"-X {_VERSION}.{key}={value}" for key, value in facts.items())])
        package = "go.etcd.io/etcd/server/v3" if name == "etcd" else f"k8s.io/kubernetes/cmd/{name}"
        self._run(["build", "-trimpath", "-ldflags", flags, "-o", str(out), package], cwd=module)

    def _wrapper_module(self) -> str:
        """A go.mod that needs Kubernetes and etcd, and gives its staging modules their published versions."""
        self._run(["mod", "download", f"k8s.io/kubernetes@v{pins.KUBERNETES}"], cwd=self._work)
        cache = subprocess.run(
            [self._go, "env", "GOMODCACHE"], capture_output=True, text=True, check=True
        ).stdout.strip()
        mod = Path(cache, "cache/download/k8s.io/kubernetes/@v", f"v{pins.KUBERNETES}.mod").read_text()
        staging = re.findall(r"^\s+(k8s\.io/\S+) => \./staging", mod, re.MULTILINE)
        tools = [f"\tk8s.io/kubernetes/cmd/{name}" for name in pins.KUBERNETES_PROGRAMS]
        minor = pins.KUBERNETES.split(".", 1)[1]
        lines = ["module localcluster", "", "go 1.26.0", "", "godebug default=go1.26", "", "tool ("]
        lines += [*tools, "\tgo.etcd.io/etcd/server/v3", ")", "", "require ("]
        lines += [f"\tk8s.io/kubernetes v{pins.KUBERNETES}", f"\tgo.etcd.io/etcd/server/v3 v{pins.ETCD}", ")", ""]
        lines += ["replace (", *(f"\t{name} => {name} v0.{minor}" for name in staging), ")", ""]
        return "\n".join(lines)

    def _run(self, arguments: list[str], cwd: Path, **environment: str) -> None:
        settings = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", **environment}
        done = subprocess.run(
            [self._go, *arguments], cwd=cwd, env=settings, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise prerequisites.MissingError(f"go {' '.join(arguments[:2])} failed:\n{done.stderr[-3000:]}")


def _package(name: str) -> tuple[str, str, str]:
    """(package@version, build tags, CGO_ENABLED) of a program that `go install` builds."""
    if name in pins.CONTAINERD_PROGRAMS:
        tags = "no_btrfs no_zfs no_devmapper no_aufs"
        return f"github.com/containerd/containerd/v2/cmd/{name}@v{pins.CONTAINERD}", tags, "0"
    if name == "runc":
        return f"github.com/opencontainers/runc@v{pins.RUNC}", "seccomp", "1"
    if name == "coredns":
        return f"github.com/coredns/coredns@v{pins.COREDNS}", "", "0"
    return f"helm.sh/helm/v4/cmd/helm@v{pins.HELM}", "", "0"
