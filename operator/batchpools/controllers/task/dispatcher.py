"""Runs the scheduling cycle of the pools that were woken, once a turn of the event loop, and sends what was bound."""

import asyncio
from collections.abc import Callable

from batchpools.api.durations import parse_duration
from batchpools.api.reasons import FailureCode
from batchpools.controllers.task.book import Entry, RunBook
from batchpools.controllers.task.nodes import PoolKey
from batchpools.controllers.task.settler import directory_of
from batchpools.core.identity import NO_ELEMENT, ExecutionId
from batchpools.core.scheduling.cycle import Binding, schedule
from batchpools.core.tasks.command import argv_of
from batchpools.core.tasks.lifecycle import Bound, Waiting
from batchpools.core.views import EnvVar, TaskView
from batchpools.hub.port import HubPort
from batchpools.link.messages import Run

Fail = Callable[[Entry, FailureCode, str], None]


class Dispatcher:
    """`epoch` is the leader's; `on_latency(seconds)` is told how long each task waited in the book before it was sent."""

    def __init__(
        self, book: RunBook, hub: HubPort, monotonic: Callable[[], float], on_latency: Callable[[float], None]
    ) -> None:
        self._book = book
        self._hub = hub
        self._monotonic = monotonic
        self._on_latency = on_latency
        self._woken: set[PoolKey] = set()
        self.epoch = 0
        self.fail: Fail = lambda *_: None

    def wake(self, pool: PoolKey) -> None:
        """Look at a pool at the end of this turn of the loop."""
        if not self._book.leading:
            return
        if not self._woken:
            asyncio.get_running_loop().call_soon(self._run)
        self._woken.add(pool)

    def send_again(self, entry: Entry, pod_uid: str) -> bool:
        """A retry goes to its node, into the same directory; False when the node takes no tasks now."""
        job = self._book.cache.jobs.get(*entry.job_key)
        if job is None or job.metadata.uid in self._book.ended_jobs:
            return False
        for room in self._book.nodes.rooms((entry.job_key[0], job.spec.pool_name)):
            if room.pod_uid == pod_uid and room.free >= entry.view.spec.required_slots:
                return self._send(entry, room.node, pod_uid, fresh=False)
        return False

    def _run(self) -> None:
        woken, self._woken = self._woken, set()
        for pool_key in woken:
            queue = self._book.pool_book(pool_key)
            pool = self._book.cache.pools.get(*pool_key)
            if queue is None or pool is None or pool.metadata.deletion_timestamp is not None:
                continue
            rooms = self._book.nodes.rooms(pool_key)
            for binding in schedule(queue, rooms, pool.spec.task_scheduling_policy.node_fill_type):
                self._bind(binding)

    def _bind(self, binding: Binding) -> None:
        entry = self._book.entries.get(binding.task.uid)
        if entry is None:
            return
        waited = self._monotonic() - entry.since
        if self._send(entry, binding.node, binding.pod_uid, fresh=True):
            self._on_latency(waited)
        elif isinstance(entry.state, Waiting):  # the cycle took it out of the queue, yet it did not leave
            self._book.enqueue(entry)

    def _send(self, entry: Entry, node: str, pod_uid: str, *, fresh: bool) -> bool:
        execution = ExecutionId(entry.uid, NO_ELEMENT, self.epoch, max(entry.attempt, entry.status.attempt) + 1)
        try:
            run = self._message(entry, execution, fresh=fresh)
        except ValueError as error:
            self.fail(entry, FailureCode.COMMAND_LAUNCH_FAILED, str(error))
            return False
        if not self._hub.dispatch(pod_uid, run):
            page = self._book.nodes.get(pod_uid)
            if page is not None:
                page.heard = False  # its next inventory makes it take tasks again
            return False
        entry.attempt = execution.attempt
        self._book.move(entry, Bound(pod_uid, node, execution, fresh))
        return True

    def _message(self, entry: Entry, execution: ExecutionId, *, fresh: bool) -> Run:
        """The run as the agent gets it; ValueError when the command cannot be split."""
        view = entry.view
        limit = view.spec.constraints.max_wall_clock_time
        return Run(
            execution_id=str(execution),
            epoch=self.epoch,
            task_name=f"{view.metadata.namespace}/{view.metadata.name}",
            job=view.spec.job_name,
            task=view.spec.id or view.metadata.name,
            directory=directory_of(entry),
            argv=argv_of(view.spec.command, view.spec.command_line),
            env=_pairs(self._job_env(view), view.spec.env),
            slots=view.spec.required_slots,
            wall_clock=parse_duration(limit) if limit else 0.0,
            fresh=fresh,
        )

    def _job_env(self, view: TaskView) -> tuple[EnvVar, ...]:
        job = self._book.cache.jobs.get(view.metadata.namespace, view.spec.job_name)
        return job.spec.env if job is not None else ()


def _pairs(common: tuple[EnvVar, ...], own: tuple[EnvVar, ...]) -> list[str]:
    """The job's environment under the task's."""
    merged = {one.name: one.value for one in common} | {one.name: one.value for one in own}
    return [f"{name}={value}" for name, value in merged.items()]
