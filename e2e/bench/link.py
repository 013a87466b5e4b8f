"""Prints how many runs of /bin/true a second the link carries: one hub, two nodes of two slots, no Kubernetes.

`python -m e2e.bench.link [--tasks 5000]`. Agents and runners are processes of their own, as in pods; everything is on a
temporary file system if /dev/shm is one. It prints, and judges nothing.
"""

import argparse
import asyncio
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from batchpools.api import names
from batchpools.core.node_config import NodeConfig
from batchpools.hub.authentication import BoundPod
from batchpools.hub.certificates import issue, new_authority, server_context
from batchpools.hub.port import NodeIdentity
from batchpools.hub.server import Hub
from batchpools.link import messages as link
from batchpools.link.words import NodePhase
from batchpools.telemetry.clock import SystemClock

ROOT = Path(__file__).parents[2]
NODES, SLOTS = 2, 2
AGENT = """
import sys
from pathlib import Path
import msgspec, uvloop
from batchpools.agent.places import Places
from batchpools.agent.service import run_agent
from batchpools.core.node_config import NodeConfig
folder = Path(sys.argv[2])
places = Places(folder / "token", folder.parent / "ca.crt", folder / "journal", str(folder / "socket"), "@none")
uvloop.run(run_agent(msgspec.json.decode(sys.argv[1], type=NodeConfig), places))
"""


class Feeder:
    """Plays the leader: keeps every slot busy, acknowledges every end at once."""

    def __init__(self, tasks: int) -> None:
        self._left = self._total = tasks
        self.hub: Hub | None = None
        self.ready: set[str] = set()
        self.inventories: set[str] = set()
        self.vouches: set[str] = set()
        self.ended = 0
        self.done = asyncio.Event()

    def node_reported(self, node: NodeIdentity, report: link.NodeReport) -> None:
        """A node is there."""
        if report.phase == NodePhase.READY:
            self.ready.add(node.pod_uid)

    def inventory(self, node: NodeIdentity, inventory: link.Inventory) -> None:
        """It may be sent runs."""
        if inventory.boot_id:
            self.inventories.add(node.pod_uid)

    def finished(self, node: NodeIdentity, message: link.Finished) -> None:
        """A slot is free."""
        assert message.exit_code == 0, message
        assert self.hub is not None
        self.hub.acknowledge(node.pod_uid, [message.execution_id])
        self.ended += 1
        if self.ended == self._total:
            self.done.set()
        self.feed(node.pod_uid)

    def started(self, node: NodeIdentity, message: link.Started) -> None:
        """No matter."""

    def unknown(self, node: NodeIdentity, execution_id: str) -> None:
        """Never."""

    def rejected(self, node: NodeIdentity, message: link.Rejected) -> None:
        """Never."""
        raise AssertionError(f"{node.node}: {message}")

    def pinged(self, node: NodeIdentity) -> None:
        """The Lease of a benchmark always holds."""
        if self.hub is not None and node.pod_uid not in self.vouches:
            self.hub.renewed(SystemClock().monotonic())

    def vouched(self, node: NodeIdentity) -> None:
        """It may be sent runs."""
        self.vouches.add(node.pod_uid)

    def measured(self, node: NodeIdentity, samples: list[link.Sample]) -> None:
        """No matter."""

    def node_left(self, node: NodeIdentity) -> None:
        """No matter."""

    def feed(self, pod_uid: str) -> None:
        """Send one run, if there is one left."""
        if self._left == 0 or self.hub is None:
            return
        self._left -= 1
        name = f"task-{self._left}"
        run = link.Run(
            execution_id=f"{name}:-:1:1",
            epoch=1,
            task_name=name,
            job="bench",
            task=name,
            directory=f"workitems/bench/{name}",
            argv=["/bin/true"],
            env=[],
            slots=1,
            wall_clock=0.0,
            fresh=False,
        )
        assert self.hub.dispatch(pod_uid, run)


async def _bench(tasks: int, folder: Path) -> None:
    clock = SystemClock()
    authority = new_authority(clock.now())
    feeder = Feeder(tasks)
    hub = feeder.hub = Hub(clock, "bench", _authenticate, _identify, feeder)
    port = await hub.start(server_context(issue(authority, [names.HUB_SERVER_NAME], clock.now())), 0, "127.0.0.1")
    hub.lead(1, lambda: float("inf"))
    (folder / "ca.crt").write_text(authority.certificate)
    processes = [process for number in range(NODES) for process in await _node(folder, number, port)]
    try:
        while len(feeder.ready & feeder.inventories & feeder.vouches) < NODES:  # noqa: ASYNC110 (three reports of each node)
            await asyncio.sleep(0.01)
        began, used = time.monotonic(), _cpu()
        for pod_uid in feeder.ready:
            for _ in range(SLOTS):
                feeder.feed(pod_uid)
        await feeder.done.wait()
        took, cpu = time.monotonic() - began, _cpu() - used
        print(f"{tasks} runs of /bin/true on {NODES} nodes of {SLOTS} slots: {took:.2f} s, {tasks / took:.0f} a second")
        print(f"the hub used {cpu / tasks * 1e6:.0f} us of CPU for each")
    finally:
        for process in processes:
            process.kill()
            await process.wait()
        await hub.stop()


async def _node(folder: Path, number: int, port: int) -> list[Any]:
    """A runner and an agent."""
    place = folder / f"node-{number}"
    (place / "root").mkdir(parents=True)
    (place / "token").write_text(f"node-{number}")
    config = NodeConfig("bench", "bench", f"node-{number}", SLOTS, "127.0.0.1", port, 1.0)
    serve = [str(folder / "runner"), "serve", "--socket", str(place / "socket"), "--root", str(place / "root")]
    agent = [sys.executable, "-c", AGENT, msgspec.json.encode(config).decode(), str(place)]
    return [await asyncio.create_subprocess_exec(*command) for command in ([*_container(), *serve], agent)]


def _container() -> list[str]:
    """What gives a runner processes of its own, as a container does: it looks through all that it sees after each run."""
    if os.geteuid() == 0 and shutil.which("unshare"):
        return ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    print("without root the runners see all processes of this machine: these figures are too low")
    return []


async def _authenticate(token: str) -> BoundPod:
    return BoundPod("bench", token, token)


def _identify(pod: BoundPod) -> NodeIdentity:
    return NodeIdentity(pod.namespace, "bench", pod.name, pod.name, pod.uid)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Build the runner, run the bench, leave nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=5000)
    options = parser.parse_args()
    memory = Path("/dev/shm")  # noqa: S108 (a file system in memory, if there is one)
    folder = Path(tempfile.mkdtemp(prefix="bp-bench-", dir=memory if memory.is_dir() else None))
    try:
        subprocess.run(["go", "build", "-o", str(folder / "runner"), "."], cwd=ROOT / "operator/runner", check=True)
        uvloop.run(_bench(options.tasks, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
