"""A standby hands questions on to the leader over mutual TLS (safety rule S2.5): two real servers, one CA."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from tests.ops.stage import BASE, PROXY, TASK, Stage

from batchpools.api import names
from batchpools.hub.certificates import issue, issue_client, new_authority
from batchpools.telemetry.clock import SystemClock


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Stage, Stage]]:
    """(leader, standby): the standby knows where the leader is."""
    leader = Stage(tmp_path)
    standby = Stage(tmp_path, leader.authority)
    standby.leading, standby.leader = False, f"127.0.0.1:{leader.port}"
    for one in (leader, standby):
        one.publish(PROXY)
        await one.start()
    yield leader, standby
    for one in (leader, standby):
        await one.server.stop()


async def test_a_standby_gives_the_leaders_explanation_and_runs(pair: tuple[Stage, Stage]) -> None:
    leader, standby = pair
    leader.put_node()
    standby.ledger.told = None
    async with standby.client() as client:
        told = await (await client.get(f"{TASK}/explain")).json()
        assert (told["position"], told["waiting"]) == (2, 5)
        runs = await (await client.get(f"{BASE}/noderuns")).json()
        assert [one["metadata"]["name"] for one in runs["items"]] == ["demo-0000"]
        leader.ledger.told = None
        gone = await client.get(f"{TASK}/explain")
        assert (gone.status, (await gone.json())["reason"]) == (404, "NotFound")


async def test_the_log_of_a_task_that_only_the_leader_can_place_comes_as_it_is_written(
    pair: tuple[Stage, Stage],
) -> None:
    leader, standby = pair
    standby.put_task("Active", node="")
    leader.put_task("Running")
    leader.put_node(content=b"first\n")
    async with standby.client() as client, client.get(f"{TASK}/logs?follow=true") as answer:
        assert await answer.content.readline() == b"first\n"
        leader.put_node(content=b"first\nlast\n")
        leader.put_task("Completed")
        assert await asyncio.wait_for(answer.content.read(), 10) == b"last\n"
    assert standby.files.asked == []


async def test_a_log_that_the_leader_cuts_is_cut_for_the_reader_too(pair: tuple[Stage, Stage]) -> None:
    leader, standby = pair
    standby.put_task("Active", node="")
    leader.put_task("Running")
    leader.put_node(content=b"first\n")
    async with standby.client() as client, client.get(f"{TASK}/logs?follow=true") as answer:
        assert await answer.content.readline() == b"first\n"
        leader.files.error = "NotRegular"
        with pytest.raises(aiohttp.ClientError):
            await answer.content.read()


async def test_the_log_of_a_finished_task_needs_no_leader(pair: tuple[Stage, Stage]) -> None:
    leader, standby = pair
    standby.leader = ""
    standby.put_task("Completed")
    standby.put_node(content=b"all\n")
    async with standby.client() as client:
        assert await (await client.get(f"{TASK}/logs")).read() == b"all\n"
    assert leader.files.asked == []


async def test_without_a_leader_the_answer_is_to_ask_again(pair: tuple[Stage, Stage]) -> None:
    leader, standby = pair
    async with standby.client() as client:
        for address in ("", "127.0.0.1:1"):
            standby.leader = address
            answer = await client.get(f"{TASK}/explain")
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        standby.leader, leader.leading, leader.leader = f"127.0.0.1:{leader.port}", False, f"127.0.0.1:{standby.port}"
        circle = await client.get(f"{TASK}/explain")
        assert circle.status == 503
        assert "no longer leads" in (await circle.json())["message"]


async def ask(leader: Stage, standby: Stage) -> str:
    async with standby.client() as client:
        answer = await client.get(f"{TASK}/explain")
        assert answer.status == 503
        return str((await answer.json())["message"])


async def test_a_server_of_another_authority_is_no_leader(tmp_path: Path, pair: tuple[Stage, Stage]) -> None:
    _, standby = pair
    impostor = Stage(tmp_path)
    impostor.publish(PROXY)
    await impostor.start()
    standby.leader = f"127.0.0.1:{impostor.port}"
    try:
        assert "cannot be reached" in await ask(impostor, standby)
    finally:
        await impostor.server.stop()


@pytest.mark.parametrize("kind", ["server", "other-authority"])
async def test_only_a_replicas_client_certificate_opens_the_door(pair: tuple[Stage, Stage], kind: str) -> None:
    """A server's certificate of our CA bears the right name here and still proves no client."""
    leader, standby = pair
    now = SystemClock().now()
    if kind == "server":
        wrong = issue(leader.authority, [names.REPLICA_CLIENT_NAME], now)
    else:
        wrong = issue_client(new_authority(now), names.REPLICA_CLIENT_NAME, now)
    right = standby.shown()
    standby.server.show(replace(right, client=wrong))
    assert "cannot be reached" in await ask(leader, standby)
    assert names.REPLICA_CLIENT_NAME == "batchpools-replica"
    standby.server.show(right)
    async with standby.client() as client:
        assert (await client.get(f"{TASK}/explain")).status == 200


async def test_through_every_phase_of_a_new_ca_questions_are_answered_and_a_followed_log_goes_on(
    pair: tuple[Stage, Stage],
) -> None:
    """S2.5 with S9.3: trusted first, used later, dropped last; the two replicas change one after the other."""
    leader, standby = pair
    old, new = leader.authority, new_authority(SystemClock().now())
    both = old.certificate + new.certificate
    standby.put_task("Active", node="")
    leader.put_task("Running")
    leader.put_node(content=b"first\n")
    phases = [(old, both), (new, both), (new, new.certificate)]
    async with standby.client() as reader, reader.get(f"{TASK}/logs?follow=true") as log:
        assert await log.content.readline() == b"first\n"
        for issuer, bundle in phases:
            for one in (leader, standby):
                one.server.show(one.shown(issuer, bundle))
                async with standby.client(trusts=both) as client:
                    assert (await client.get(f"{TASK}/explain")).status == 200
        async with standby.client() as client:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await client.get(f"{TASK}/explain")  # who knows the old one alone
        leader.put_node(content=b"first\nlast\n")
        leader.put_task("Completed")
        assert await asyncio.wait_for(log.content.read(), 10) == b"last\n"


async def test_a_ca_that_is_used_before_the_others_trust_it_shuts_the_leader_out(pair: tuple[Stage, Stage]) -> None:
    leader, standby = pair
    new = new_authority(SystemClock().now())
    leader.server.show(leader.shown(new, leader.authority.certificate + new.certificate))
    assert "cannot be reached" in await ask(leader, standby)
