"""The local cluster: one node made of Linux namespaces, up and down. Everything ends when the namespaces' PID 1 is killed."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from e2e.cluster import archive, build, components, pki, prerequisites
from e2e.cluster.layout import CGROUP_HIERARCHIES, Layout

_CGROUPS = Path("/sys/fs/cgroup")
_NODE_SCRIPT = Path(__file__).parent / "node.sh"
_INSIDE = ("--mount", "--pid", "--net", "--uts", "--ipc", "--")
_KUBELET_DISK = 20 << 30  # bytes, sparse


class LocalCluster:
    """Cluster `number` on this machine. State lies below its run folder, so any process may take it down."""

    kind: Literal["local"] = "local"

    def __init__(self, number: int = 0) -> None:
        self.at = Layout(number)
        self._start = time.monotonic()
        self._node: subprocess.Popen[bytes] | None = None  # of this process, if it brought the cluster up

    @property
    def programs(self) -> Path:
        """The folder with kubectl, helm and the rest."""
        return build.programs()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.at.kubeconfig

    @property
    def running(self) -> bool:
        """Whether the namespaces' PID 1 lives."""
        return self._alive("init") is not None

    @property
    def node_root(self) -> Path:
        """The node's file system as seen from this machine, with the mounts that only the node has."""
        return Path(f"/proc/{self.init}/root")

    @property
    def init(self) -> int:
        """PID 1 of the node's namespaces, as this machine numbers it."""
        return int((self.at.run / "pid/init").read_text().split()[0])

    # ---------------------------------------------------------------- up and down

    def up(self) -> None:
        """Bring the cluster up, about 5 seconds once everything is built; a cluster that is up stays as it is."""
        if self.running:
            self._say("the local cluster is up already")
            return
        prerequisites.check_machine()
        prerequisites.install_packages()
        programs = self.programs
        self.down()
        components.write_configuration(self.at)
        pki.write_pki(self.at.run / "kube", address=self.at.address, first_service=self.at.first_service)
        self._make_cgroups()
        self._make_node(programs)
        self._wire_to_machine()
        for name in ("etcd", "apiserver", "containerd"):
            self.start(name)
        _wait(lambda: self.at.socket.exists() and self._ctr("images", "ls", "-q").returncode == 0, "containerd")
        self.load_image(archive.pause_image(programs / "pause", self.at.run / "pause.tar"))
        _wait(lambda: self._answers("get", "--raw", "/readyz"), "the API server", 90)
        self._say("API server is ready")
        for name in ("kcm", "scheduler", "kubelet", "kube-proxy"):
            self.start(name)
        self.kubectl("apply", "-f", "-", stdin=components.COREDNS_RBAC)
        self.start("coredns")
        _wait(lambda: self._answers("get", "node", "node1"), "the node", 60)
        self.kubectl("wait", "--for=condition=Ready", "node/node1", "--timeout=60s")
        _wait(
            lambda: self._answers("-n", "default", "get", "serviceaccount", "default"),
            "the default service account",
            60,
        )
        probe = ["curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:8181/ready"]
        _wait(lambda: self._inside("-n", *probe).returncode == 0, "CoreDNS", 60)
        self._say("the local cluster is up")

    def down(self) -> None:
        """Take the cluster down and leave nothing of it but the images; twice is as good as once."""
        self.kill("init")
        if self._node is not None:
            self._node.wait()
        subprocess.run(["ip", "link", "del", self.at.veth], stderr=subprocess.DEVNULL, check=False)
        for hierarchy in CGROUP_HIERARCHIES:
            self._remove_cgroup(_CGROUPS / hierarchy / self.at.cgroup.lstrip("/"))
        if self.at.run.exists():
            shutil.rmtree(self.at.run)

    def leftovers(self) -> list[str]:
        """What is still there of this cluster: processes, mounts, links, routes, cgroups."""
        found = []
        if self.running:
            found.append("the node's PID 1")
        run = str(self.at.run)
        found += [f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if run in line]
        for command in (["ip", "-o", "link"], ["ip", "route"], ["losetup", "-a"]):
            output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            found += [line for line in output.splitlines() if self.at.veth in line or run in line]
        found += [str(path) for path in _CGROUPS.glob(f"*{self.at.cgroup}")]
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if run.encode() in (directory / "cmdline").read_bytes():
                    found.append(f"process {directory.name}")
        return found

    # ---------------------------------------------------------------- components

    def start(self, name: str) -> None:
        """Run one component in the node's namespaces, as a child of its PID 1."""
        log = self.at.run / "log" / f"{name}.log"
        script = 'log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null & echo $!'
        command = components.command_lines(self.at, self.programs)[name]
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        outer = ["nsenter", "-t", str(self.init), *_INSIDE, "sh", "-c", script, "sh", str(log), *command]
        done = subprocess.run(outer, check=True, capture_output=True, text=True, cwd="/", env=environment)
        inner = done.stdout.strip()
        for pid in _children(self.init):
            if _namespace_pid(pid) == inner:
                self._record(name, pid)
                return
        raise RuntimeError(f"{name} ended at once: see {log}")

    def kill(self, name: str) -> None:
        """SIGKILL one component, and wait until it is gone."""
        self._signal(name, signal.SIGKILL)

    def pause(self, name: str) -> None:
        """SIGSTOP one component."""
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT one component."""
        self._signal(name, signal.SIGCONT)

    @contextlib.contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Some components are dead in here, and started again after it."""
        for name in names:
            self.kill(name)
        try:
            yield
        finally:
            for name in reversed(names):
                self.start(name)

    # ---------------------------------------------------------------- programs and images

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints, as administrator."""
        command = [str(self.programs / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def has_image(self, name: str, digest: str) -> bool:
        """Whether the image of that name was last loaded from an archive of that digest."""
        mark = self._loaded(name)
        return mark.exists() and mark.read_text() == digest and name in self._ctr("images", "ls", "-q").stdout.split()

    def load_image(self, image: archive.Image) -> None:
        """Import an archive, unless it is there already."""
        if self.has_image(image.name, image.digest):
            return
        done = self._ctr("images", "import", str(image.archive))
        if done.returncode != 0:
            raise RuntimeError(f"import of {image.name}: {done.stderr}")
        mark = self._loaded(image.name)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(image.digest)

    def _loaded(self, name: str) -> Path:
        """Holds the digest of what that name stands for now."""
        return self.at.images / "loaded" / name.replace("/", "_")

    def _ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.programs / "ctr"), "-a", str(self.at.socket), "-n", "k8s.io", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def _answers(self, *arguments: str) -> bool:
        command = [str(self.programs / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    # ---------------------------------------------------------------- the node

    def _make_cgroups(self) -> None:
        """Before the kubelet starts; a version 1 cpuset is empty, and runs nothing, until it is filled."""
        if (_CGROUPS / "cgroup.controllers").exists():  # pure version 2
            (_CGROUPS / self.at.cgroup.lstrip("/")).mkdir(exist_ok=True)
            return
        for hierarchy in CGROUP_HIERARCHIES[1:]:
            (_CGROUPS / hierarchy / self.at.cgroup.lstrip("/")).mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            ours = _CGROUPS / "cpuset" / self.at.cgroup.lstrip("/") / file
            ours.write_text((_CGROUPS / "cpuset" / file).read_text())

    def _remove_cgroup(self, top: Path) -> None:
        for directory, _, _ in os.walk(top, topdown=False):
            _wait(lambda path=directory: _removed(path), f"cgroup {directory} to be empty")  # type: ignore[misc]

    def _make_node(self, programs: Path) -> None:
        run = self.at.run
        arguments = [str(run), self.at.bridge, f"{self.at.address}/16", str(programs / "pause"), self._kubelet_disk()]
        unshare = [
            "unshare",
            "--mount",
            "--pid",
            "--net",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child",
            str(_NODE_SCRIPT),
        ]
        with (run / "log/init.log").open("ab") as log:
            process = subprocess.Popen(
                [*unshare, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._node = process
        _wait(lambda: bool(_children(process.pid)), "unshare")
        self._record("init", _children(process.pid)[0])
        _wait((run / "pid/net-ready").exists, f"the node's network (see {run}/log/init.log)")

    def _kubelet_disk(self) -> str:
        """A fresh ext4 with a journal for the pods' files: without one, creating files after many deletions is 40 times slower."""
        if not Path("/dev/loop-control").exists():
            self._say("no loop devices here: pods' files go to the plain file system")
            return ""
        image = self.at.run / "kubelet.img"
        with image.open("wb") as file:
            file.truncate(_KUBELET_DISK)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", str(image)], check=True)
        return str(image)

    def _wire_to_machine(self) -> None:
        """One veth: this machine reaches pods and services directly, and the API server reaches services."""
        at, init = self.at, str(self.init)
        inside = ["nsenter", "-t", init, "-n"]
        for command in (
            ["ip", "link", "add", at.veth, "type", "veth", "peer", "name", "host0", "netns", init],
            ["ip", "addr", "add", f"{at.host_address}/16", "dev", at.veth],
            ["ip", "link", "set", at.veth, "up"],
            [*inside, "ip", "link", "set", "host0", "master", at.bridge, "up"],
            [*inside, "ip", "route", "add", at.services, "dev", at.bridge],
            ["ip", "route", "replace", at.services, "via", at.address, "dev", at.veth],
        ):
            subprocess.run(command, check=True)

    def _inside(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["nsenter", "-t", str(self.init), *arguments], capture_output=True, check=False)

    # ---------------------------------------------------------------- processes

    def _record(self, name: str, pid: int) -> None:
        (self.at.run / "pid" / name).write_text(f"{pid} {_start_time(pid)}")

    def _alive(self, name: str) -> int | None:
        """The pid on record, if it is still the same process."""
        with contextlib.suppress(FileNotFoundError):
            pid, started = (self.at.run / "pid" / name).read_text().split()
            if _start_time(int(pid)) == started:
                return int(pid)
        return None

    def _signal(self, name: str, number: signal.Signals) -> None:
        pid = self._alive(name)
        if pid is None:
            return
        started = _start_time(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if number == signal.SIGKILL:
            _wait(lambda: _start_time(pid) != started, f"the end of {name}")

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._start:6.1f} s  {what}", flush=True)


def _wait(question: Callable[[], bool], what: str, patience: float = 30) -> None:
    end = time.monotonic() + patience
    while not question():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience:.0f} s for {what}")
        time.sleep(0.05)


def _removed(path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        try:
            os.rmdir(path)
        except OSError:
            return False
    return True


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _namespace_pid(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[-1]
    return ""


def _start_time(pid: int) -> str:
    """Ticks since boot at which the process began: with the pid it names one process for ever. Empty when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    over = fields[0] == "Z" and int(fields[17]) <= 1  # its other threads may still hold its sockets
    return "" if over else fields[19]
