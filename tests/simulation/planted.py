"""Bugs that a system like this could have, each planted for the length of a `with`. Production code has no branch for them.

A bug breaks one rule of docs/safety.md; the checker must find it within the stated number of seeds.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from batchpools.agent.node import Node
from batchpools.controllers.task import reports, settler, silence, takeover
from batchpools.controllers.task.entry import Entry
from batchpools.controllers.task.writer import Write
from batchpools.core import execution, execution_events
from batchpools.core.pools import pod_facts
from batchpools.core.tasks import outcome
from batchpools.core.tasks.lifecycle import OnNode, Settling, Waiting
from batchpools.hub.server import Hub
from batchpools.kube import applier, barrier, lease
from batchpools.testing.simulation.api_server import Door
from batchpools.testing.simulation.runner import SimulatedRunner


@dataclass(frozen=True)
class Bug:
    """A planted bug: the rule that it breaks, within how many seeds it is found, and how it is planted."""

    rule: str
    within: int
    plant: Callable[[], Any]


def _instead(owner: Any, name: str, function: Any) -> Callable[[], Any]:
    return lambda: patch.object(owner, name, function)


# ---------------------------------------------------------------- the leader


async def _no_barrier(self: Any, epoch: int) -> None:
    return


def _acknowledged_before_persisted() -> Any:
    original = settler.Settler._write

    def write(self: settler.Settler, entry: Entry, verdict: Any, status: Any, lane: Any) -> None:
        if isinstance(entry.state, Settling):
            self._acknowledge(entry.state)
        original(self, entry, verdict, status, lane)

    return patch.object(settler.Settler, "_write", write)


def _status_without_uid_test() -> Any:
    original = Door.patch

    async def patched(self: Door, resource: Any, namespace: str, name: str, operations: Any, **how: Any) -> bytes:
        if how.get("subresource"):
            operations = [one for one in operations if one["op"] != "test"]
        return await original(self, resource, namespace, name, operations, **how)

    return patch.object(Door, "patch", patched)


def _transitions_stand_still() -> Any:
    original = lease.LeaderElector._write

    async def write(self: Any, held: Any, *, holder: str, transitions: int) -> int:
        return await original(self, held, holder=holder, transitions=max(held.spec.lease_transitions, 1))

    return patch.object(lease.LeaderElector, "_write", write)


def _requeued_before_persisted() -> Any:
    original = settler.Settler._write

    def write(self: settler.Settler, entry: Entry, verdict: Any, status: Any, lane: Any) -> None:
        if isinstance(verdict, outcome.Requeue):
            self._acknowledge(entry.state)  # type: ignore[arg-type]
            entry.status = status
            self._book.move(entry, Waiting())
            self._writer.put(Write(entry.key, entry.uid, status, lane, 0))
        else:
            original(self, entry, verdict, status, lane)

    return patch.object(settler.Settler, "_write", write)


def _any_run_of_the_task_counts() -> Any:
    def current(self: reports.Reports, node: Any, execution_id: str) -> Entry | None:
        parsed = reports.parse(execution_id)
        entry = self._book.entries.get(parsed.task_uid) if parsed else None
        return entry if entry is not None and isinstance(entry.state, OnNode) else None

    return patch.object(reports.Reports, "current", current)


def _slots_are_free_when_a_kill_is_asked() -> Any:
    def end_run(self: settler.Settler, entry: Entry, *_: Any) -> None:
        if isinstance(entry.state, OnNode):
            self.kill(entry.state.pod_uid, str(entry.state.execution))
            self.lose(entry)

    return patch.object(settler.Settler, "end_run", end_run)


def _requeues_count_as_retries() -> Any:
    original = outcome.judge

    def judge(*arguments: Any, **facts: Any) -> Any:
        verdict = original(*arguments, **facts)
        return outcome.Retry() if isinstance(verdict, outcome.Requeue) else verdict

    return patch.object(settler, "judge", judge)


async def _whatever_exists_is_ours(self: Any, effect: Any) -> None:
    return


def _dead_by_phase(pod: Any) -> bool:
    return pod.status.phase in {"Failed", "Succeeded"}


def _gone_is_dead() -> Any:
    """A pod object that is gone, or going, counts as dead at once."""

    def is_dead(pod: Any) -> bool:
        return pod.metadata.deletion_timestamp is not None

    return patch.object(pod_facts, "is_dead", is_dead)


# ---------------------------------------------------------------- the link and the node


def _pongs_without_renewal() -> Any:
    original = Hub.received

    def received(self: Hub, session: Any, message: Any) -> None:
        original(self, session, message)
        self._renewed = self._clock.monotonic() + 1
        self._vouch(session)

    return patch.multiple(Hub, received=received, may_dispatch=lambda self: self._epoch > 0)


def _older_epochs_are_obeyed() -> Any:
    original = execution.Executions._run_asked

    def run_asked(self: Any, event: Any) -> Any:
        return original(
            self,
            execution_events.RunAsked(
                event.execution_id, max(event.epoch, self.max_epoch), event.task_name, event.request
            ),
        )

    @contextmanager
    def both() -> Iterator[None]:
        with (
            patch.object(execution.Executions, "_run_asked", run_asked),
            patch.object(Hub, "may_dispatch", lambda self: self._epoch > 0),
        ):
            yield

    return both()


def _timer_in_the_agent() -> Any:
    """The agent ends runs when its time is over; a runner without one goes on."""

    def expire(self: SimulatedRunner) -> None:
        return

    def tell(self: Node) -> None:
        self._tell_runner("deadline", at=1e12)

        def over() -> None:
            if self._clock.boottime() >= self._deadline:
                for one in list(self._machine._runs):
                    self._tell_runner("kill", id=one, grace=0.0)

        if self._deadline:
            asyncio.get_running_loop().call_later(max(self._deadline - self._clock.boottime(), 0.0), over)

    return patch.multiple(Node, _tell_deadline=tell)


def _results_are_told_once() -> Any:
    def finished(self: Any, one: str, task_name: str, boot_id: str, ended: Any) -> Any:
        told = original(self, one, task_name, boot_id, ended)
        if isinstance(self._runs.get(one), execution._Ended):
            self._remember(one, execution._Settled(), 0.0)
            return [*told, execution_events.Forget((one,))]
        return told

    original = execution.Executions._finished
    return patch.object(execution.Executions, "_finished", finished)


BUGS: dict[str, Bug] = {
    "tasks of before an election do not wait": Bug(
        "S1.1", 60, _instead(takeover.Takeover, "must_hold", lambda *_: False)
    ),
    "a result is acknowledged before it is persisted": Bug("S5.2", 40, _acknowledged_before_persisted),
    "no barrier after an election": Bug("S2.2", 200, _instead(barrier.Barrier, "passed", _no_barrier)),
    "statuses are written without a test of the uid": Bug("S5.1", 200, _status_without_uid_test),
    "leaseTransitions stand still": Bug("S2.1", 60, _transitions_stand_still),
    "the dead-man timer sits in the agent": Bug("S3.1", 200, _timer_in_the_agent),
    "silent nodes are given up at once": Bug("S3.3", 60, _instead(silence, "UNREACHABLE_MARGIN", -8.0)),
    "pongs without a renewal, a deadline nobody looks at": Bug("S3.2", 400, _pongs_without_renewal),
    "a pod that is being deleted counts as dead": Bug("S4.1", 60, _gone_is_dead),
    "a pod counts as dead by its phase": Bug("S4.1", 400, _instead(pod_facts, "is_dead", _dead_by_phase)),
    "a requeue is dispatched before it is persisted": Bug("S1.1", 400, _requeued_before_persisted),
    "any run of a task counts as its present one": Bug("S1.1", 200, _any_run_of_the_task_counts),
    "slots are free when a kill is asked for": Bug("S4.1", 60, _slots_are_free_when_a_kill_is_asked),
    "requeues count as retries": Bug("S1.1", 60, _requeues_count_as_retries),
    "older epochs are obeyed, and the hub asks no deadline": Bug("S2.3", 400, _older_epochs_are_obeyed),
    "an object that exists is taken for ours": Bug(
        "S7.2", 400, _instead(applier.Applier, "_judge_existing", _whatever_exists_is_ours)
    ),
    "a result is told once": Bug("S5.2", 40, _results_are_told_once),
}
