"""What tasks left on nodes is removed when its time is over, and never what a run may still need."""

import asyncio
from typing import Any

from tests.controllers.task_stage import NS, Agent, Stage, played, ready_node

from batchpools.controllers.task.cleaning import ASKED_AGAIN, CLEAN_EVERY
from batchpools.core.views import TaskConstraints
from batchpools.kube.resources import POOL_NODES, TASKS
from batchpools.link.words import NodePhase
from batchpools.testing import builders

WORK = "workitems/primes/work"
SHORT = TaskConstraints(retention_time="1m")


async def ended(stage: Stage, agent: Agent, **spec: Any) -> None:
    """Task `primes.work` has run there, and ended now."""
    stage.task(constraints=SHORT, **spec)
    await stage.settle()
    agent.start(agent.runs[-1])
    agent.finish(agent.runs[-1])
    await stage.settle()


async def pass_time(stage: Stage, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await stage.settle()


async def begin(stage: Stage) -> Agent:
    stage.pool()
    await stage.lead()
    return await ready_node(stage)


@played
async def test_what_a_task_left_is_removed_once_when_its_retention_time_is_over(stage: Stage) -> None:
    agent = await begin(stage)
    await ended(stage, agent)
    await pass_time(stage, 59)
    assert stage.hub.removed == []
    await pass_time(stage, 1 + CLEAN_EVERY)
    assert stage.hub.removed == [(agent.uid, WORK)]
    await pass_time(stage, 20 * CLEAN_EVERY)
    assert stage.hub.removed == [(agent.uid, WORK)]
    await pass_time(stage, ASKED_AGAIN)
    assert stage.hub.removed == [(agent.uid, WORK)] * 2, "nobody has said whether it was done"
    assert stage.writes() == 1, "cleaning writes nothing to the API server"


@played
async def test_on_a_disabled_node_it_stays_until_the_node_is_enabled(stage: Stage) -> None:
    agent = await begin(stage)
    await ended(stage, agent)
    await _set_scheduling(stage, "Disabled")
    await pass_time(stage, 3600)
    assert stage.hub.removed == []
    await _set_scheduling(stage, "Enabled")
    await pass_time(stage, CLEAN_EVERY)
    assert stage.hub.removed == [(agent.uid, WORK)]


@played
async def test_a_task_that_is_to_be_retried_keeps_its_directory_however_long_it_waits(stage: Stage) -> None:
    agent = await begin(stage)
    stage.task(constraints=TaskConstraints(max_task_retry_count=1, retention_time="1s"))
    await stage.settle()
    stage.hub.leading = False  # the retry cannot be sent
    agent.finish(agent.runs[0], 1)
    await pass_time(stage, 600)
    assert (stage.status().state, stage.status().retry_count) == ("Active", 1)
    assert stage.hub.removed == []


@played
async def test_another_task_of_the_same_id_keeps_the_directory(stage: Stage) -> None:
    agent = await begin(stage)
    await ended(stage, agent)
    stage.kube.remove(TASKS, NS, "primes.work")
    stage.put(builders.task("primes.work", metadata=builders.meta("primes.work", kind="Task", uid="second")))
    await stage.settle()
    assert stage.hub.removed == [(agent.uid, WORK)], "what the deleted one left goes before the other one runs"
    assert agent.runs[-1].execution_id.startswith("second")
    await pass_time(stage, 3600)
    assert len(stage.hub.removed) == 1


@played
async def test_a_new_leader_and_a_runner_that_began_anew_are_asked_again(stage: Stage) -> None:
    agent = await begin(stage)
    await ended(stage, agent)
    await pass_time(stage, 60 + CLEAN_EVERY)
    assert len(stage.hub.removed) == 1
    agent.leave()
    agent.boot_id = "another"
    agent.connect()
    agent.tell()
    await pass_time(stage, CLEAN_EVERY)
    assert len(stage.hub.removed) == 2
    await stage.fail_over()
    agent.connect()
    agent.tell()
    await pass_time(stage, CLEAN_EVERY)
    assert stage.hub.removed == [(agent.uid, WORK)]


@played
async def test_a_node_that_is_not_up_is_asked_when_it_is(stage: Stage) -> None:
    agent = await begin(stage)
    await ended(stage, agent)
    agent.connect(NodePhase.STARTING)
    await pass_time(stage, 600)
    assert stage.hub.removed == []
    agent.connect()
    await pass_time(stage, CLEAN_EVERY)
    assert stage.hub.removed == [(agent.uid, WORK)]


@played
async def test_files_of_a_task_that_is_deleted_while_its_node_is_away_go_when_it_is_back(stage: Stage) -> None:
    agent = await begin(stage)
    await ended(stage, agent)
    agent.leave()
    stage.kube.remove(TASKS, NS, "primes.work")
    await pass_time(stage, CLEAN_EVERY)
    assert stage.hub.removed == []
    agent.connect()
    agent.tell()
    await pass_time(stage, CLEAN_EVERY)
    assert stage.hub.removed == [(agent.uid, WORK)]
    await pass_time(stage, 600)
    assert len(stage.hub.removed) == 1


@played
async def test_a_task_that_was_requeued_is_cleaned_on_every_node_that_it_may_have_been_on(stage: Stage) -> None:
    first = await begin(stage)
    stage.task(constraints=SHORT)
    await stage.settle()
    first.start(first.runs[0])
    second = await ready_node(stage, "n2")
    first.finish(first.runs[0], None, cause="bootLost")
    await stage.settle()
    last = second if second.runs else first
    last.finish(last.runs[-1])
    await stage.settle()
    await pass_time(stage, 60 + CLEAN_EVERY)
    assert sorted(stage.hub.removed) == [(first.uid, WORK), (second.uid, WORK)]


async def _set_scheduling(stage: Stage, state: str) -> None:
    change = [{"op": "add", "path": "/spec/schedulingState", "value": state}]
    await stage.kube.patch(POOL_NODES, NS, "n1", change)
    await stage.settle()
