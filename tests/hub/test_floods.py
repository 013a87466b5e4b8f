"""An admitted node that says too much, or reads nothing, is cut off and counted; nobody else hears of it (safety rule S9.1)."""

import asyncio
import logging

import pytest
from picows import WSMsgType
from tests.hub.peers import House, Peer, a_run, an_end, turns, until

from batchpools.hub import session as session_module
from batchpools.hub.strangers import AT_ONCE
from batchpools.link import budget as figures
from batchpools.link import messages as link
from batchpools.link.bounds import IDS_PER_PART, MAX_ACKNOWLEDGED
from batchpools.link.budget import Budget
from batchpools.link.framing import encode, weight
from batchpools.link.words import Refusal

END = encode([an_end(str(number)) for number in range(256)])
BUSY_NODE = 2 * 3600  # messages a second: more tasks than a hub can serve, all on one node


async def flood(peer: Peer) -> int:
    """Send frames until cut; how many messages were heard."""
    for number in range(10_000):
        peer.say_bytes(END)
        if peer.session.is_over:
            return number * 256
    raise AssertionError("it was never cut")


async def test_a_node_that_floods_is_cut_counted_and_logged_once_and_its_neighbour_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    house.lead(1)
    hostile, good = await house.join("pod-1"), await house.join("pod-2")
    with caplog.at_level(logging.WARNING):
        heard = await flood(hostile)
    assert heard <= figures.MESSAGES_AT_ONCE
    [refused] = hostile.of(link.Refused) or await _told(hostile)
    assert refused.code == Refusal.FLOODING
    assert refused.retry_after > 1.0
    assert house.hub.refusals == {Refusal.FLOODING: 1}
    assert len([record for record in caplog.records if "Flooding" in record.getMessage()]) == 1
    assert [info.node.pod_uid for info in house.hub.sessions()] == ["uid-pod-2"]
    assert house.listener.heard[-1][:2] == ("node_left", "node-pod-1")
    await until(lambda: hostile.is_cut)
    house.listener.heard.clear()
    await good.say(an_end())
    assert house.listener.of("finished") == [an_end()]
    assert house.hub.dispatch("uid-pod-2", a_run())
    await turns()
    assert good.of(link.Run) == [a_run()]


async def _told(peer: Peer) -> list[link.Refused]:
    await turns()
    return peer.of(link.Refused)


async def test_what_it_says_after_that_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    peer = await house.join()
    await flood(peer)
    monkeypatch.setattr(session_module, "decode_from_agent", None)
    peer.say_bytes(END)
    assert house.hub.refusals == {Refusal.FLOODING: 1}


async def test_who_was_cut_for_a_flood_gains_nothing_by_coming_again() -> None:
    house = House()
    await flood(await house.join())
    again = Peer(house.hub)
    await again.hello()
    [refused] = again.of(link.Refused)
    assert refused.code == Refusal.FLOODING
    house.clock.advance(refused.retry_after)
    third = Peer(house.hub)
    await third.hello()
    assert third.of(link.Welcome)
    heard = await flood(third)
    assert heard < figures.MESSAGES_AT_ONCE * 0.6


async def test_sessions_without_end_are_a_flood_too() -> None:
    house = House()
    for number in range(100):
        peer = Peer(house.hub, f"10.0.0.{number}")
        await peer.hello()
        if peer.of(link.Refused):
            break
    assert house.hub.refusals == {Refusal.FLOODING: 1}
    assert 20 <= number <= 60


