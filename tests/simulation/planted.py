"""Bugs that a system like this could have, each planted for the length of a `with`. Production code has no branch for them.

A bug breaks one rule of docs/safety.md; the checker must find it within the stated number of seeds.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from unittest.mock import patch

import msgspec

from batchpools.agent.node import Node
from batchpools.api import names
from batchpools.api.states import NodeDeallocationOption
from batchpools.controllers.task import cleaning, dispatcher, ledger, settler, silence, takeover
from batchpools.controllers.task.entry import Entry, directory_of
from batchpools.controllers.task.ledger import RunLedgerOfLeader
from batchpools.core import execution, execution_events
from batchpools.core.pools import emptying, node_plan, pod_facts, pool_plan, resize
from batchpools.core.tasks import outcome
from batchpools.core.tasks import status as statuses
from batchpools.core.tasks.lifecycle import OnNode, Settling, Why
from batchpools.hub.server import Hub
from batchpools.kube import barrier, lease
from batchpools.testing import runner_model
from batchpools.testing.simulation.api_server import Door
from batchpools.testing.simulation.history import Script, script_of
from batchpools.testing.simulation.stage import Act
from batchpools.testing.simulation.workload import Size


def _cold(script: Script) -> Script:
    """A bug that is planted is there from the beginning."""
    return replace(script, is_warm=False)


@dataclass(frozen=True)
class Bug:
    """A planted bug: the rule that it breaks, within how many seeds it is found, how it is planted, and scripts that reach it."""

    rule: str
    within: int
    plant: Callable[[], Any]
    script: Callable[[int], Script] = lambda seed: _cold(script_of(10 * seed + 1))


def _of(*kinds: str) -> Callable[[int], Script]:
    """Scripts of these kinds of acts alone."""
    return lambda seed: _cold(script_of(10 * seed + 1, kinds))


def _with_two_containers(script: Callable[[int], Script]) -> Callable[[int], Script]:
    """The same, on nodes with two containers."""

    def further(seed: int) -> Script:
        drawn = script(seed)
        return replace(drawn, size=replace(drawn.size, further=True))

    return further


def _around(*acts: Act) -> Callable[[int], Script]:
    """Scripts of these acts, all put off by the same while, on a busy cluster with some more of the user's."""

    def script(seed: int) -> Script:
        random = Random(seed)  # noqa: S311 (a played world)
        later = random.uniform(0.0, 4.0)
        more = [
            Act(random.uniform(0.5, 3.0), "add-task", random.randrange(64), 0.0, random.randrange(8)) for _ in range(8)
        ]
        moved = [replace(act, at=act.at + later + random.uniform(0.0, 0.3)) for act in acts]
        return Script(seed, _BUSY, tuple(sorted([*more, *moved], key=lambda act: act.at)))

    return script


_BUSY = Size(tasks=24, seconds=45.0, long=(20.0, 40.0))


def _files_with_the_first_run_alone() -> Any:
    files_of = dispatcher.Dispatcher._files

    def first(self: Any, view: Any, job: Any) -> Any:
        return [] if view.status.requeue_count else files_of(self, view, job)

    return patch.object(dispatcher.Dispatcher, "_files", first)


def _instead(owner: Any, name: str, function: Any) -> Callable[[], Any]:
    return lambda: patch.object(owner, name, function)


# ---------------------------------------------------------------- the leader


async def _no_barrier(self: Any, epoch: int) -> None:
    return


def _acknowledged_before_persisted() -> Any:
    original = settler.Settler._write

    def write(self: settler.Settler, entry: Entry, verdict: Any, status: Any, *how: Any) -> None:
        if isinstance(entry.state, Settling):
            self._acknowledge(entry.state)
        original(self, entry, verdict, status, *how)

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


def _requeues_are_not_counted() -> Any:
    original = statuses.again

    def again(before: Any, verdict: Any, **facts: Any) -> Any:
        told = original(before, verdict, **facts)
        return msgspec.structs.replace(told, requeue_count=before.requeue_count)

    return patch.object(statuses, "again", again)


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

    def follow(self: Hub) -> None:
        """It goes on as if it led."""

    return patch.multiple(Hub, received=received, follow=follow, may_dispatch=lambda self: self._epoch > 0)


def _older_epochs_are_obeyed() -> Any:
    """A leader that cannot renew goes on, and agents obey whoever speaks."""
    original = execution.Executions._run_asked

    def run_asked(self: Any, event: Any) -> Any:
        newest = max(event.epoch, self.max_epoch)
        return original(self, execution_events.RunAsked(event.execution_id, newest, event.task_name, event.request))

    async def step_down(self: Any) -> None:
        """It does not."""

    @contextmanager
    def all_of_it() -> Iterator[None]:
        with (
            patch.object(execution.Executions, "_run_asked", run_asked),
            patch.object(Hub, "may_dispatch", lambda self: self._epoch > 0),
            patch.object(lease.LeaderElector, "_step_down", step_down),
            patch.object(lease.LeaderElector, "epoch", property(lambda self: self._epoch)),
        ):
            yield

    return all_of_it()


