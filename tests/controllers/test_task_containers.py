"""Tasks that name a container: they go where it is, and fail with a sentence where it is not."""

from typing import Any

from tests.controllers.task_stage import NS, Agent, Stage, played, ready_node, run_of

from batchpools.kube.resources import EVENTS, TASKS
from batchpools.link.messages import NodeReport
from batchpools.link.words import NodePhase


def template(*containers: str) -> dict[str, Any]:
    """The spec of a pool with these containers."""
    made = [{"name": name, "image": "image"} for name in containers]
    return {"image": "", "template": {"spec": {"containers": made}}}


def has(stage: Stage, agent: Agent, *containers: str) -> None:
    """The node's agent says which containers its pod has."""
    report = NodeReport(NodePhase.READY, agent.boot_id, agent.slots, None, "", containers=list(containers))
    stage.ledger.node_reported(agent.identity, report)


@played
async def test_a_task_runs_in_the_container_that_it_names_on_a_node_that_has_it(stage: Stage) -> None:
    stage.pool(**template("task", "tool"))
    await stage.lead()
    old = await ready_node(stage, "n1", slots=4)
    stage.task("primes.work", container="tool")
    stage.task("primes.plain")
    await stage.settle()
    assert [(run.task_name, run.container) for run in old.runs] == [("primes.plain", "task")], "n1 is of before"
    explained = stage.ledger.explain(NS, "primes.work")
    assert explained is not None
    assert ("n1", "Its pod has no container 'tool'.") in explained.refusals
    new = await ready_node(stage, "n2")
    has(stage, new, "task", "tool")
    await stage.settle()
    assert [(run.task_name, run.container) for run in new.runs] == [("primes.work", "tool")]


@played
async def test_a_container_that_the_pool_does_not_have_fails_the_task_with_a_code_and_one_event(stage: Stage) -> None:
    stage.pool(**template("task", "tool"))
    await stage.lead()
    agent = await ready_node(stage)
    stage.task(container="tol")
    await stage.settle()
    status = stage.status()
    assert status.failure_info is not None
    assert (status.state, status.result, status.exit_code) == ("Completed", "Failure", None)
    assert (status.failure_info.category, status.failure_info.code) == ("UserError", "ContainerInvalidSettings")
    assert status.failure_info.message == "Pool 'demo' has no container 'tol'; its containers are: task, tool."
    (event,) = stage.kube.objects(EVENTS, NS)
    assert (event["type"], event["reason"]) == ("Warning", "ContainerInvalidSettings")
    assert agent.runs == []
    assert stage.writes() == 1


@played
async def test_a_task_that_is_shown_before_the_change_of_its_pool_does_not_fail(stage: Stage) -> None:
    """The watches of tasks and pools are two: the API server has the last word."""
    stage.pool()
    await stage.lead()
    agent = await ready_node(stage)
    has(stage, agent, "task", "tool")
    before = stage.cache.pools.get(NS, "demo")
    assert before is not None
    stage.pool(**template("task", "tool"))
    stage.task(container="tool")
    stage.hides = {"pools"}
    await stage.settle()
    assert stage.status().state == "Active"
    assert agent.runs == []
    stage.hides = set()
    await stage.settle()
    assert [run.container for run in agent.runs] == ["tool"]


@played
async def test_a_task_whose_container_went_with_a_changed_template_goes_on_where_it_runs_and_fails_when_it_is_to_run_again(
    stage: Stage,
) -> None:
    stage.pool(**template("task", "tool"))
    await stage.lead()
    agent = await ready_node(stage)
    has(stage, agent, "task", "tool")
    stage.task(container="tool")
    await stage.settle()
    (run,) = agent.runs
    agent.start(run)
    stage.pool(**template("task"))
    await stage.settle()
    assert (stage.hub.kills, list(stage.kube.objects(EVENTS, NS))) == ([], []), "it runs in a pod that has it"
    agent.finish(run, None, cause="bootLost")
    await stage.settle()
    failed = stage.status().failure_info
    assert failed is not None
    assert failed.code == "ContainerInvalidSettings"
    assert stage.status().requeue_count == 1


@played
async def test_a_leader_that_dies_before_the_end_is_written_leaves_it_to_the_next(stage: Stage) -> None:
    stage.pool(**template("task", "tool"))
    stage.task(container="tol")
    stage.epoch = 1
    stage.sync()
    stage.ledger.lead(1)
    await stage.fail_over()
    await stage.settle()
    failed = stage.status().failure_info
    assert failed is not None
    assert failed.code == "ContainerInvalidSettings"


@played
async def test_a_run_in_a_further_container_is_adopted_after_a_change_of_leader(stage: Stage) -> None:
    stage.pool(**template("task", "tool"))
    stage.node("n1")
    stage.task(container="tool")
    await stage.lead(2)
    agent = Agent(stage, "n1", "demo", 1)
    agent.connect()
    has(stage, agent, "task", "tool")
    agent.tell((run_of(1, 1), stage.unix_time(), "primes.work"))
    await stage.settle()
    assert (agent.runs, stage.hub.kills) == ([], [])
    agent.finish(run_of(1, 1))
    await stage.settle()
    item = stage.kube.object(TASKS, NS, "primes.work")
    assert item is not None
    assert item["status"]["result"] == "Success"
