"""Both ends of the link on this machine: real hub, TLS, agent and runner; only the API server's verdict on tokens is played."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from tests.agent.runners import RealRunner

from batchpools.agent.node import Node
from batchpools.agent.places import Places
from batchpools.api import names
from batchpools.core.node_config import NodeConfig, PackageConfig, StartTaskConfig
from batchpools.hub.authentication import BoundPod
from batchpools.hub.certificates import Authority, issue, new_authority, server_context
from batchpools.hub.living_context import LivingContext
from batchpools.hub.port import NodeIdentity
from batchpools.hub.server import Hub
from batchpools.link import messages as link
from batchpools.link.words import NodePhase
from batchpools.telemetry.clock import SystemClock

T = TypeVar("T")

GOOD_TOKEN = "good"  # noqa: S105 (a word, not a password)
POD = "uid-1"
UNREACHABLE_TIMEOUT = 300.0  # seconds; tests of the dead-man timer have less
AGENT = """
import json, sys
from pathlib import Path
import msgspec, uvloop
from batchpools.agent.places import Places
from batchpools.agent.service import run_agent
from batchpools.core.node_config import NodeConfig
told = json.loads(sys.argv[2])
places = Places(**{name: Path(value) if name.endswith(("_file", "_dir")) else value for name, value in told.items()})
uvloop.run(run_agent(msgspec.json.decode(sys.argv[1], type=NodeConfig), places))
"""


@dataclass
class Leader:
    """What a leader's controllers hear, in order. It acknowledges nothing by itself."""

    heard: list[Any] = field(default_factory=list)
    left: int = 0
    pings: int = 0
    vouches: int = 0

    def node_reported(self, node: NodeIdentity, report: link.NodeReport) -> None:
        """How the node stands."""
        self.heard.append(report)

    def inventory(self, node: NodeIdentity, inventory: link.Inventory) -> None:
        """What the node knows."""
        self.heard.append(inventory)

    def started(self, node: NodeIdentity, message: link.Started) -> None:
        """A run has begun."""
        self.heard.append(message)

    def finished(self, node: NodeIdentity, message: link.Finished) -> None:
        """A run has ended."""
        self.heard.append(message)

    def unknown(self, node: NodeIdentity, execution_id: str) -> None:
        """A run is not there."""
        self.heard.append(link.Unknown(execution_id))

    def rejected(self, node: NodeIdentity, message: link.Rejected) -> None:
        """A run was not started."""
        self.heard.append(message)

    def pinged(self, node: NodeIdentity) -> None:
        """It is there."""
        self.pings += 1

    def measured(self, node: NodeIdentity, samples: list[link.Sample]) -> None:
        """What it used."""
        self.heard.append(link.Samples(samples))

    def vouched(self, node: NodeIdentity) -> None:
        """Runs may be sent."""
        self.vouches += 1

    def node_left(self, node: NodeIdentity) -> None:
        """The session is gone."""
        self.left += 1

    def of(self, kind: type[T]) -> list[T]:
        """All of one kind."""
        return [one for one in self.heard if isinstance(one, kind)]

    def ends(self, one: str) -> list[link.Finished]:
        """What was said of the end of a run."""
        return [end for end in self.of(link.Finished) if end.execution_id == one]

    def phases(self) -> list[str]:
        """Phases of the node, each once in a row."""
        told = [report.phase for report in self.of(link.NodeReport)]
        return [phase for at, phase in enumerate(told) if at == 0 or told[at - 1] != phase]