def _timer_in_the_agent() -> Any:
    """The agent ends runs when its time is over; a runner without one goes on."""

    def tell(self: Node) -> None:
        self._runners.tell_all("deadline", at=1e12)

        def over() -> None:
            if self._clock.boottime() >= self._deadline:
                for one in list(self._machine._runs):
                    self._runners.tell_all("kill", id=one, grace=0.0)

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


def _one_containers_crash_is_taken_for_anothers() -> Any:
    """What a runner does not know of is lost, whichever container it runs in."""

    def lose(self: Any, present: Any, last_word: Any, container: str) -> Any:
        return [told for one in self.containers for told in original(self, present, last_word, one)]

    original = execution.Executions._lose_all_but
    return patch.object(execution.Executions, "_lose_all_but", lose)


def _an_account_of_one_container_counts_for_all() -> Any:
    """What an agent does not know yet of a container's runs is taken for nothing."""

    def met(self: Any) -> bool:
        return any(one.boot_id for one in self._there.values())

    return patch.object(execution.Executions, "is_complete", property(met))


def _nobody_looks_whether_a_node_is_empty_before_it_is_rebooted() -> Any:
    """Neither the leader, nor the agent, nor the runner."""

    def begin_anew(self: Any, event: Any) -> Any:
        if not isinstance(event, execution_events.RestartAsked):
            return original(self, event)
        return [execution_events.Restart(event.boot_id)] if event.boot_id == self.boot_id else []

    def restart(self: Any, agent: Any, message: Any) -> None:
        if message["boot"] == self.boot_id and not self.stopping:
            self._leave(names.RESTART_EXIT_CODE)

    original = execution.Executions._node_changes

    @contextmanager
    def all_of_it() -> Iterator[None]:
        with (
            patch.object(RunLedgerOfLeader, "is_drained", RunLedgerOfLeader.is_draining),
            patch.object(execution.Executions, "_node_changes", begin_anew),
            patch.object(runner_model.RunnerModel, "_restart", restart),
        ):
            yield

    return all_of_it()


# ---------------------------------------------------------------- pools


def _nodes_that_leave_are_emptied_at_once() -> Any:
    """Whatever the pool's option is."""
    original = emptying.emptied_by

    def emptied_by(node: Any, pool: Any) -> Any:
        option = original(node, pool)
        return NodeDeallocationOption.REQUEUE if option is not None and emptying.is_leaving(node) else option

    return patch.object(node_plan, "emptied_by", emptied_by)


def _one_node_more_is_made() -> Any:
    original = resize.names_to_make

    def names_to_make(pool: str, taken: Any, count: int, **sort: Any) -> list[str]:
        return original(pool, taken, count + 1 if count > 0 else count, **sort)

    return patch.object(resize, "names_to_make", names_to_make)


def _one_node_less_leaves() -> Any:
    original = resize.next_step

    def next_step(situation: Any, target: Any, **how: Any) -> Any:
        found = original(situation, target, **how)
        return replace(found, delete=found.delete[1:])

    return patch.object(pool_plan, "next_step", next_step)


def _what_tasks_left_is_removed_before_they_have_ended() -> Any:
    def clean(self: Any, view: Any, _: Any) -> None:
        for node in self._nodes_of(view):
            self._hub.remove_directory(node.status.pod_uid, directory_of(view))

    @contextmanager
    def all_of_it() -> Iterator[None]:
        with (
            patch.object(cleaning, "is_over", lambda *_: True),
            patch.object(cleaning.Cleaning, "_clean", clean),
        ):
            yield

    return all_of_it()


_LEADERS = ("crash-operator", "stop-operator", "pause-operator")
_NODES = ("kill-container", "evict-pod", "delete-pod", "lose-pod", "cut-machine", "cut-link", "delete-node")
_LEADER, _STANDBY = 0, 1  # targets

