"""One node: joins the sessions, the runner and the pure machine (`core.execution`). It carries out instructions, no more."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from batchpools.agent.environment import resolve, task_variables
from batchpools.agent.runner_client import Note, RunnerClient, RunnerError
from batchpools.agent.sessions import Session, Sessions
from batchpools.agent.start_task import StartTaskDriver
from batchpools.api import names
from batchpools.core import execution as machine
from batchpools.core.node_config import NodeConfig
from batchpools.link import messages as link
from batchpools.link.words import NodePhase
from batchpools.telemetry.clock import Clock

_log = logging.getLogger(__name__)

MAX_OUTPUT_BYTES = 1 << 30
_KILL_GRACE = 5.0
_RUNNER_PAUSE = 0.1


class Node:
    """The agent's work. `run` goes on until cancelled; `finish` waits until everything is told."""

    def __init__(self, config: NodeConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._machine = machine.Executions()
        self._runner: RunnerClient | None = None
        self._container_env: list[str] = []
        self._report = link.NodeReport(NodePhase.STARTING, "", config.slots, None, "")
        self._jobs: set[asyncio.Task[None]] = set()
        self.sessions = Sessions(config.hub_host, config.hub_port, lambda: self._machine.max_epoch, self._on_message)
        self.start_task_socket = names.START_TASK_SOCKET
        self.runner_socket = names.RUNNER_SOCKET

    async def run(self) -> None:
        """Keep sessions and runner connected."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.sessions.run())
            group.create_task(self._follow_runner())

    async def finish(self, patience: float) -> None:
        """The pod stops: start nothing, wait until nothing runs and every result is acknowledged, at most `patience` seconds."""
        self._handle(machine.Stopping())
        self._set_phase(NodePhase.STOPPING)
        end = self._clock.monotonic() + patience
        while (self._machine.live_count or self._machine.unacknowledged) and self._clock.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    # ---------------------------------------------------------------- the runner

    async def _follow_runner(self) -> None:
        """The task container's runner if it is there, else the start task's; whichever ends, look again."""
        while True:
            if not await self._serve_with(self.runner_socket, self._serve_tasks) and self._config.start_task:
                await self._serve_with(self.start_task_socket, self._serve_start_task)
            await asyncio.sleep(_RUNNER_PAUSE)

    async def _serve_with(self, address: str, serve: Any) -> bool:
        """Connect and serve until the connection ends; False when nobody listens."""
        try:
            runner = await RunnerClient.connect(address)
        except (OSError, asyncio.IncompleteReadError):
            return False
        except RunnerError as error:
            _log.error("the runner refuses: %s", error)
            return False
        self._runner = runner
        self._container_env = runner.hello["env"]
        try:
            await serve(runner)
        finally:
            self._runner = None
            await runner.close()
        return True

    async def _serve_tasks(self, runner: RunnerClient) -> None:
        reading = runner.listen(self._on_note)
        hello = runner.hello
        self._handle(
            machine.RunnerUp(
                hello["bootId"],
                tuple((one["id"], one["label"], one["startedAt"]) for one in hello["running"]),
                tuple((one["id"], one["label"], _outcome(one)) for one in hello["finished"]),
                tuple(hello["acked"]),
            )
        )
        self._set_phase(NodePhase.STOPPING if self._machine.stopping else NodePhase.READY, boot_id=hello["bootId"])
        await reading
        self._handle(machine.RunnerDown())
        self._set_phase(NodePhase.STOPPING if self._machine.stopping else NodePhase.STARTING)

    async def _serve_start_task(self, runner: RunnerClient) -> None:
        assert self._config.start_task is not None  # noqa: S101 (asked before)
        driver = StartTaskDriver(self._config, self._config.start_task, runner, self._start_task_changed)
        reading = runner.listen(driver.note)
        driving = asyncio.create_task(driver.drive(), name="start-task")
        try:
            await reading
        finally:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)

    def _start_task_changed(self, told: link.StartTaskReport, failed: bool) -> None:
        phase = NodePhase.START_TASK_FAILED if failed else NodePhase.START_TASK
        self._set_phase(phase, start_task=told)

    def _on_note(self, note: Note) -> None:
        match note["op"]:
            case "started":
                self._handle(machine.RunStarted(note["id"], note["startedAt"]))
            case "finished":
                self._handle(machine.RunFinished(note["id"], note["label"], _outcome(note)))
            case "unknown":
                self._handle(machine.RunUnknown(note["id"]))
            case "stopping":
                self._handle(machine.Stopping())
                self._set_phase(NodePhase.STOPPING)
            case _:
                _log.warning("the runner says %s", note)

    # ---------------------------------------------------------------- the hub

    def _on_message(self, session: Session, message: link.FromHub) -> None:
        match message:
            case link.Welcome(epoch=epoch):
                session.epoch = epoch
                session.send(self._report)
                if epoch:
                    self._handle(machine.Led(epoch))
            case link.Lead(epoch=epoch):
                session.epoch = epoch
                self._handle(machine.Led(epoch))
            case link.Run():
                asked = machine.RunAsked(message.execution_id, message.epoch, message.task_name, message)
                self._handle(asked)
            case link.Kill(execution_id, epoch, grace):
                self._handle(machine.KillAsked(execution_id, epoch, grace))
            case link.Ack(execution_ids=ids):
                self._handle(machine.Acknowledged(tuple(ids)))
            case link.ReadFile():
                self._later(self._read(session, message))
            case link.RemoveDirectory(path=path):
                self._later(self._remove(path))

    async def _read(self, session: Session, asked: link.ReadFile) -> None:
        content, offset, size, error, text = b"", asked.offset, 0, "", ""
        if self._runner is None:
            answer = link.FileChunk(asked.request, offset, size, content, "NotReady", "the node's container is not up")
            session.send(answer)
            return
        try:
            content, offset, size = await self._runner.read(asked.path, asked.offset, asked.limit)
        except RunnerError as refused:
            error, text = refused.code, str(refused)
        except (ConnectionError, TimeoutError) as gone:
            error, text = "NotReady", str(gone)
        session.send(link.FileChunk(asked.request, offset, size, content, error, text))

    async def _remove(self, path: str) -> None:
        try:
            if self._runner is not None:
                await self._runner.ask("remove", path=path)
        except (RunnerError, ConnectionError, TimeoutError) as error:
            _log.info("directory %s was not removed: %s", path, error)

    # ---------------------------------------------------------------- instructions

    def _handle(self, event: machine.Event) -> None:
        for instruction in self._machine.handle(event, self._clock.monotonic()):
            self._carry_out(instruction)

    def _carry_out(self, instruction: machine.Instruction) -> None:
        leader = self._machine.max_epoch
        match instruction:
            case machine.Launch():
                self._launch(instruction)
            case machine.End(one, grace):
                self._tell_runner("kill", id=one, grace=grace)
            case machine.Forget(ids):
                self._tell_runner("ack", ids=list(ids))
            case machine.TellInventory(epoch, boot_id, live, acknowledged):
                states = [link.RunState(one, started_at, task_name) for one, task_name, started_at in live]
                self.sessions.to_leader(link.Inventory(epoch, boot_id, states, list(acknowledged)), leader)
            case machine.TellStarted(one, started_at):
                self.sessions.to_leader(link.Started(one, started_at), leader)
            case machine.TellFinished(one, task_name, boot_id, outcome):
                self.sessions.to_leader(_finished(one, task_name, boot_id, outcome), leader)
            case machine.TellUnknown(one):
                self.sessions.to_leader(link.Unknown(one), leader)
            case machine.TellRejected(one, reason):
                self.sessions.to_leader(link.Rejected(one, reason), leader)

    def _launch(self, instruction: machine.Launch) -> None:
        run = instruction.request
        assert isinstance(run, link.Run)  # noqa: S101 (what RunAsked carried)
        argv, env = resolve(run.argv, run.env, task_variables(self._config, run), self._container_env)
        self._tell_runner(
            "run",
            id=run.execution_id,
            label=run.task_name,
            dir=run.directory,
            argv=argv,
            env=env,
            fresh=run.fresh,
            wallClock=run.wall_clock,
            killGrace=_KILL_GRACE,
            maxOutputBytes=MAX_OUTPUT_BYTES,
        )

    def _tell_runner(self, op: str, **fields: Any) -> None:
        """A runner that is gone hears nothing; what it misses is settled by its next hello."""
        if self._runner is not None:
            try:
                self._runner.tell(op, **fields)
            except ConnectionError:
                return

    def _set_phase(self, phase: NodePhase, boot_id: str = "", start_task: link.StartTaskReport | None = None) -> None:
        before = self._report
        self._report = link.NodeReport(
            phase, boot_id or before.boot_id, self._config.slots, start_task or before.start_task, ""
        )
        if self._report != before:
            self.sessions.to_all(self._report)

    def _later(self, work: Any) -> None:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)


def _outcome(note: Mapping[str, Any]) -> machine.Outcome:
    return machine.Outcome(
        cause=note["cause"],
        exit_code=note["exitCode"],
        started_at=note["startedAt"],
        ended_at=note["endedAt"],
        user_cpu=note["userCpu"],
        kernel_cpu=note["kernelCpu"],
        max_memory_bytes=note["maxRss"],
        code=note["code"],
        message=note["message"],
    )


def _finished(one: str, task_name: str, boot_id: str, outcome: machine.Outcome) -> link.Finished:
    return link.Finished(
        one,
        task_name,
        boot_id,
        outcome.cause,
        outcome.exit_code,
        outcome.started_at,
        outcome.ended_at,
        outcome.user_cpu,
        outcome.kernel_cpu,
        outcome.max_memory_bytes,
        outcome.code,
        outcome.message,
    )
