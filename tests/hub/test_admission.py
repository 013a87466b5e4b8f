"""Who may speak to the hub: hello first, with a token of a node, in our protocol, and not from too many at once."""

import asyncio
import logging
from types import SimpleNamespace

import msgspec
import pytest
from picows import WSCloseCode, WSMsgType
from tests.hub.peers import UNAVAILABLE, House, Peer, turns, until

from batchpools.hub import session as session_module
from batchpools.hub.strangers import AT_ONCE, PENALTY, Strangers
from batchpools.link import messages as link
from batchpools.link.framing import encode
from batchpools.link.words import Refusal


async def test_an_agent_with_a_nodes_token_is_welcome() -> None:
    house = House()
    peer = Peer(house.hub)
    await peer.hello("pod-1", max_epoch=7)
    assert peer.received == [link.Welcome(link.PROTOCOL_VERSION, "replica", "node-pod-1", "pool", "ns", 0)]
    assert [info.node.pod_uid for info in house.hub.sessions()] == ["uid-pod-1"]
    assert house.epochs == [(7, "uid-pod-1")]


@pytest.mark.parametrize(
    ("token", "code", "retry_after"),
    [
        ("somebody", Refusal.BAD_TOKEN, 0.0),
        ("pod-unknown", Refusal.UNKNOWN_NODE, 0.5),
        (UNAVAILABLE, Refusal.UNKNOWN_NODE, 0.5),
    ],
)
async def test_others_are_refused_and_told_when_to_come_again(token: str, code: Refusal, retry_after: float) -> None:
    house = House()
    house.unknown.add("pod-unknown")
    peer = Peer(house.hub)
    await peer.hello(token)
    [refused] = peer.of(link.Refused)
    assert (refused.code, refused.retry_after) == (code, retry_after)
    assert refused.message
    assert house.hub.refusals == {code: 1}
    await until(lambda: peer.is_cut)
    assert house.hub.sessions() == []


async def test_another_protocol_is_refused_with_a_sentence_that_names_both() -> None:
    house = House()
    peer = Peer(house.hub)
    await peer.hello("pod-1", version=99)
    [refused] = peer.of(link.Refused)
    assert refused.code == Refusal.BAD_PROTOCOL
    assert f"protocol {link.PROTOCOL_VERSION}" in refused.message
    assert "99" in refused.message


@pytest.mark.parametrize(
    "payload",
    [
        b"garbage",
        encode([link.Unknown("a")]),  # before any hello
        encode([link.Hello(link.PROTOCOL_VERSION, "pod-1", "0", 0), link.Unknown("a")]),  # before the welcome
        msgspec.msgpack.encode([[1, "no version"]]),
    ],
)
async def test_the_first_bad_frame_ends_a_connection(payload: bytes) -> None:
    house = House()
    peer = Peer(house.hub)
    peer.say_bytes(payload)
    await turns()
    assert [refused.code for refused in peer.of(link.Refused)] == [Refusal.BAD_FRAME]
    assert house.hub.refusals == {Refusal.BAD_FRAME: 1}
    await until(lambda: peer.is_cut)
    assert house.listener.heard == []
    assert house.hub.sessions() == []


async def test_text_is_no_frame() -> None:
    house = House()
    peer = Peer(house.hub)
    peer.say_bytes(b"hello?", WSMsgType.TEXT)
    assert house.hub.refusals == {Refusal.BAD_FRAME: 1}


async def test_a_frame_that_the_socket_refused_as_too_big_is_counted() -> None:
    house = House()
    peer = await house.join()
    peer.close_handshake = SimpleNamespace(sent=SimpleNamespace(code=WSCloseCode.MESSAGE_TOO_BIG, reason="too big"))
    peer.disconnect()
    await turns()
    assert house.hub.refusals == {Refusal.BAD_FRAME: 1}


async def test_a_connection_that_says_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert session_module.HELLO_TIME == 5.0
    monkeypatch.setattr(session_module, "HELLO_TIME", 0.01)
    house = House()
    peer = Peer(house.hub)
    await until(lambda: peer.is_cut)
    assert house.hub.refusals == {Refusal.BAD_FRAME: 1}


async def test_a_slow_review_of_a_token_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "HELLO_TIME", 0.01)
    house = House()
    house.reviewing = asyncio.Event()
    peer = Peer(house.hub)
    await peer.hello()
    await asyncio.sleep(0.05)  # longer than a hello may take
    house.reviewing.set()
    await until(lambda: peer.of(link.Welcome))
    assert not peer.is_cut


async def test_an_agent_that_leaves_during_its_review_is_not_admitted() -> None:
    house = House()
    house.reviewing = asyncio.Event()
    peer = Peer(house.hub)
    await peer.hello()
    peer.disconnect()
    await turns()
    house.reviewing.set()
    await turns()
    assert house.hub.sessions() == []


async def test_too_many_unknown_connections_of_an_address_are_turned_away() -> None:
    house = House()
    peers = [Peer(house.hub) for _ in range(AT_ONCE + 2)]
    assert [peer.is_cut for peer in peers] == [False] * AT_ONCE + [True] * 2
    assert house.hub.refusals == {Refusal.TOO_MANY: 2}
    assert not Peer(house.hub, "10.0.0.2").is_cut
    await turns()
    for peer in peers:
        peer.disconnect()
    await turns()
    assert not Peer(house.hub).is_cut


async def test_admitted_connections_of_an_address_are_not_counted() -> None:
    house = House()
    for number in range(AT_ONCE + 5):
        await house.join(f"pod-{number}")
    assert len(house.hub.sessions()) == AT_ONCE + 5


async def test_made_up_tokens_count_against_their_address_for_a_while() -> None:
    house = House()
    for _ in range(AT_ONCE):
        peer = Peer(house.hub)
        await peer.hello("made-up")
        peer.disconnect()
        await turns()
    assert Peer(house.hub).is_cut
    assert not Peer(house.hub, "10.0.0.2").is_cut
    house.clock.advance(PENALTY + 0.1)
    assert not Peer(house.hub).is_cut


async def test_a_refusal_is_logged_once_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await Peer(house.hub).hello("made-up")
    assert len([record for record in caplog.records if "BadToken" in record.getMessage()]) == 1
    assert house.hub.refusals == {Refusal.BAD_TOKEN: 3}


@pytest.mark.parametrize("pace", [0.1, 0.0])
def test_what_is_remembered_of_strangers_is_bounded(pace: float) -> None:
    strangers = Strangers()
    for number in range(20_000):
        address, now = f"10.0.{number // 256}.{number % 256}", number * pace
        strangers.arrive(address, now)
        strangers.penalize(address, now)
        strangers.is_worth_logging(address, "BadToken", now)
        strangers.leave(address)
    assert max(len(strangers._penalties), len(strangers._logged), len(strangers._open)) <= 1024