BUGS: dict[str, Bug] = {
    "tasks of before an election do not wait": Bug(
        "S1.1",
        20,
        _instead(takeover.Takeover, "must_hold", lambda *_: False),
        _around(*(Act(1.0, "cut-link", pod, 30.0, 5) for pod in (0, 1)), Act(1.2, "crash-operator", _LEADER, 1.0)),
    ),
    "a result is acknowledged before it is persisted": Bug("S5.2", 10, _acknowledged_before_persisted),
    "no barrier after an election": Bug(
        "S2.2",
        20,
        _instead(barrier.Barrier, "passed", _no_barrier),
        _around(
            Act(1.5, "cut-api", _STANDBY, 0.5),  # some of its watches die of it, and it does not know
            *(Act(4.0, "evict-pod", pod) for pod in range(3)),
            Act(8.0, "stop-operator", _LEADER, 40.0),
        ),
    ),
    "statuses are written without a test of the uid": Bug(
        "S5.1", 30, _status_without_uid_test, _of("recreate-task", "api-errors", "slow-watch", "add-task")
    ),
    "leaseTransitions stand still": Bug(
        "S2.1",
        20,
        _transitions_stand_still,
        _around(Act(0.5, "cut-machine", 1, 40.0), Act(1.0, "crash-operator", _LEADER, 3.0)),
    ),
    "the dead-man timer sits in the agent": Bug(
        "S3.1",
        40,
        _timer_in_the_agent,
        _around(Act(1.0, "cut-machine", 1, 40.0), *(Act(1.5, "kill-agent", pod) for pod in range(3))),
    ),
    "silent nodes are given up at once": Bug(
        "S3.3",
        20,
        _instead(silence, "UNREACHABLE_MARGIN", -8.0),
        _of("cut-link", "cut-machine", "pause-agent", "add-task"),
    ),
    "pongs without a renewal, from a leader that was deposed": Bug(
        "S3.2",
        20,
        _pongs_without_renewal,
        _around(Act(1.0, "cut-api", _LEADER, 40.0), *(Act(1.0, "cut-link", pod, 40.0, 5) for pod in (1, 3))),
    ),
    "a pod that is being deleted counts as dead": Bug(
        "S4.1", 20, _gone_is_dead, _of("delete-pod", "lose-pod", "add-task")
    ),
    "a pod counts as dead by its phase": Bug(
        "S4.1", 20, _instead(pod_facts, "is_dead", _dead_by_phase), _of("lose-pod", "add-task")
    ),
    "slots are free when a kill is asked for": Bug(
        "S4.1",
        20,
        _slots_are_free_when_a_kill_is_asked,
        _of("delete-node", "delete-task", "recreate-task", "pause-runner", "scale"),
    ),
    "a run awaits the files of an agent that is gone, for ever": Bug(
        "S1.1",
        20,
        _instead(runner_model.RunnerModel, "_lose_what_awaits", lambda *_: []),
        _of("kill-agent", "add-task"),
    ),
    "a run that is repeated elsewhere is sent without its files": Bug(
        "S1.1", 20, _files_with_the_first_run_alone, _of(*_NODES)
    ),
    "requeues count as retries": Bug("S1.1", 10, _requeues_count_as_retries, _of(*_NODES)),
    "requeues are not counted": Bug("S1.1", 10, _requeues_are_not_counted, _of(*_NODES)),
    "a leader that cannot renew goes on, and older epochs are obeyed": Bug(
        "S2.3", 20, _older_epochs_are_obeyed, _around(Act(0.5, "cut-api", _LEADER, 30.0))
    ),
    "a node is rebooted under its tasks": Bug(
        "S6.4", 20, _nobody_looks_whether_a_node_is_empty_before_it_is_rebooted, _of("ask-node", "add-task")
    ),
    "tasks that are to be awaited are killed with their node": Bug(
        "S6.1",
        20,
        _instead(ledger, "why_ended", lambda _: Why.DRAINED),
        _of("ask-node", "disable-node", "add-task"),
    ),
    "nodes that leave are emptied at once, whatever the pool's option": Bug(
        "S6.1", 20, _nodes_that_leave_are_emptied_at_once, _of("scale", "add-task")
    ),
    "a pool makes one node more than it is to have": Bug("target", 5, _one_node_more_is_made, _of("scale")),
    "a pool keeps one node more than it is to have": Bug("target", 10, _one_node_less_leaves, _of("scale")),
    "what tasks left is removed before they have ended": Bug(
        "S8.2", 10, _what_tasks_left_is_removed_before_they_have_ended, _of("kill-container", "evict-pod", "add-task")
    ),
    "the crash of one container is taken for that of another": Bug(
        "S1.3", 10, _one_containers_crash_is_taken_for_anothers, _with_two_containers(_of("kill-container", "add-task"))
    ),
    "an account of one container counts for all": Bug(
        "S1.3",
        20,
        _an_account_of_one_container_counts_for_all,
        _with_two_containers(
            _around(
                *(Act(2.5, "pause-runner", pod, 8.0, flavour=1) for pod in range(3)),
                *(Act(3.0, "kill-agent", pod) for pod in range(3)),
            )
        ),
    ),
    "a result is told once": Bug("S5.2", 10, _results_are_told_once, _of("reset-link", "crash-operator", "kill-agent")),
}
