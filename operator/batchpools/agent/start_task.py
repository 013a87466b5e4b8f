"""Drives a node's start task: 1 + maxTaskRetryCount runs (-1: without end) by the runner of its container.

In an init container of its own the runner leaves when it has succeeded; in the task container it goes on to serve tasks, and
what the start task left running stays.

Source: REST reference, pool start task. When it has failed for good the node stays as it is, to be looked at. Everything
needed to go on after a restart of the agent is in the runner: the number of the last run is in its id. Its resource files are
brought before the first run, and again when an agent was lost while it brought them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batchpools.agent.environment import directory_variables, own_variables, resolve
from batchpools.agent.runner_client import RunnerClient, RunnerError
from batchpools.agent.runner_notes import START_TASK_ID, is_of_start_task
from batchpools.api.reasons import FailureCode
from batchpools.core.node_config import EnvReference, FileSource, NodeConfig, StartTaskConfig
from batchpools.link.bounds import clip, clip_time
from batchpools.link.messages import StartTaskReport
from batchpools.link.words import Cause
from batchpools.telemetry.clock import Clock

_DIRECTORY = "startup"
_KILL_GRACE = 5.0
_RETRY_PAUSE = 1.0  # seconds between two runs, so that a start task that fails at once does not burn a core

ReadReferences = Callable[[Sequence[EnvReference]], Mapping[str, str | None]]
Report = Callable[[StartTaskReport, bool], None]
Bring = Callable[[str, Sequence[FileSource]], None]  # files to the run of that id


class StartTaskDriver:
    """One connection's worth of driving; `report(state, failed_for_good)` at each change."""

    def __init__(
        self, config: NodeConfig, task: StartTaskConfig, runner: RunnerClient, clock: Clock, report: Report
    ) -> None:
        self._clock = clock
        self._config = config
        self._task = task
        self._runner = runner
        self._report = report
        self._read: ReadReferences = lambda _: {}
        self._bring: Bring = lambda _, __: None
        self._round = 0  # how often its files were begun to be brought anew
        self._news: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()

    def reading(self, read: ReadReferences) -> "StartTaskDriver":
        """The same, with a way to what the environment takes from Secrets and ConfigMaps."""
        self._read = read
        return self

    def bringing(self, bring: Bring) -> "StartTaskDriver":
        """The same, with a way to have its files brought."""
        self._bring = bring
        return self

    def note(self, note: Mapping[str, Any]) -> None:
        """Something the runner said."""
        if not is_of_start_task(note):
            return
        if note["op"] == "finished":
            self._news.put_nowait(note)
        elif note["op"] == "started":
            running = StartTaskReport(_order(note)[1], clip_time(note["startedAt"]), 0.0, None, "", "")
            self._report(running, False)

    @property
    def has_succeeded(self) -> bool:
        """Whether the runner knew of its success when it was connected to."""
        finished = [one for one in self._runner.hello["finished"] if is_of_start_task(one)]
        return bool(finished) and max(finished, key=_order).get("exitCode") == 0

    async def drive(self) -> None:
        """Run until success, then let an init container end; after the last failure wait for ever."""
        number, ended = self._where_we_are()
        while True:
            if ended is None:
                ended = await self._news.get()
            if ended.get("exitCode") == 0:
                self._report(_told(number, ended), False)
                if not self._task.inside:
                    self._runner.tell("exit", code=0)
                return
            if ended["cause"] == Cause.STOPPING:
                await asyncio.Event().wait()  # the pod goes: it has neither failed nor succeeded
            former = self._id(number)
            if ended["cause"] == Cause.BOOT_LOST:
                self._round += 1  # it has not run: an agent was lost that brought its files
            elif self._may_retry(number, ended):
                await asyncio.sleep(_RETRY_PAUSE)
                number += 1
            else:
                self._report(_told(number, ended), True)
                await asyncio.Event().wait()
            ended = self._launch(number)
            self._runner.tell("ack", ids=[former])  # the latest run alone is remembered

    def _where_we_are(self) -> tuple[int, Mapping[str, Any] | None]:
        """(number of the latest run, its result if it has ended), from what the runner knows; the first run begins here."""
        hello = self._runner.hello
        running = {_order(one): one for one in hello["running"] if is_of_start_task(one)}
        finished = {_order(one): one for one in hello["finished"] if is_of_start_task(one)}
        if running:
            self._round, number = last = max(running)
            self._report(StartTaskReport(number, clip_time(running[last]["startedAt"]), 0.0, None, "", ""), False)
            return number, None
        if finished:
            self._round, number = last = max(finished)
            return number, finished[last]
        return 0, self._launch(0)

    def _launch(self, number: int) -> Mapping[str, Any] | None:
        """Have it run; its end at once when it cannot be."""
        self._report(StartTaskReport(number, 0.0, 0.0, None, "", ""), False)
        system = {**own_variables(self._config), **directory_variables(_DIRECTORY)}
        try:
            given = self._read(self._task.references)
            argv, env = resolve(self._task.argv, self._task.env, system, self._runner.hello["env"], given)
            how = {
                "killGrace": _KILL_GRACE,
                "fresh": False,
                "startTask": self._task.inside,
                "elevated": self._task.elevated,
            }
            files = self._task.files if number == 0 else []
            one = self._id(number)
            self._runner.tell("run", id=one, dir=_DIRECTORY, argv=argv, env=env, awaits=bool(files), **how)
            if files:
                self._bring(one, files)
        except (ValueError, RunnerError) as error:
            now = self._clock.now().timestamp()
            told = {"exitCode": None, "cause": Cause.LAUNCH_FAILED, "startedAt": now, "endedAt": now}
            return {**told, "code": FailureCode.COMMAND_LAUNCH_FAILED, "message": str(error)}
        return None

    def _id(self, number: int) -> str:
        """Of a run: `start-task:<number>`, or `start-task:<round>:<number>`."""
        return f"{START_TASK_ID}{self._round}:{number}" if self._round else f"{START_TASK_ID}{number}"

    def _may_retry(self, number: int, ended: Mapping[str, Any]) -> bool:
        if ended["cause"] == Cause.LAUNCH_FAILED:
            return False
        most = self._task.max_task_retry_count
        return most < 0 or number < most


def _order(note: Mapping[str, Any]) -> tuple[int, int]:
    """(round, number) of a run, from its id: later ones are greater."""
    former, _, number = note["id"].removeprefix(START_TASK_ID).rpartition(":")
    return int(former or 0), int(number)


def _told(number: int, ended: Mapping[str, Any]) -> StartTaskReport:
    started_at, ended_at = clip_time(ended["startedAt"]), clip_time(ended["endedAt"])
    return StartTaskReport(number, started_at, ended_at, ended["exitCode"], ended["code"], clip(ended["message"]))
