"""Drives a node's start task: 1 + maxTaskRetryCount runs (-1: without end) by the runner in the init container.

Source: REST reference, pool start task. When it has failed for good the node stays as it is, to be looked at. Everything
needed to go on after a restart of the agent is in the runner: the number of the last run is in its id.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from batchpools.agent.environment import directory_variables, node_variables, resolve
from batchpools.agent.runner_client import RunnerClient
from batchpools.core.node_config import NodeConfig, StartTaskConfig
from batchpools.link.messages import StartTaskReport

_DIRECTORY = "startup"
_RETRY_PAUSE = 1.0  # seconds between two runs, so that a start task that fails at once does not burn a core

Report = Callable[[StartTaskReport, bool], None]


class StartTaskDriver:
    """One connection's worth of driving; `report(state, failed_for_good)` at each change."""

    def __init__(self, config: NodeConfig, task: StartTaskConfig, runner: RunnerClient, report: Report) -> None:
        self._config = config
        self._task = task
        self._runner = runner
        self._report = report
        self._news: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()

    def note(self, note: Mapping[str, Any]) -> None:
        """Something the runner said."""
        if note["op"] == "finished":
            self._news.put_nowait(note)
        elif note["op"] == "started":
            running = StartTaskReport(_number(note), note["startedAt"], 0.0, None, "", "")
            self._report(running, False)

    async def drive(self) -> None:
        """Run until success, then let the init container end; after the last failure wait for ever."""
        number, ended = self._where_we_are()
        if ended is None:
            self._launch(number)
        while True:
            if ended is None:
                ended = await self._news.get()
            if ended.get("exitCode") == 0:
                self._report(_told(number, ended), False)
                self._runner.tell("exit", code=0)
                return
            if not self._may_retry(number, ended):
                self._report(_told(number, ended), True)
                await asyncio.Event().wait()
            await asyncio.sleep(_RETRY_PAUSE)
            number += 1
            ended = None
            self._launch(number)

    def _where_we_are(self) -> tuple[int, Mapping[str, Any] | None]:
        """(number of the latest run, its result if it has ended), from what the runner knows."""
        hello = self._runner.hello
        finished = {_number(one): one for one in hello["finished"]}
        running = [_number(one) for one in hello["running"]]
        if running:
            self._report(_told(max(running), None), False)
            return max(running), None
        if finished:
            last = max(finished)
            return last, finished[last]
        return 0, None

    def _launch(self, number: int) -> None:
        system = {**node_variables(self._config), **directory_variables(_DIRECTORY)}
        argv, env = resolve(self._task.argv, self._task.env, system, self._runner.hello["env"])
        self._report(_told(number, None), False)
        self._runner.tell(
            "run", id=f"start-task:{number}", dir=_DIRECTORY, argv=argv, env=env, killGrace=5, fresh=False
        )

    def _may_retry(self, number: int, ended: Mapping[str, Any]) -> bool:
        if ended["cause"] == "launchFailed":
            return False
        most = self._task.max_task_retry_count
        return most < 0 or number < most


def _number(note: Mapping[str, Any]) -> int:
    return int(note["id"].rpartition(":")[2])


def _told(number: int, ended: Mapping[str, Any] | None) -> StartTaskReport:
    if ended is None:
        return StartTaskReport(number, 0.0, 0.0, None, "", "")
    return StartTaskReport(
        number, ended["startedAt"], ended["endedAt"], ended["exitCode"], ended["code"], ended["message"]
    )
