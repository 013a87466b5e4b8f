"""Names, addresses and folders of local cluster number n: everything that two clusters must not share."""

from dataclasses import dataclass
from pathlib import Path

RUN_ROOT = Path("/var/tmp/batchpools-cluster")  # noqa: S108 (root's own folder; sockets need a short path)
CGROUP_HIERARCHIES = (
    "unified", "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd",
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Where cluster `number` (0 to 49) lives."""

    number: int = 0

    @property
    def net(self) -> str:
        """First two bytes of the addresses of node, pods and host."""
        return f"10.{100 + self.number}"

    @property
    def address(self) -> str:
        """The node's address, and the API server's."""
        return f"{self.net}.0.1"

    @property
    def host_address(self) -> str:
        """The machine's address in the pod network."""
        return f"{self.net}.255.254"

    @property
    def services(self) -> str:
        """The service range."""
        return f"10.{200 + self.number}.0.0/16"

    @property
    def first_service(self) -> str:
        """The ClusterIP of the API server."""
        return f"10.{200 + self.number}.0.1"

    @property
    def bridge(self) -> str:
        """The bridge of the pods, in the node's own network namespace."""
        return "bpbr0"

    @property
    def veth(self) -> str:
        """The machine's end of the wire to the node."""
        return f"bph{self.number}"

    @property
    def cgroup(self) -> str:
        """The node's cgroup in every hierarchy."""
        return f"/batchpools{self.number}"

    @property
    def run(self) -> Path:
        """State of the running cluster, gone with `down`."""
        return RUN_ROOT / f"run{self.number}"

    @property
    def images(self) -> Path:
        """containerd's root: images, kept between runs."""
        return RUN_ROOT / f"images{self.number}"

    @property
    def socket(self) -> Path:
        """containerd's socket."""
        return self.run / "containerd" / "containerd.sock"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.run / "kube" / "admin.conf"
