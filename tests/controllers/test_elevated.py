"""Tasks that ask to be root: where they go, that they wait for a node that was made for it, and what they get where none may."""

import asyncio

from tests.controllers.pool_stage import NS, Replica, live, pass_time, play
from tests.controllers.task_stage import Stage, played, ready_node

from batchpools.core.views import JobConstraints
from batchpools.kube.errors import ForbiddenError
from batchpools.kube.resources import EVENTS, POOL_NODES, POOLS
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube

SENTENCE = 'pods "demo-elevation" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'


@played
async def test_an_elevated_task_waits_for_a_node_that_was_made_for_it_and_others_do_not(stage: Stage) -> None:
    stage.pool(allow_elevated=True)
    await stage.lead()
    old = await ready_node(stage)
    stage.task("primes.high", elevated=True)
    stage.task("primes.low")
    await stage.settle()
    assert [run.task_name for run in old.runs] == ["primes.low"]
    assert stage.status("primes.high").state == "Active"
    new = stage.node("n2")
    new.elevates = True
    new.connect()
    new.tell()
    await stage.settle()
    (run,) = new.runs
    assert (run.task_name, run.elevated, old.runs[0].elevated) == ("primes.high", True, False)


@played
async def test_where_no_task_may_be_root_it_fails_with_a_sentence_and_an_event_and_its_neighbours_go_on(
    stage: Stage,
) -> None:
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    stage.task("primes.high", elevated=True)
    stage.task("primes.low")
    await stage.settle()
    status = stage.status("primes.high")
    assert (status.state, status.result, status.exit_code) == ("Completed", "Failure", None)
    assert status.failure_info is not None
    assert (status.failure_info.category, status.failure_info.code) == ("UserError", "ElevationNotAllowed")
    assert "pool demo does not say allowElevated: true" in status.failure_info.message
    (event,) = stage.kube.objects(EVENTS, NS)
    assert (event["reason"], event["message"]) == ("ElevationNotAllowed", status.failure_info.message)
    assert (event["type"], event["involvedObject"]["name"]) == ("Warning", "primes.high")
    assert [run.task_name for run in agent.runs] == ["primes.low"], "its room is free for the next one"
    await asyncio.sleep(60.0)
    await stage.settle()
    assert stage.ledger.entries == 1, "the book has forgotten it"


@played
async def test_a_retry_is_not_elevated_any_more_once_its_pool_does_not_allow_it(stage: Stage) -> None:
    stage.put(builders.job("primes", constraints=JobConstraints(max_task_retry_count=3)))
    stage.pool(allow_elevated=True)
    await stage.lead()
    agent = stage.node("n1")
    agent.elevates = True
    agent.connect()
    agent.tell()
    stage.task(elevated=True)
    await stage.settle()
    (run,) = agent.runs
    stage.pool()
    await stage.settle()
    agent.finish(run, 1)
    await stage.settle()
    assert len(agent.runs) == 1
    status = stage.status()
    assert (status.state, status.retry_count) == ("Completed", 1)
    assert status.failure_info is not None
    assert status.failure_info.code == "ElevationNotAllowed"


def test_a_namespace_that_takes_no_root_is_said_before_there_is_a_node_and_asked_again() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.faults.fail("rehearse", ForbiddenError(SENTENCE, 403), kind="Pod", times=3)
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=2, allow_elevated=True)))
        await pass_time(10)
        assert live(kube, POOL_NODES) == []
        held = kube.object(POOLS, NS, "demo")
        assert held is not None
        told = {one["type"]: (one["status"], one["reason"], one["message"]) for one in held["status"]["conditions"]}
        assert told["Stalled"] == ("True", "ElevationForbidden", SENTENCE)
        await pass_time(60)
        assert live(kube, POOL_NODES) == ["demo-0000", "demo-0001"], "somebody has opened the namespace"
        asked = kube.count("rehearse")
        await pass_time(200)
        assert kube.count("rehearse") == asked == 4

    play(story)


def test_nobody_is_asked_for_a_pool_without_root() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1)))
        await pass_time(10)
        assert kube.count("rehearse") == 0
        assert live(kube, POOL_NODES) == ["demo-0000"]

    play(story)


def test_a_quota_that_is_used_up_is_no_answer() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.faults.fail("rehearse", ForbiddenError('pods "x" is forbidden: exceeded quota: q', 403), kind="Pod")
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1, allow_elevated=True)))
        await pass_time(10)
        assert live(kube, POOL_NODES) == ["demo-0000"]

    play(story)
