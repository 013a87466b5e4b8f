"""`make bench-nodes`: a pool of a thousand nodes and back; prints what they cost the operator while nothing happens.

Machines and containers are played (`fake_machines.py`), agents and their sessions are real.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from e2e.bench.fake_machines import LABEL, PODS_A_MACHINE
from e2e.cluster import choose
from e2e.cluster.images import ROOT
from e2e.cluster.local import LocalCluster
from e2e.cluster.processes import PodProcesses
from e2e.operator_install import Installation
from e2e.stories import Namespace, pool, until

NODES = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
SPACE = "bench-nodes"
STEADY = 60.0  # seconds
_TICKS = 100  # a second, of /proc/*/stat
_PATIENCE = 1800.0


def main() -> int:
    """Run it and print."""
    operator = Installation(choose.choose(), fast=False)
    operator.install()
    space = Namespace(SPACE, operator.kubeconfig, operator.kubectl_program)
    space.kubectl("create", "namespace", SPACE)
    try:
        with machines(operator):
            measure(operator, space)
    finally:
        space.kubectl("delete", "node", "-l", LABEL)
        space.kubectl("delete", "namespace", SPACE, "--wait=false")
    return 0


@contextlib.contextmanager
def machines(operator: Installation) -> Iterator[None]:
    """Played machines with room for the nodes."""
    assert isinstance(operator.cluster, LocalCluster), "agents run in the network of a node that is on this machine"
    until(lambda: len(operator.pods()) == 2, "replicas of a former roll-out have ended")
    found = operator.kubectl(
        "get", "pods", "-l", "app.kubernetes.io/component=operator", "-o", "jsonpath={.items[*].status.podIP}"
    )
    command = [
        *("nsenter", f"--net=/proc/{operator.cluster.init}/ns/net"),
        *(
            sys.executable,
            "-m",
            "e2e.bench.fake_machines",
            f"--kubeconfig={operator.kubeconfig}",
            f"--namespace={SPACE}",
        ),
        *(f"--hub={address}" for address in found.split()),
        f"--machines={NODES // PODS_A_MACHINE + 1}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the played machines did not come up"
        try:
            yield
        finally:
            process.terminate()


def measure(operator: Installation, space: Namespace) -> None:
    """Up, steady, down."""
    replicas = Replicas(operator)
    template = {"metadata": {}, "spec": {
        "containers": [{"name": "task", "image": "none", "resources": {"requests": {"cpu": "1m"}}}],
        "nodeSelector": {LABEL: "true"}, "tolerations": [{"key": LABEL, "operator": "Exists"}],
    }}  # fmt: skip
    began, before = time.monotonic(), replicas.seconds()
    space.apply(pool("many", nodes=NODES, template=template))
    space.wait_for("bpool", "many", lambda status: status.get("nodeCounts", {}).get("idle") == NODES, _PATIENCE)
    up = time.monotonic() - began
    print(f"0 to {NODES} nodes: {up:.0f} s, {replicas.told(before, replicas.seconds())}", flush=True)
    time.sleep(30)  # what was put off is written
    before, writes, began = replicas.seconds(), operator.writes(), time.monotonic()
    time.sleep(STEADY)
    passed = time.monotonic() - began
    shares = [100 * (now - then) / passed for then, now in zip(before, replicas.seconds(), strict=True)]
    told = ", ".join(f"{name} {share:.1f} %" for name, share in zip(("leader", "standby"), shares, strict=True))
    print(
        f"{NODES} nodes, nothing to do, {passed:.0f} s: {told} of a core, {operator.writes() - writes:.0f} API writes"
    )
    print(f"  memory: {', '.join(f'{size} MiB' for size in replicas.mebibytes())}", flush=True)
    began, before = time.monotonic(), replicas.seconds()
    space.kubectl("scale", "bpool", "many", "--replicas=0")
    until(lambda: not space.nodes("many"), "all nodes have gone", _PATIENCE)
    print(
        f"{NODES} to 0 nodes: {time.monotonic() - began:.0f} s, {replicas.told(before, replicas.seconds())}", flush=True
    )
    space.kubectl("delete", "bpool", "many", "--wait=true", "--timeout=120s")
    left = {
        kind: [one["metadata"]["name"] for one in space.every(kind)]
        for kind in ("pods", "bnode", "secrets", "pdb", "netpol")
    }
    print(
        f"left over: {sum(map(len, left.values()))} {({kind: some[:3] for kind, some in left.items() if some}) or ''}"
    )


class Replicas:
    """The operator's processes, the leader first."""

    def __init__(self, operator: Installation) -> None:
        assert isinstance(operator.cluster, LocalCluster)
        until(lambda: len(operator.pods()) == 2, "two replicas")
        leader = operator.leader()
        found = PodProcesses(operator.cluster.at)
        ordered = sorted(operator.pods(), key=lambda pod: pod != leader)
        uids = [operator.kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}") for pod in ordered]
        self._pids = [found.find(uid, "-m", "batchpools", "operator") for uid in uids]

    def seconds(self) -> list[float]:
        """CPU that each has used."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids]
        return [(int(fields[11]) + int(fields[12])) / _TICKS for fields in stats]

    def mebibytes(self) -> list[int]:
        """Memory that each has resident."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self._pids]
        return [int(text.partition("VmRSS:")[2].split()[0]) // 1024 for text in texts]

    def told(self, before: list[float], after: list[float]) -> str:
        """CPU between two looks, for people."""
        leader, standby = (now - then for then, now in zip(before, after, strict=True))
        return f"CPU: leader {leader:.1f} s, standby {standby:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