class Replica:
    """One replica's hub with its listener."""

    def __init__(self, authority: Authority) -> None:
        self.tls = LivingContext()
        self.tls.show(server_context(issue(authority, [names.HUB_SERVER_NAME], SystemClock().now())))
        self.leader = Leader()
        self.renews = True
        self.hub = Hub(SystemClock(), "replica", self._authenticate, self._identify, self.leader)
        self.port = 0

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen on this machine alone, and have the Lease confirmed again and again."""
        self._renewing = asyncio.create_task(self._renew(), name="renew")
        self.port = await self.hub.start(self.tls.context, port, host)

    async def stop(self) -> None:
        """The replica ends."""
        self._renewing.cancel()
        await self.hub.stop()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            if self.renews:
                self.hub.renewed(SystemClock().monotonic())

    def lead(self, epoch: int) -> None:
        """Lead for as long as the test runs."""
        self.hub.lead(epoch, lambda: float("inf"))

    async def _authenticate(self, token: str) -> BoundPod | None:
        return BoundPod("ns", "demo-0-1", POD) if token == GOOD_TOKEN else None

    def _identify(self, pod: BoundPod) -> NodeIdentity | None:
        return NodeIdentity(pod.namespace, "demo", "demo-0", pod.name, pod.uid, UNREACHABLE_TIMEOUT)


class House:
    """A node of two slots and a replica. Everything that it starts, `clean` ends."""

    def __init__(self, binary: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bp-"))
        self.authority = new_authority(SystemClock().now())
        self.replica = Replica(self.authority)
        self.runner = RealRunner(binary)
        self.start_runner = RealRunner(binary)
        self.start_task: StartTaskConfig | None = None
        self.containers: list[str] = []  # beside the task container
        self.packages: list[PackageConfig] = []
        self.nodes: list[Node] = []
        self.places = Places(
            self.folder / "token",
            self.folder / "ca.crt",
            self.folder / "journal",
            self.runner.socket,
            self.start_runner.socket,
            packages_dir=self.folder / "applications",
            package_sources_dir=self.folder / "application-sources",
        )
        self.places.token_file.write_text(GOOD_TOKEN)
        self.places.ca_file.write_text(self.authority.certificate)
        self._agents: list[asyncio.Task[None]] = []
        self._processes: list[asyncio.subprocess.Process] = []

    @property
    def leader(self) -> Leader:
        """Who hears what the node says."""
        return self.replica.leader

    def config(self) -> NodeConfig:
        """What the node's pod says."""
        return NodeConfig(
            "ns", "demo", "demo-0", 2, "127.0.0.1", self.replica.port, 1.0,
            start_task=self.start_task, containers=self.containers, packages=self.packages,
        )  # fmt: skip

    async def open(self, epoch: int = 1) -> None:
        """Hub, runner and agent, until runs can be sent."""
        await self.replica.start()
        self.replica.lead(epoch)
        await self.runner.start()
        self.start_agent()
        await until(self.is_ready)

    def is_ready(self) -> bool:
        """Whether the node takes runs of the present epoch."""
        info = self.replica.hub.session(POD)
        ready = info and info.report and info.report.phase == NodePhase.READY and info.vouched_epoch
        return bool(ready and self.is_told())

    def is_told(self) -> bool:
        """Whether the leader has an inventory of an agent that has met its runner."""
        return any(told.boot_id for told in self.leader.of(link.Inventory))

    def start_agent(self) -> asyncio.Task[None]:
        """An agent in this process."""
        self.nodes.append(Node(self.config(), SystemClock(), self.places))
        agent = asyncio.create_task(self.nodes[-1].run(), name="agent")
        self._agents.append(agent)
        return agent

    async def start_agent_process(self) -> asyncio.subprocess.Process:
        """An agent of its own process, as it is in a pod."""
        config = msgspec.json.encode(self.config()).decode()
        places = json.dumps({name: str(getattr(self.places, name)) for name in self.places.__slots__})
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", AGENT, config, places)
        self._processes.append(process)
        return process

    async def stop_agent(self) -> None:
        """The agent is gone without a word."""
        agent = self._agents.pop()
        agent.cancel()
        await asyncio.gather(agent, return_exceptions=True)

    async def restart_hub(self, epoch: int) -> None:
        """Another replica in the place of the first, with a new epoch."""
        port = self.replica.port
        await self.replica.stop()
        self.replica = Replica(self.authority)
        await self.replica.start(port)
        self.replica.lead(epoch)

    def run(self, one: str, script: str, epoch: int = 1, **fields: Any) -> bool:
        """Send a run of a shell script."""
        plain: dict[str, Any] = {
            "task_name": f"task-{one}", "job": "job", "task": one, "directory": f"workitems/job/{one}",
            "argv": ["sh", "-c", script], "env": [], "slots": 1, "wall_clock": 0.0, "fresh": True,
        }  # fmt: skip
        return self.replica.hub.dispatch(POD, link.Run(execution_id=one, epoch=epoch, **{**plain, **fields}))

    async def end_of(self, one: str) -> link.Finished:
        """Wait for a run's end."""
        await until(lambda: bool(self.leader.ends(one)))
        return self.leader.ends(one)[0]

    async def start_of(self, one: str) -> None:
        """Wait for a run's start."""
        await until(lambda: any(told.execution_id == one for told in self.leader.of(link.Started)))

    async def output_of(self, one: str) -> str:
        """stdout.txt of a run, read through the hub."""
        chunk = await self.replica.hub.read_file(POD, f"workitems/job/{one}/stdout.txt", 0, 4096)
        assert chunk.error == ""
        return chunk.content.decode()

    def mark(self, name: str) -> None:
        """A file in the node's shared directory, which scripts wait for."""
        (self.runner.root / "shared" / name).touch()

    async def clean(self) -> None:
        """End everything."""
        for agent in self._agents:
            agent.cancel()
        await asyncio.gather(*self._agents, return_exceptions=True)
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await self.replica.stop()
        for runner in (self.runner, self.start_runner):
            await runner.clean()
        shutil.rmtree(self.folder)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition; the test's own time limit ends a vain wait."""
    while not holds():  # noqa: ASYNC110 (any condition will do)
        await asyncio.sleep(0.01)