async def test_a_node_of_256_slots_of_short_tasks_is_far_from_the_limit() -> None:
    """An hour at a rate that no hub can serve, and in its midst an election with the largest inventory there is."""
    budget = Budget(0.0)
    second = [an_end(f"12345678-1234-1234-1234-123456789012:-:17:{number}") for number in range(256)]
    frame = len(encode(second))
    for now in range(3600):
        for _ in range(BUSY_NODE // 256):
            assert budget.spend(weight(second), frame, float(now))
        assert budget.spend(weight([link.Ping(1.0)]), 12, float(now))
        if now == 1800:
            part = link.InventoryPart(["12345678-1234-1234-1234-123456789012:-:17:100"] * IDS_PER_PART)
            for _ in range(MAX_ACKNOWLEDGED // IDS_PER_PART):
                assert budget.spend(weight([part]), len(encode([part])), float(now))


async def test_large_frames_are_a_flood_by_their_bytes() -> None:
    house = House()
    peer = await house.join()
    chunk = encode([link.FileChunk(1, 0, 0, bytes(1_000_000), "", "")])
    for sent in range(200):  # noqa: B007 (looked at below)
        peer.say_bytes(chunk)
        if peer.session.is_over:
            break
    assert house.hub.refusals == {Refusal.FLOODING: 1}
    assert sent * 1_000_000 <= figures.BYTES_AT_ONCE


async def test_pieces_of_files_that_were_asked_for_are_no_flood() -> None:
    house = House()
    peer = await house.join()
    for _ in range(100):
        piece = asyncio.ensure_future(house.hub.read_file("uid-pod-1", "a/stdout.txt", 0, 1_000_000))
        await turns()
        await peer.say(link.FileChunk(peer.of(link.ReadFile)[-1].request, 0, 0, bytes(1_000_000), "", ""))
        assert len((await piece).content) == 1_000_000
    assert house.hub.refusals == {}


async def test_an_inventory_without_end_is_cut() -> None:
    house = House()
    house.lead(1)
    peer = await house.join()
    part = encode([link.InventoryPart(["x"] * IDS_PER_PART)])
    for _ in range(MAX_ACKNOWLEDGED // IDS_PER_PART):
        peer.say_bytes(part)
    assert not peer.session.is_over
    peer.say_bytes(part)
    assert house.hub.refusals == {Refusal.FLOODING: 1}
    assert peer.session._acknowledged == []


@pytest.mark.parametrize("kind", [WSMsgType.PING, WSMsgType.PONG])
async def test_pings_of_the_websocket_count_as_well(kind: WSMsgType) -> None:
    house = House()
    peer = await house.join()
    peer.say_bytes(b"hello?", WSMsgType.PING)
    assert peer.pongs == [b"hello?"]
    for _ in range(50_000):
        peer.say_bytes(b"x" * 125, kind)
    assert house.hub.refusals == {Refusal.FLOODING: 1}
    assert len(peer.pongs) <= figures.MESSAGES_AT_ONCE


@pytest.mark.parametrize(("kind", "payload"), [(WSMsgType.PING, b""), (WSMsgType.BINARY, encode([]))])
async def test_a_stranger_may_say_hardly_anything(kind: WSMsgType, payload: bytes) -> None:
    house = House()
    peer = Peer(house.hub)
    for _ in range(100):
        peer.say_bytes(payload, kind)
    assert house.hub.refusals == {Refusal.FLOODING: 1}
    for _ in range(AT_ONCE - 1):
        stranger = Peer(house.hub)
        for _ in range(100):
            stranger.say_bytes(payload, kind)
        await turns()
        stranger.disconnect()
    await turns()
    assert Peer(house.hub).is_cut  # its address has used up its chances


# ---------------------------------------------------------------- back-pressure


async def test_a_node_that_reads_nothing_gets_no_more_runs_and_others_do() -> None:
    house = House()
    house.lead(1)
    deaf, good = await house.join("pod-1"), await house.join("pod-2")
    deaf.unread = session_module.MAX_UNREAD_RUNS + 1
    assert not house.hub.dispatch("uid-pod-1", a_run())
    assert house.hub.dispatch("uid-pod-2", a_run())
    deaf.unread = 0
    assert house.hub.dispatch("uid-pod-1", a_run())
    await turns()
    assert deaf.of(link.Run) == good.of(link.Run) == [a_run()]


async def test_runs_of_one_turn_are_bounded_too() -> None:
    house = House()
    house.lead(1)
    peer = await house.join()
    large = a_run(env=["N=" + "x" * 500_000])
    sent = sum(house.hub.dispatch("uid-pod-1", large) for _ in range(20))
    assert sent == session_module.MAX_UNREAD_RUNS // 500_000 + 1
    await turns()
    assert house.hub.dispatch("uid-pod-1", large)
    await turns()
    assert len(peer.of(link.Run)) == sent + 1


async def test_a_node_that_reads_nothing_is_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_FAREWELL", 0.0)
    house = House()
    house.lead(1)
    deaf, good = await house.join("pod-1"), await house.join("pod-2")
    deaf.unread = session_module.MAX_UNREAD + 1
    house.hub.acknowledge("uid-pod-1", ["a"])
    house.hub.acknowledge("uid-pod-2", ["a"])
    await turns()
    assert deaf.is_cut
    assert house.hub.refusals == {Refusal.FLOODING: 1}
    assert [info.node.pod_uid for info in house.hub.sessions()] == ["uid-pod-2"]
    assert good.of(link.Ack) == [link.Ack(["a"])]


async def test_a_session_that_is_closed_politely_and_does_not_read_goes_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "_FAREWELL", 0.01)
    house = House()
    deaf = await house.join()
    deaf.unread = 1
    house.hub.drop("uid-pod-1")
    assert not deaf.is_cut
    await until(lambda: deaf.is_cut)
