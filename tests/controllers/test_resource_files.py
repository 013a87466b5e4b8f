"""Tasks with resource files: what a node is asked to bring, and when; what no node may bring fails with a sentence."""

from typing import Any

import pytest
from tests.controllers.task_stage import NS, Agent, Stage, played, ready_node

from batchpools.core.node_config import FileSource
from batchpools.core.views import ResourceFile, TaskConstraints
from batchpools.kube.resources import EVENTS
from batchpools.link.messages import NodeReport
from batchpools.link.words import Cause, NodePhase

URL = "https://example.com/input"
LICENCE, STORE = "licence", "store"  # names
FILES = (ResourceFile(http_url=URL, file_path="in/x", file_mode="640", sha256="a" * 64),)


def fetches(stage: Stage, agent: Agent) -> None:
    """The node's agent says that it brings files."""
    report = NodeReport(NodePhase.READY, agent.boot_id, agent.slots, None, "", fetches=True)
    stage.ledger.node_reported(agent.identity, report)


async def fetching_node(stage: Stage, name: str = "n1", **fields: Any) -> Agent:
    agent = await ready_node(stage, name, **fields)
    fetches(stage, agent)
    return agent


@played
async def test_files_go_with_the_first_run_and_a_retry_finds_them_there(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await fetching_node(stage)
    stage.task(resource_files=FILES, constraints=TaskConstraints(max_task_retry_count=1))
    await stage.settle()
    assert agent.runs[-1].files == [FileSource("Http", URL, "in/x", 0o640, "", "a" * 64)]
    agent.start(agent.runs[-1])
    agent.finish(agent.runs[-1], 7)
    await stage.settle()
    assert (agent.runs[-1].files, agent.runs[-1].fresh) == ([], False)


@played
async def test_a_run_that_was_lost_has_its_files_brought_again(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    agent = await fetching_node(stage)
    stage.task(resource_files=FILES)
    await stage.settle()
    agent.start(agent.runs[-1])
    agent.finish(agent.runs[-1], None, cause=Cause.BOOT_LOST, message="the agent that was bringing its files is gone")
    await stage.settle()
    assert len(agent.runs) == 2
    assert (agent.runs[-1].files, agent.runs[-1].fresh) == (agent.runs[0].files, True)
    assert stage.status().retry_count == 0


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("BlobNotFound", "UserError"),
        ("BlobAccessDenied", "UserError"),
        ("ResourceContainerNotFound", "UserError"),
        ("BlobDownloadTimedOut", "ServerError"),
        ("BlobDownloadMiscError", "ServerError"),
        ("ResourceFileWriteFailed", "ServerError"),
        ("ResourceContainerListTimedOut", "ServerError"),
    ],
)
def test_a_file_that_cannot_be_had_fails_the_task_and_is_not_retried(code: str, category: str) -> None:
    @played
    async def play(stage: Stage) -> None:
        stage.pool()
        await stage.lead()
        agent = await fetching_node(stage)
        stage.task(resource_files=FILES, constraints=TaskConstraints(max_task_retry_count=5))
        await stage.settle()
        agent.start(agent.runs[-1])
        sentence = f"in/x: {URL} was answered with 404"
        agent.finish(agent.runs[-1], None, cause=Cause.LAUNCH_FAILED, code=code, message=sentence)
        await stage.settle()
        status = stage.status()
        assert (status.state, status.result, status.exit_code, status.retry_count) == ("Completed", "Failure", None, 0)
        assert status.failure_info is not None
        assert (status.failure_info.category, status.failure_info.code) == (category, code)
        assert status.failure_info.message == sentence
        assert len(agent.runs) == 1

    play()


@played
async def test_a_node_of_an_earlier_release_gets_none_of_them_and_those_behind_go_on(stage: Stage) -> None:
    stage.pool()
    await stage.lead()
    old = await ready_node(stage, slots=2)
    stage.task("primes.files", resource_files=FILES)
    stage.task("primes.plain")
    await stage.settle()
    assert [run.task_name for run in old.runs] == ["primes.plain"]
    explained = stage.ledger.explain(NS, "primes.files")
    assert explained is not None
    assert ("n1", "Its agent is of an earlier release and brings no files.") in explained.refusals
    new = await fetching_node(stage, "n2")
    await stage.settle()
    assert [run.task_name for run in new.runs] == ["primes.files"]


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (
            ResourceFile(config_map_name="scene"),
            "resourceFiles names ConfigMap scene, which pool demo does not list in configMapReferences",
        ),
        (
            ResourceFile(secret_name=LICENCE),
            "resourceFiles names Secret licence, which pool demo does not list in secretReferences",
        ),
        (
            ResourceFile(http_url=URL, file_path="x", credentials_secret_name=STORE),
            "resourceFiles names Secret store, which pool demo does not list in secretReferences",
        ),
    ],
)
def test_what_the_pool_does_not_list_fails_the_task_with_a_sentence_and_an_event(
    file: ResourceFile, sentence: str
) -> None:
    @played
    async def play(stage: Stage) -> None:
        stage.pool(config_map_references=("other",), secret_references=("other",))
        await stage.lead()
        agent = await fetching_node(stage)
        stage.task("primes.files", resource_files=(file,))
        stage.task("primes.plain")
        await stage.settle()
        status = stage.status("primes.files")
        assert (status.state, status.result) == ("Completed", "Failure")
        assert status.failure_info is not None
        assert (status.failure_info.category, status.failure_info.code) == ("UserError", "BlobAccessDenied")
        assert sentence in status.failure_info.message
        (event,) = stage.kube.objects(EVENTS, NS)
        assert event["reason"] == "BlobAccessDenied"
        assert [run.task_name for run in agent.runs] == ["primes.plain"], "its room is free for the next one"

    play()


@played
async def test_listed_ones_go_with_the_run(stage: Stage) -> None:
    stage.pool(config_map_references=("scene",), secret_references=("licence", "store"))
    await stage.lead()
    agent = await fetching_node(stage)
    files = (
        ResourceFile(config_map_name="scene", file_path="in"),
        ResourceFile(secret_name=LICENCE),
        ResourceFile(storage_container_url=URL, blob_prefix="a/", credentials_secret_name=STORE),
        ResourceFile(auto_storage_container_name="data"),
    )
    stage.task(resource_files=files)
    await stage.settle()
    assert agent.runs[-1].files == [
        FileSource("ConfigMap", "scene", "in"),
        FileSource("Secret", "licence"),
        FileSource("Container", URL, prefix="a/", credentials="store"),
        FileSource("AutoStorage", "data"),
    ]
