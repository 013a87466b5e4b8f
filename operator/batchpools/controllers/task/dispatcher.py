"""Runs the scheduling cycle of the pools that were woken, once a turn of the event loop, and sends what was bound."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from batchpools.api.durations import parse_duration
from batchpools.api.reasons import FailureCode
from batchpools.controllers.task.book import RunBook
from batchpools.controllers.task.entry import Entry, PoolKey, directory_of, task_id
from batchpools.controllers.task.making_room import MakingRoom
from batchpools.controllers.task.settler import Settler
from batchpools.core.ended import Ended
from batchpools.core.identity import NO_ELEMENT, ExecutionId
from batchpools.core.node_config import EnvReference, FileSource
from batchpools.core.scheduling import quarantine
from batchpools.core.scheduling.cycle import Binding, schedule
from batchpools.core.scheduling.fit import job_is_active
from batchpools.core.scheduling.placement import Room
from batchpools.core.tasks.command import argv_of
from batchpools.core.tasks.lifecycle import Bound, Waiting
from batchpools.core.tasks.references import references_of, unlisted
from batchpools.core.tasks.resource_files import FilesRefusedError, check_listed, sources_of
from batchpools.core.views import EnvVar, JobView, PoolView, TaskView
from batchpools.hub.port import HubPort, NodeIdentity
from batchpools.link.bounds import clip_duration
from batchpools.link.messages import Run

REFUSED_PAUSE = 1.0  # seconds that a node which refused a run is left alone


class NotElevatedError(ValueError):
    """The pool of a task does not let it be root; the message is a sentence."""


class Dispatcher:
    """`on_latency(seconds)` is told how long each task waited in the queue before it was sent."""

    def __init__(self, book: RunBook, hub: HubPort, settler: Settler, monotonic: Callable[[], float]) -> None:
        self._book = book
        self._hub = hub
        self._settler = settler
        self._monotonic = monotonic
        self._woken: set[PoolKey] = set()
        self.making_room = MakingRoom(book, settler, self.wake)
        self.on_latency: Callable[[float], None] = lambda _: None
        self.on_quarantine: Callable[[NodeIdentity], None] = lambda _: None  # it began or ended

    def wake(self, pool: PoolKey) -> None:
        """Look at a pool at the end of this turn of the loop."""
        if not self._book.leading:
            return
        if not self._woken:
            asyncio.get_running_loop().call_soon(self._run)
        self._woken.add(pool)

    def pause(self, pod_uid: str) -> None:
        """The node did not take a run: leave it alone for a moment."""
        page = self._book.nodes.get(pod_uid)
        if page is None or page.paused:
            return
        page.paused = True

        def resume() -> None:
            page.paused = False
            self.wake(page.pool)

        asyncio.get_running_loop().call_later(REFUSED_PAUSE, resume)

    def judge(self, pod_uid: str, ended: Ended) -> None:
        """A run has ended there: a node that cannot launch tasks is left alone for a while."""
        page = self._book.nodes.get(pod_uid)
        if page is None or page.quarantined:
            return
        page.standing = quarantine.after(page.standing, ended)
        seconds = quarantine.pause_of(page.standing)
        if not seconds:
            return
        page.standing, page.quarantined = quarantine.paused(page.standing), True
        self.on_quarantine(page.identity)

        def resume() -> None:
            page.quarantined = False
            self.wake(page.pool)
            self.on_quarantine(page.identity)

        asyncio.get_running_loop().call_later(seconds, resume)

    def send_again(self, entry: Entry, pod_uid: str) -> bool:
        """A retry goes to its node, where its slots are kept, into the same directory; False when it cannot go there now."""
        page = self._book.nodes.get(pod_uid)
        if page is None or not page.takes_tasks or job_is_active(self._book.question(entry)) is not None:
            return False
        try:
            return self._send(entry, page.identity.node, pod_uid, fresh=False)
        except ValueError:
            return False  # the next dispatch says so in the task's status

    def _run(self) -> None:
        woken, self._woken = self._woken, set()
        if not self._book.leading:
            return
        for pool_key in sorted(woken):
            queue = self._book.pool_book(pool_key)
            pool = self._book.cache.pools.get(*pool_key)
            if queue is None or pool is None or pool.metadata.deletion_timestamp is not None:
                continue
            for binding in schedule(queue, self._rooms(pool), pool.spec.task_scheduling_policy.node_fill_type):
                self._bind(binding)
            self.making_room.make(pool_key, queue, partial(self._rooms, pool))

    def _rooms(self, pool: PoolView) -> list[Room]:
        """The nodes that take tasks; where none may be elevated, an elevated one fails wherever it goes."""
        key = (pool.metadata.namespace, pool.metadata.name)
        rooms = self._book.nodes.rooms(key, any_elevates=not pool.spec.allow_elevated)
        for room in rooms:
            room.kept_for = self.making_room.kept_for(room.pod_uid)
        return rooms

    def _bind(self, binding: Binding) -> None:
        entry = self._book.entries.get(binding.task.uid)
        if entry is None or not isinstance(entry.state, Waiting):
            return
        waited = self._monotonic() - entry.since
        try:
            sent = self._send(entry, binding.node, binding.pod_uid, fresh=True)
        except NotElevatedError as error:
            self._settler.fail(entry, FailureCode.ELEVATION_NOT_ALLOWED, str(error), tell=True)
            self._freed(binding.pod_uid)
            return
        except FilesRefusedError as error:
            self._settler.fail(entry, error.code, f"The task cannot have its files: {error}.", tell=True)
            self._freed(binding.pod_uid)
            return
        except ValueError as error:
            self._settler.fail(entry, FailureCode.COMMAND_LAUNCH_FAILED, f"The command cannot be run: {error}.")
            self._freed(binding.pod_uid)
            return
        if sent:
            self.on_latency(waited)
        else:
            self.pause(binding.pod_uid)
            self._book.enqueue(entry)  # the cycle took it out of the queue, yet it did not leave

    def _freed(self, pod_uid: str) -> None:
        """The room that a task was given, and does not need, is free for the next one."""
        page = self._book.nodes.get(pod_uid)
        if page is not None:
            self.wake(page.pool)

    def _send(self, entry: Entry, node: str, pod_uid: str, *, fresh: bool) -> bool:
        attempt = max(entry.attempt, entry.status.attempt) + 1
        execution = ExecutionId(entry.uid, NO_ELEMENT, self._book.epoch, attempt)
        if not self._hub.dispatch(pod_uid, self._message(entry.view, execution, fresh=fresh)):
            return False
        entry.attempt = attempt
        self._book.move(entry, Bound(pod_uid, node, execution))
        return True

    def _message(self, view: TaskView, execution: ExecutionId, *, fresh: bool) -> Run:
        """The run as the agent gets it; ValueError with a sentence when it cannot be run."""
        limit = view.spec.constraints.max_wall_clock_time
        job = self._book.cache.jobs.get(view.metadata.namespace, view.spec.job_name)
        if view.spec.elevated:
            self._elevates(view.metadata.namespace, job)
        env = _over(job.spec.env if job is not None else (), view.spec.env)
        return Run(
            execution_id=str(execution),
            epoch=execution.epoch,
            task_name=view.metadata.name,
            job=view.spec.job_name,
            task=task_id(view),
            directory=directory_of(view),
            argv=argv_of(view.spec.command, view.spec.command_line),
            env=[f"{one.name}={one.value}" for one in env],
            slots=view.spec.required_slots,
            wall_clock=clip_duration(parse_duration(limit)) if limit else 0.0,
            fresh=fresh,
            references=self._references(env, view.metadata.namespace, job),
            elevated=view.spec.elevated,
            container=view.spec.container,
            files=self._files(view, job) if fresh else [],  # a retry finds them where they are
        )

    def _elevates(self, namespace: str, job: JobView | None) -> None:
        """NotElevatedError unless the pool allows elevated tasks."""
        pool = self._book.cache.pools.get(namespace, job.pool) if job is not None else None
        if pool is None or not pool.spec.allow_elevated:
            name = pool.metadata.name if pool is not None else ""
            raise NotElevatedError(f"The task asks for elevated, and pool {name} does not say allowElevated: true.")

    def _references(self, env: Sequence[EnvVar], namespace: str, job: JobView | None) -> list[EnvReference]:
        """What the node reads for the environment; ValueError when the pool does not list it."""
        references = references_of(env)
        pool = self._book.cache.pools.get(namespace, job.pool) if references and job is not None else None
        if pool is not None and (wrong := unlisted(references, pool.spec, pool.metadata.name)):
            raise ValueError(wrong)
        return references

    def _files(self, view: TaskView, job: JobView | None) -> list[FileSource]:
        """What the node brings; FilesRefusedError when the pool does not list it."""
        files = view.spec.resource_files
        pool = self._book.cache.pools.get(view.metadata.namespace, job.pool) if files and job is not None else None
        if pool is not None:
            check_listed(files, pool.spec, pool.metadata.name)
        return sources_of(files)


def _over(common: Sequence[EnvVar], own: Sequence[EnvVar]) -> list[EnvVar]:
    """The job's environment under the task's."""
    return list(({one.name: one for one in common} | {one.name: one for one in own}).values())
