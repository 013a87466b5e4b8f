"""One node: joins the sessions, the runner and the pure machine (`core.execution`). It carries out instructions, no more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, assert_never

from batchpools.agent.bringing import BringFiles, Bringing
from batchpools.agent.environment import log_name, resolve, task_variables
from batchpools.agent.journal import Journal
from batchpools.agent.measure import Meter
from batchpools.agent.packages import Install, in_place, install_package
from batchpools.agent.places import Places
from batchpools.agent.references import missing_certificates, read_references
from batchpools.agent.reports import Reports
from batchpools.agent.resource_files import bring_files
from batchpools.agent.runner_client import BadNoteError, Note, RunnerClient, RunnerError, RunnerGoneError
from batchpools.agent.runner_notes import event_of_hello, event_of_note, is_of_start_task
from batchpools.agent.runners import Runners
from batchpools.agent.sessions import Session, Sessions
from batchpools.agent.start_task import StartTaskDriver
from batchpools.api import names
from batchpools.api.reasons import FailureCode, Reason
from batchpools.core import execution_events as events
from batchpools.core.ended import Ended
from batchpools.core.execution import Executions
from batchpools.core.node_config import NodeConfig, StartTaskConfig
from batchpools.link import messages as link
from batchpools.link.bounds import clip
from batchpools.link.words import Cause, NodePhase
from batchpools.telemetry.clock import Clock
from batchpools.telemetry.logs import bound

_log = logging.getLogger(__name__)

MAX_OUTPUT_BYTES = 1 << 30
_KILL_GRACE = 5.0
_RUNNER_PAUSE = 0.1
_CERTIFICATES_PAUSE = 1.0
_LOOK_AGAIN = 0.05
_PING_EVERY = 1.0
_JOBS_AT_ONCE = 256  # files that are read or removed

Serve = Callable[[str, RunnerClient], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Doors:
    """How a node gets at what is outside of it: its own runner, its own disk, files. The sessions know the way to the hub."""

    connect_runner: Callable[[str], Awaitable[RunnerClient]] = RunnerClient.connect
    open_journal: Callable[[Path], Journal] = Journal
    make_sessions: Callable[..., Sessions] = Sessions
    install_package: Install = install_package
    bring_files: BringFiles = bring_files


class Node:
    """The agent's work. `run` goes on until cancelled; `finish` waits until everything is told."""

    def __init__(self, config: NodeConfig, clock: Clock, places: Places, doors: Doors | None = None) -> None:
        self._doors = doors or Doors()
        self._config = config
        self._clock = clock
        self._places = places
        self._machine = Executions((names.TASK_CONTAINER, *config.containers))
        self._journal = self._doors.open_journal(places.journal_file)
        self._runners = Runners()
        self._bringing: dict[str, Bringing] = {}  # by container
        self._deadline = 0.0  # CLOCK_BOOTTIME until which the leader vouches for this node
        self._start_task_failed = False
        self._report = link.NodeReport(
            NodePhase.STARTING,
            "",
            config.slots,
            None,
            "",
            config.elevates,
            list(self._machine.containers),
            fetches=True,
        )
        self._jobs: set[asyncio.Task[None]] = set()
        self._sessions = self._doors.make_sessions(
            config.hub_host, config.hub_port, places, lambda: self._machine.max_epoch, self._on_message
        )
        self._reports = Reports(self._sessions.to_leader)
        self._meter = Meter(
            clock, self._runners.usage, lambda told: self._sessions.to_leader(told, self._machine.max_epoch)
        )

    async def run(self) -> None:
        """Remember, then keep sessions and runners connected."""
        self._handle(self._journal.restore())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sessions.run())
                group.create_task(self._follow_runners())
                group.create_task(self._ping())
                group.create_task(self._meter.run())
        finally:
            for job in list(self._jobs):
                job.cancel()
            self._journal.close()

    async def finish(self, patience: float) -> None:
        """The pod stops: start nothing, wait until nothing runs and every result is acknowledged, at most `patience` seconds.

        Runs of a runner that is gone are not waited for: the kubelet says what became of its container.
        """
        self._handle(events.Stopping())
        self._set_phase(NodePhase.STOPPING)
        end = self._clock.monotonic() + patience
        while self._is_needed() and self._clock.monotonic() < end:  # noqa: ASYNC110 (many things end it)
            await asyncio.sleep(_LOOK_AGAIN)

    def _is_needed(self) -> bool:
        running = any(one in self._runners and self._machine.live_in(one) for one in self._machine.containers)
        return self._machine.unacknowledged > 0 or running

    # ---------------------------------------------------------------- the runners

    async def _follow_runners(self) -> None:
        """That of each container, once what the pool promises is there."""
        while missing := missing_certificates(self._places, self._config.certificates):
            self._set_phase(self._phase(NodePhase.STARTING), message=missing)
            await asyncio.sleep(_CERTIFICATES_PAUSE)
        await in_place(self._places, self._config.packages, self._lacks_package, self._doors.install_package)
        self._set_phase(self._phase(NodePhase.STARTING))
        async with asyncio.TaskGroup() as group:
            for container in self._machine.containers:
                group.create_task(self._follow_runner(container))

    def _lacks_package(self, sentence: str) -> None:
        self._set_phase(self._phase(NodePhase.STARTING), message=sentence, code=Reason.PACKAGE_ERROR)

    async def _follow_runner(self, container: str) -> None:
        """The container's runner if it is there; the start task's until the task container's is. When one ends, look again."""
        start = self._config.start_task if container == names.TASK_CONTAINER else None
        while True:
            served = await self._serve_with(container, self._places.socket_of(container), self._serve_tasks)
            if not served and start is not None and not start.inside:
                await self._serve_with(
                    names.START_TASK_CONTAINER, self._places.start_task_socket, self._serve_start_task
                )
            await asyncio.sleep(_RUNNER_PAUSE)

    async def _serve_with(self, container: str, address: str, serve: Serve) -> bool:
        """Connect and serve until the connection ends; False when nobody listens."""
        try:
            runner = await self._doors.connect_runner(address)
        except (OSError, asyncio.IncompleteReadError):
            return False
        except (RunnerError, BadNoteError) as error:
            _log.error("the runner at %s cannot be talked to: %s", address, error)
            return False
        self._runners.joined(container, runner)
        bringing = Bringing(self._doors.bring_files, runner, self._places, self._config.auto_storage)
        self._bringing[container] = bringing
        try:
            await serve(container, runner)
        finally:
            self._runners.left(container)
            del self._bringing[container]
            await bringing.close()
            await runner.close()
        return True

    async def _serve_tasks(self, container: str, runner: RunnerClient) -> None:
        start = self._config.start_task if container == names.TASK_CONTAINER else None
        driver = self._driver(start, runner, container) if start is not None and start.inside else None
        waits = driver is not None and not driver.has_succeeded and start is not None and start.waits
        self._start_task_failed = self._start_task_failed and driver is None
        event = event_of_hello(runner.hello, serves=not waits, container=container)
        self._tell_deadline()  # first: what it is asked to run comes after
        self._handle(event)
        self._set_phase(self._standing(), boot_id=self._machine.boot_id)

        def on_note(note: Note) -> None:
            if driver is not None and is_of_start_task(note):
                driver.note(note)
            else:
                self._on_note(container, note)

        reading = runner.listen(on_note)
        preparing = asyncio.create_task(self._prepare(driver), name="start-task")
        try:
            await reading
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)
        self._handle(events.RunnerDown(container))
        self._set_phase(self._standing())

    async def _prepare(self, driver: StartTaskDriver | None) -> None:
        """Have the start task run in the task container, if it is to; tasks that wait for it may come then."""
        if driver is not None:
            await driver.drive()
            self._handle(events.Prepared())
            self._start_task_failed = False
            self._set_phase(self._standing())

    def _driver(self, start: StartTaskConfig, runner: RunnerClient, container: str) -> StartTaskDriver:
        driver = StartTaskDriver(self._config, start, runner, self._clock, self._start_task_changed)
        return driver.reading(partial(read_references, self._places)).bringing(self._bringing[container].start)

    async def _serve_start_task(self, container: str, runner: RunnerClient) -> None:
        assert self._config.start_task is not None  # noqa: S101 (asked before)
        driver = self._driver(self._config.start_task, runner, container)
        reading = runner.listen(driver.note)
        driving = asyncio.create_task(driver.drive(), name="start-task")
        try:
            await reading
        finally:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)

    def _start_task_changed(self, told: link.StartTaskReport, failed: bool) -> None:
        if self._config.start_task is not None and not self._config.start_task.waits:
            self._set_phase(NodePhase(self._report.phase), start_task=told)  # tasks go on, whatever becomes of it
            return
        self._start_task_failed = failed
        phase = NodePhase.START_TASK_FAILED if failed else NodePhase.START_TASK
        self._set_phase(self._phase(phase), start_task=told)

    def _on_note(self, container: str, note: Note) -> None:
        event = event_of_note(note, container)
        if event is None and note["op"] == "done":
            return  # to a request that nobody waits for any more
        if isinstance(event, events.RunFinished):
            self._bringing[container].stop(event.execution_id)
        if event is None:
            bound(_log, execution=str(note.get("id", ""))).warning("the runner says %s", note)
            return
        self._handle(event)
        if isinstance(event, events.Stopping):
            self._set_phase(NodePhase.STOPPING)

    def _standing(self) -> NodePhase:
        """Where the node is: it is ready when every container's runner is there, and the start task has succeeded."""
        if not self._machine.runner_up:
            return self._phase(NodePhase.STARTING)
        if self._machine.prepared:
            return self._phase(NodePhase.READY)
        return self._phase(NodePhase.START_TASK_FAILED if self._start_task_failed else NodePhase.START_TASK)

    def _phase(self, phase: NodePhase) -> NodePhase:
        return NodePhase.STOPPING if self._machine.stopping else phase

    # ---------------------------------------------------------------- the hub

    def _on_message(self, session: Session, message: link.FromHub) -> None:
        match message:
            case link.Welcome(epoch=epoch):
                session.epoch = epoch
                session.send(self._report)
                session.send(link.Ping(self._clock.boottime()))
                if epoch:
                    self._led(session, epoch)
            case link.Lead(epoch=epoch):
                session.epoch = epoch
                self._led(session, epoch)
            case link.Run():
                self._run_asked(message)
            case link.Kill() | link.Ack() | link.Restart():
                self._handle(_asked(message))
            case link.ReadFile():
                self._later(self._read(session, message))
            case link.RemoveDirectory():
                if message.epoch >= self._machine.max_epoch:
                    self._remove(message)
            case link.Pong():
                self._vouched(message)
            case link.Refused():
                return  # the session ends, and its keeper knows why
            case _:
                assert_never(message)

    def _run_asked(self, run: link.Run) -> None:
        """What another container's runner is about to remove is not used before it has: no order holds between two runners."""
        refused = "its directory is being removed" if self._runners.is_removed(run.directory, run.container) else ""
        self._handle(events.RunAsked(run.execution_id, run.epoch, run.task_name, run, run.container, refused))

    def _led(self, session: Session, epoch: int) -> None:
        """It is told of all runs, and of what was measured before it led."""
        self._handle(events.Led(epoch))
        told = self._meter.samples()
        if told.samples:
            session.send(told)

    async def _ping(self) -> None:
        """Tell every replica each second that we are here; the leader's pong extends the runner's dead-man timer."""
        while True:
            await asyncio.sleep(_PING_EVERY)
            self._sessions.to_all(link.Ping(self._clock.boottime()))

    def _vouched(self, pong: link.Pong) -> None:
        """The timer is the runners' (safety rule S3.1): the newest epoch's word is handed on, as a time on its clock."""
        if pong.epoch >= self._machine.max_epoch:
            self._deadline = pong.sent_at + pong.timeout
            self._tell_deadline()

    def _tell_deadline(self) -> None:
        if self._deadline:
            self._runners.tell_all("deadline", at=self._deadline)

    async def _read(self, session: Session, asked: link.ReadFile) -> None:
        content, offset, size, error, text = b"", max(asked.offset, 0), 0, "", ""
        if not self._runners or len(self._jobs) > _JOBS_AT_ONCE:
            why = "the node's container is not up" if not self._runners else "the node reads too many files already"
            session.send(link.FileChunk(asked.request, offset, size, content, "NotReady", why))
            return
        try:
            content, offset, size = await self._runners.read(asked.path, asked.offset, asked.limit)
        except RunnerError as refused:
            error, text = refused.code, str(refused)
        except (ConnectionError, TimeoutError) as gone:
            error, text = "NotReady", str(gone)
        session.send(link.FileChunk(asked.request, offset, size, content, error, clip(text)))

    def _remove(self, asked: link.RemoveDirectory) -> None:
        """The runner is asked at once: a run that the leader sends next may use the same directory."""
        try:
            answer = self._runners.remove(asked.path, asked.container)
        except ConnectionError as gone:
            _log.info("directory %s was not removed: %s", asked.path, gone)
        else:
            if answer is not None:
                self._later(_removed(asked.path, answer))

    # ---------------------------------------------------------------- instructions

    def _handle(self, event: events.Event) -> None:
        instructions = self._machine.handle(event, self._clock.monotonic())
        self._journal.epoch(self._machine.max_epoch)
        for instruction in instructions:
            self._carry_out(instruction)

    def _carry_out(self, instruction: events.Instruction) -> None:
        match instruction:
            case events.Launch():
                self._launch(instruction)
            case events.End(one, grace, container):
                self._runners.tell(container, "kill", id=one, grace=grace)
            case events.Restart():
                self._later(self._restart(instruction))
            case events.Forget(ids):
                self._journal.acknowledged(ids)
                self._runners.tell_all("ack", ids=list(ids))
            case _:
                if isinstance(instruction, events.TellFinished):
                    self._journal.finished(instruction)
                self._reports.tell(instruction, self._machine.max_epoch)

    def _launch(self, instruction: events.Launch) -> None:
        run = instruction.request
        assert isinstance(run, link.Run)  # noqa: S101 (what RunAsked carried)
        container = self._runners.env_of(instruction.container)
        try:
            given = read_references(self._places, run.references)
            argv, env = resolve(run.argv, run.env, task_variables(self._config, run), container, given)
            self._runners.tell(
                instruction.container,
                "run",
                id=run.execution_id,
                label=run.task_name,
                dir=run.directory,
                argv=argv,
                env=env,
                fresh=run.fresh,
                elevated=run.elevated,
                wallClock=run.wall_clock,
                killGrace=_KILL_GRACE,
                maxOutputBytes=MAX_OUTPUT_BYTES,
                log=self._config.log,
                logName=log_name(run) if self._config.log else "",
                awaits=bool(run.files),
            )
            if run.files and instruction.container in self._bringing:
                self._bringing[instruction.container].start(run.execution_id, run.files)
        except (ValueError, RunnerError) as error:
            now = self._clock.now().timestamp()
            code = FailureCode.COMMAND_LAUNCH_FAILED
            outcome = Ended(Cause.LAUNCH_FAILED, None, now, now, code=code, message=str(error))
            self._handle(events.RunFinished(run.execution_id, run.task_name, outcome, instruction.container))

    async def _restart(self, instruction: events.Restart) -> None:
        """Have every runner look once more whether it has nothing; then the task container's leaves, and all begin anew.

        It is asked until it has answered or gone: meanwhile nothing is started anywhere in the pod.
        """
        try:
            for container, boot_id in instruction.others:
                await self._runners.ask(container, "restart", boot=boot_id, dry=True)
            while True:
                with suppress(TimeoutError):
                    await self._runners.ask(names.TASK_CONTAINER, "restart", boot=instruction.boot_id)
                    return
        except RunnerGoneError:
            _log.info("a runner has left")
            if names.TASK_CONTAINER in self._runners:
                self._handle(events.Stays())  # it was another container's
        except (RunnerError, TimeoutError) as error:
            _log.info("the node does not restart: %s", error)
            self._handle(events.Stays())

    def _set_phase(
        self,
        phase: NodePhase,
        boot_id: str = "",
        start_task: link.StartTaskReport | None = None,
        message: str = "",
        code: str = "",
    ) -> None:
        before = self._report
        self._report = link.NodeReport(
            phase,
            boot_id or before.boot_id,
            self._config.slots,
            start_task or before.start_task,
            clip(message),
            self._config.elevates,
            before.containers,
            code,
            before.fetches,
        )
        if self._report != before:
            self._sessions.to_all(self._report)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)


async def _removed(path: str, answer: Awaitable[None]) -> None:
    try:
        await answer
    except (RunnerError, ConnectionError, TimeoutError) as error:
        _log.info("directory %s was not removed: %s", path, error)


def _asked(message: link.Kill | link.Ack | link.Restart) -> events.Event:
    """What the leader wants, as the machine hears it."""
    match message:
        case link.Kill(execution_id, epoch, grace):
            return events.KillAsked(execution_id, epoch, grace)
        case link.Ack(execution_ids=ids):
            return events.Acknowledged(tuple(ids))
        case link.Restart(epoch=epoch, boot_id=boot_id):
            return events.RestartAsked(epoch, boot_id)
