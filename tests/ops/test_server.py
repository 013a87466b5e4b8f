"""The aggregated API over real TLS: who may ask, what it serves, logs as they come, explanations, refusals in sentences."""

import asyncio
import logging
import ssl
from pathlib import Path

import aiohttp
import pytest
from e2e.cluster import pki
from tests.kube.conftest import until
from tests.ops.stage import BASE, PROXY, TASK, Stage

from batchpools.core.ledger import NodeRuns


@pytest.mark.parametrize("who", ["", "somebody-else"])
async def test_only_the_api_server_may_ask_and_a_stranger_is_logged_once(
    stage: Stage, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.client(who) as client:
        answers = [await client.get(path) for path in (BASE, BASE, f"{TASK}/logs", "/nowhere")]
        assert [one.status for one in answers] == [401] * 4
        assert (await answers[0].json())["kind"] == "Status"
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert (who or "no certificate") in line


async def test_a_certificate_of_another_authority_ends_the_handshake(stage: Stage) -> None:
    async with stage.client(PROXY, authority=pki._authority("somebody")) as client:
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await client.get(BASE)


async def test_any_name_will_do_where_the_cluster_names_none(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.publish()
    await stage.start()
    try:
        async with stage.client("whoever") as client:
            assert (await client.get(BASE)).status == 200
    finally:
        await stage.server.stop()


async def test_a_cluster_without_aggregation_gets_no_server_and_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(tmp_path)
    await stage.start()
    assert "no aggregation layer" in caplog.text
    async with stage.client() as client:
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(BASE)
    await stage.server.stop()


async def test_it_says_what_it_serves_and_nothing_else(stage: Stage) -> None:
    async with stage.client() as client:
        listed = await (await client.get(BASE)).json()
        assert [one["name"] for one in listed["resources"]] == [
            "tasks/logs",
            "tasks/explain",
            "noderuns",
            "pools/evaluate",
        ]
        group = await (await client.get("/apis/ops.batchpools.dev")).json()
        assert (await (await client.get("/apis")).json())["groups"] == [group]
        for path in ("/etc/passwd", "/openapi", f"{BASE}/namespaces/default/tasks/..%2f..%2fsecret/logs"):
            answer = await client.get(path)
            assert (answer.status, (await answer.json())["reason"]) == (404, "NotFound"), path
        posted = await client.post(f"{TASK}/logs")
        assert (posted.status, (await posted.json())["reason"]) == (405, "MethodNotAllowed")
    assert stage.files.asked == []


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_it_has_openapi_documents_without_paths_for_an_api_server_logs_their_absence(
    stage: Stage, version: str
) -> None:
    async with stage.client() as client:
        answer = await client.get(f"/openapi/{version}")
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert (await answer.json())["paths"] == {}


async def test_a_log_is_read_whole_or_from_its_end(stage: Stage) -> None:
    stage.put_task()
    stage.put_node(content=b"one\ntwo\nthree\n")
    async with stage.client() as client:
        assert await (await client.get(f"{TASK}/logs")).read() == b"one\ntwo\nthree\n"
        assert await (await client.get(f"{TASK}/logs?tail=2&stream=stderr")).read() == b"two\nthree\n"
    assert set(stage.files.asked) == {"workitems/words/raven/stdout.txt", "workitems/words/raven/stderr.txt"}


@pytest.mark.parametrize("query", ["stream=secrets", "tail=-1", "tail=²", "tail=9999999999", "follow=perhaps"])
async def test_a_question_that_makes_no_sense_is_refused_with_a_sentence(stage: Stage, query: str) -> None:
    stage.put_task()
    async with stage.client() as client:
        answer = await client.get(f"{TASK}/logs?{query}")
        assert (answer.status, (await answer.json())["reason"]) == (400, "BadRequest")


async def test_a_followed_log_arrives_as_it_is_written_and_ends_with_the_task(stage: Stage) -> None:
    stage.put_task("Running")
    stage.put_node(content=b"first\n")
    async with stage.client() as client, client.get(f"{TASK}/logs?follow=true") as answer:
        assert await answer.content.readline() == b"first\n"
        stage.put_node(content=b"first\nsecond\n")
        assert await answer.content.readline() == b"second\n"
        stage.put_node(content=b"first\nsecond\nlast\n")
        stage.put_task("Completed")
        assert await asyncio.wait_for(answer.content.read(), 10) == b"last\n"


async def test_a_log_that_is_cut_does_not_look_whole(stage: Stage) -> None:
    stage.put_task("Running")
    stage.put_node(content=b"first\n")
    async with stage.client() as client, client.get(f"{TASK}/logs?follow=true") as answer:
        assert await answer.content.readline() == b"first\n"
        stage.files.error = "NotRegular"
        with pytest.raises(aiohttp.ClientError):
            await answer.content.read()


async def test_a_reader_who_goes_away_ends_the_reading_of_a_file_that_does_not_grow(stage: Stage) -> None:
    stage.put_task("Running")
    stage.put_node(content=b"first\n")
    before = asyncio.all_tasks()
    async with stage.client() as client:
        answer = await client.get(f"{TASK}/logs?follow=true")
        assert await answer.content.readline() == b"first\n"
        assert asyncio.all_tasks() - before
        answer.close()
    await until(lambda: not asyncio.all_tasks() - before)


async def test_what_cannot_be_read_is_said_in_a_sentence(stage: Stage) -> None:
    async with stage.client() as client:
        answer = await client.get(f"{TASK}/logs")
        assert answer.status == 404
        assert (await answer.json())["message"] == "Task 'words.raven' is not in namespace 'default'."
        stage.put_task()
        stage.put_node()
        stage.files.silent.add("pod-uid")
        away = await client.get(f"{TASK}/logs")
        assert (away.status, away.headers["Retry-After"]) == (503, "1")
        assert (await away.json())["message"].startswith("Node demo-0000 does not answer now: ")


async def test_the_leader_explains_from_its_book(stage: Stage) -> None:
    stage.put_task("Active", "")
    async with stage.client() as client:
        told = await (await client.get(f"{TASK}/explain")).json()
        assert (told["position"], told["reason"]) == (2, "NoNodes")
        stage.ledger.told = None
        assert (await client.get(f"{TASK}/explain")).status == 404


async def test_the_runs_of_nodes_are_told_as_they_are_now(stage: Stage) -> None:
    stage.put_node("demo-0000", "one", state="Idle")
    stage.put_node("demo-0001", "two", state="StartTaskFailed")
    stage.ledger.runs["one"] = NodeRuns(slots_used=3, running_tasks=2, total_run=7)
    async with stage.client() as client:
        told = await (await client.get(f"{BASE}/namespaces/default/noderuns")).json()
        assert await (await client.get(f"{BASE}/noderuns")).json() == told
        assert (await (await client.get(f"{BASE}/namespaces/other/noderuns")).json())["items"] == []
    assert [
        (one["metadata"]["name"], one["state"], one["slotsUsed"], one["runningTasks"]) for one in told["items"]
    ] == [
        ("demo-0000", "Running", 3, 2),
        ("demo-0001", "StartTaskFailed", 0, 0),
    ]
