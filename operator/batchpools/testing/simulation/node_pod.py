"""One pod on a machine: an agent, a runner in each container of tasks, all processes of their own, and what the kubelet sees.

The agent is the real one (`agent.node.Node`), with doors to the played runner, to a journal in memory, to the played link
and to a played web.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from batchpools.agent.journal import Journal
from batchpools.agent.node import Doors, Node
from batchpools.agent.places import Places
from batchpools.agent.runner_client import RunnerClient
from batchpools.api import names
from batchpools.core.execution_events import Restored
from batchpools.core.node_config import NODE_CONFIG_ENV, NodeConfig
from batchpools.testing.simulation.downloads import Downloads, PodPackages
from batchpools.testing.simulation.files import played_fetch
from batchpools.testing.simulation.link import Link, LinkSessions
from batchpools.testing.simulation.loop import Process, ProcessClock, Scheduler
from batchpools.testing.simulation.runner import Processes, SimulatedRunner, SimulatedRunnerClient

AGENT_STOP = 10.0  # seconds that a stopping agent waits for acknowledgements


class MemoryJournal(Journal):
    """The journal of one pod: it survives the agent, as the file does, and goes with the pod."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))

    def restore(self) -> Restored:
        """What a former life left."""
        finished = tuple((one.execution_id, one.task_name, one.boot_id, one.outcome) for one in self._finished.values())
        return Restored(self._epoch, finished, tuple(self._settled))


class TaskContainer:
    """A container that tasks run in. `on_change()` is called when it has died."""

    def __init__(self, name: str, make: Callable[[int], SimulatedRunner], on_change: Callable[[], None]) -> None:
        self.name = name
        self.runner: SimulatedRunner | None = None
        self.restarts = -1
        self._make = make
        self._on_change = on_change

    @property
    def lives(self) -> bool:
        """Whether it is there."""
        return self.runner is not None and not self.runner.process.dead

    @property
    def is_down(self) -> bool:
        """Whether it was there, and has died."""
        return self.restarts >= 0 and not self.lives

    def start(self) -> None:
        """It starts, or starts again: with another boot id."""
        self.restarts += 1
        self.runner = self._make(self.restarts)
        self.runner.container = self.name

    def kill(self) -> None:
        """SIGKILL of its first process: everything in it dies."""
        if self.runner is not None and self.lives:
            self.runner.crash()
            self._on_change()


