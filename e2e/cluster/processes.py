"""Finds a pod's processes on this machine: the local cluster's containers are processes here, in cgroups that name their pod."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from e2e.cluster.layout import Layout

_CGROUPS = Path("/sys/fs/cgroup")


class PodProcesses:
    """Processes below one local cluster's kubelet, by pod uid. Pids are the machine's."""

    def __init__(self, at: Layout) -> None:
        hierarchy = _CGROUPS / "memory" if (_CGROUPS / "memory").is_dir() else _CGROUPS
        self._top = hierarchy / at.cgroup.lstrip("/") / "kubepods"

    def all(self) -> Iterator[int]:
        """Processes of all pods."""
        return self._in("pod")

    def find(self, pod_uid: str, *words: str) -> int:
        """The process of a pod whose command line has all these words; LookupError when there is none, or more than one."""
        found = [pid for pid in self._in(f"pod{pod_uid}") if set(words) <= set(command_of(pid))]
        if len(found) != 1:
            raise LookupError(f"pod {pod_uid} has {len(found)} processes with {' '.join(words)}")
        return found[0]

    def _in(self, pod: str) -> Iterator[int]:
        """Processes of the containers of pods whose cgroup's name begins so; what goes while we look is passed over."""
        for folder, _, _ in os.walk(self._top):
            if Path(folder).parent.name.startswith(pod):
                try:
                    yield from [int(line) for line in Path(folder, "cgroup.procs").read_text().split()]
                except OSError:
                    continue


def command_of(pid: int) -> list[str]:
    """A process's command line, word by word; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def variable_of(pid: int, name: str) -> str:
    """A variable of a process's initial environment; empty when it has none, or is gone."""
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    wanted = f"{name}=".encode()
    return next((pair.removeprefix(wanted).decode(errors="replace") for pair in pairs if pair.startswith(wanted)), "")


def in_network_of(pid: int, *command: str) -> None:
    """Run a program of this machine in a process's network namespace; CalledProcessError."""
    subprocess.run(["nsenter", "-t", str(pid), "--net", *command], check=True, capture_output=True)