class NodePod:
    """The processes of one pod. `on_change()` is called when something of it has died that the kubelet will notice."""

    def __init__(
        self,
        scheduler: Scheduler,
        manifest: dict[str, Any],
        link: Link,
        processes: Processes,
        on_change: Callable[[], None],
        downloads: Downloads,
    ) -> None:
        meta = manifest["metadata"]
        self.uid: str = meta["uid"]
        self.name: str = meta["name"]
        self.namespace: str = meta["namespace"]
        self.agent: Process | None = None
        self.agent_restarts = -1
        self.restarts = 0  # of all its containers
        self.stopping = False
        self.knows_restart_rule = True
        self.on_acknowledged: Callable[[str], None] = lambda _: None
        self._config = _config_of(manifest)
        self._scheduler = scheduler
        self._link = link
        self._processes = processes
        self._on_change = on_change
        self._clock = ProcessClock(scheduler)
        self._journal = MemoryJournal()
        self._packages = PodPackages(downloads)
        self._node: Node | None = None
        self.containers = [
            TaskContainer(name, partial(self._make_runner, name), on_change)
            for name in (names.TASK_CONTAINER, *self._config.containers)
        ]

    @property
    def clock(self) -> ProcessClock:
        """The machine's clock, as the pod's processes see it."""
        return self._clock

    @property
    def slots(self) -> int:
        """Of the node."""
        return self._config.slots

    def start_agent(self) -> None:
        """The agent's container starts, or starts again."""
        self.agent_restarts += 1
        self.agent = self._scheduler.process(f"{self.name}/agent-{self.agent_restarts}")
        doors = Doors(
            self._connect_runner, lambda _: self._journal, self._sessions, self._packages.install, played_fetch
        )
        process = self.agent
        with process.as_running():
            self._node = Node(self._config, self._clock, Places(), doors)
            process.create_task(self._node.run(), name="node")

    def _make_runner(self, container: str, number: int) -> SimulatedRunner:
        suffix = "" if container == names.TASK_CONTAINER else f"-{container}"
        process = self._scheduler.process(f"{self.name}/runner{suffix}-{number}")
        runner = SimulatedRunner(process, self._clock, self.name, f"{self.uid[-4:]}{suffix}-{number}", self._processes)
        runner.elevates = self._config.elevates
        runner.on_ack = self.on_acknowledged
        runner.on_left = partial(self._runner_left, runner)
        return runner

    def _runner_left(self, runner: SimulatedRunner, exit_code: int) -> None:
        """The kubelet restarts all containers for the reserved code; an older one does not know that rule."""
        if exit_code == names.RESTART_EXIT_CODE and not self.stopping:
            runner.process.call_soon(self.restart_all)

    def restart_all(self) -> None:
        """Every container of the pod ends, to begin anew; where the kubelet is older, the task container alone."""
        if not self.knows_restart_rule:
            self.containers[0].kill()
            return
        self.restarts += 1
        taken = [one for one, (_, node) in self._processes.live.items() if node == self.name]
        if taken:
            self._processes.violated(f"all containers of {self.name} begin anew under {taken}")
        self.kill_agent()
        self.kill_runners()

    def kill_agent(self) -> None:
        """SIGKILL."""
        if self.agent is not None and not self.agent.dead:
            self._link.crashed(self.agent)
            self.agent.crash()
            self._on_change()

    def kill_runners(self) -> None:
        """SIGKILL of the first process of each container: everything in them dies."""
        for container in self.containers:
            container.kill()

    def stop_agent(self) -> None:
        """SIGTERM: it waits until everything is told, not for ever."""
        if self.agent is None or self.agent.dead or self._node is None:
            return
        node = self._node

        async def finish() -> None:
            await node.finish(AGENT_STOP)
            self.kill_agent()

        self.agent.create_task(finish(), name="finish")

    @property
    def agent_lives(self) -> bool:
        """Whether the agent's process is there, running or not."""
        return self.agent is not None and not self.agent.dead

    @property
    def runner_lives(self) -> bool:
        """Whether a container that tasks run in is there."""
        return any(one.lives for one in self.containers)

    @property
    def runs(self) -> list[str]:
        """What its runners run, with what has no process yet since it awaits its files."""
        return [run for one in self.containers if one.runner is not None and one.lives for run in one.runner.runs]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing runs and every result was acknowledged."""
        return all(one.runner is None or one.runner.is_quiet for one in self.containers)

    # ---------------------------------------------------------------- doors

    async def _connect_runner(self, address: str) -> RunnerClient:
        if lacks := self._packages.lacks(self._config.packages):
            self._processes.violated(f"{self.name} would run something without {lacks}")
        for one in self.containers:
            if (
                address == names.runner_socket(one.name)
                and one.runner is not None
                and one.lives
                and self.agent is not None
            ):
                return SimulatedRunnerClient(self.agent, one.runner)
        raise ConnectionRefusedError(address)

    def _sessions(self, host: str, port: int, places: Places, *rest: Any) -> LinkSessions:
        assert self.agent is not None  # noqa: S101 (it makes them)
        return LinkSessions(self._link, self.agent, self.uid, host, port, places, *rest)


def _config_of(manifest: dict[str, Any]) -> NodeConfig:
    agent = next(one for one in manifest["spec"]["initContainers"] if one["name"] == names.AGENT_CONTAINER)
    text = next(one["value"] for one in agent["env"] if one["name"] == NODE_CONFIG_ENV)
    return msgspec.json.decode(text, type=NodeConfig)
