"""What an admitted session may say and be told: one session a node, runs only from a leader whose Lease holds."""

import asyncio

import pytest
from tests.hub.peers import House, Peer, a_run, an_end, turns

from batchpools.link import messages as link
from batchpools.link.words import NodePhase, Refusal

READY = link.NodeReport(NodePhase.READY, "boot", 2, None, "")


async def test_what_an_agent_says_reaches_the_listener() -> None:
    house = House()
    house.lead(1)
    peer = await house.join()
    started, rejected = link.Started("a", 1.0), link.Rejected("c", "stopping")
    house.listener.heard.clear()
    await peer.say(READY, started, an_end(), link.Unknown("b"), rejected)
    assert house.listener.heard == [
        ("node_reported", "node-pod-1", READY),
        ("started", "node-pod-1", started),
        ("finished", "node-pod-1", an_end()),
        ("unknown", "node-pod-1", "b"),
        ("rejected", "node-pod-1", rejected),
    ]
    info = house.hub.session("uid-pod-1")
    assert info is not None
    assert info.report == READY


async def test_a_new_leader_is_announced_to_every_node() -> None:
    house = House()
    peers = [await house.join("pod-1"), await house.join("pod-2")]
    house.lead(3)
    await turns()
    assert [peer.of(link.Lead) for peer in peers] == [[link.Lead(3)]] * 2


async def test_a_node_that_comes_later_hears_of_the_leader_in_its_welcome() -> None:
    house = House()
    house.lead(3)
    peer = await house.join()
    assert peer.of(link.Welcome)[0].epoch == 3


async def test_an_inventory_in_parts_arrives_as_one() -> None:
    house = House()
    house.lead(1)
    peer = Peer(house.hub)
    await peer.hello()
    await peer.say(link.InventoryPart(["a", "b"]))
    await peer.say(link.InventoryPart(["c"]), link.Inventory(1, "boot", [], ["d"]))
    house.lead(2)
    await peer.say(link.Inventory(2, "boot", [], ["e"]))
    assert [told.acknowledged for told in house.listener.of("inventory")] == [["a", "b", "c", "d"], ["e"]]


async def test_one_account_of_a_session_counts_since_a_second_would_not_know_what_was_sent_since() -> None:
    house = House()
    house.lead(1)
    peer = Peer(house.hub)
    await peer.hello()
    for _ in range(2):
        await peer.say(link.Inventory(1, "", [], []))  # no runner yet: it says nothing, and is no account
    for _ in range(2):
        await peer.say(link.Inventory(1, "boot", [], []))
    assert [told.boot_id for told in house.listener.of("inventory")] == ["", "", "boot"]


async def test_runs_go_only_to_a_node_whose_inventory_for_this_epoch_is_known() -> None:
    house = House()
    house.lead(1)
    peer = Peer(house.hub)
    await peer.hello()
    await peer.say(link.Ping(1.0))
    house.renew()
    assert not house.hub.dispatch("uid-pod-1", a_run())
    await peer.say(link.Inventory(1, "boot", [], []))
    assert house.hub.dispatch("uid-pod-1", a_run())
    house.lead(2)
    await peer.say(link.Ping(2.0))
    house.renew()
    assert not house.hub.dispatch("uid-pod-1", a_run(epoch=2))
    await peer.say(link.Inventory(1, "boot", [], []))  # an answer that crossed the announcement
    assert not house.hub.dispatch("uid-pod-1", a_run(epoch=2))
    assert len(house.listener.of("inventory")) == 1
    await peer.say(link.Inventory(2, "boot", [], []))
    assert house.hub.dispatch("uid-pod-1", a_run(epoch=2))
    assert not house.hub.dispatch("uid-of-nobody", a_run(epoch=2))


async def test_a_lease_that_has_run_out_by_our_own_clock_dispatches_nothing() -> None:
    house = House()
    house.lead(1, seconds=10.0)
    peer = await house.join()
    house.clock.advance(10.0)
    assert not house.hub.dispatch("uid-pod-1", a_run())
    await turns()
    assert peer.of(link.Run) == []


async def test_a_lease_that_runs_out_between_dispatch_and_flush_holds_the_run_back() -> None:
    house = House()
    house.lead(1, seconds=10.0)
    peer = await house.join()
    assert house.hub.dispatch("uid-pod-1", a_run())
    house.clock.advance(10.0)  # the process was stopped here
    await turns()
    assert peer.of(link.Run) == []
    [rejected] = house.listener.of("rejected")
    assert rejected.execution_id == "a"


async def test_a_replica_that_leads_no_longer_sends_nothing() -> None:
    house = House()
    house.lead(1)
    peer = await house.join()
    house.hub.follow()
    assert not house.hub.dispatch("uid-pod-1", a_run())
    assert not house.hub.kill("uid-pod-1", "a", 5.0)
    assert not house.hub.acknowledge("uid-pod-1", ["a"])
    assert not house.hub.remove_directory("uid-pod-1", "workitems/job/t")
    await turns()
    assert peer.received[2:] == []


async def test_what_a_leader_wants_is_sent_in_one_frame_in_order() -> None:
    house = House()
    house.lead(1)
    peer = await house.join()
    assert house.hub.dispatch("uid-pod-1", a_run())
    assert house.hub.kill("uid-pod-1", "b", 5.0)
    assert house.hub.acknowledge("uid-pod-1", ["c"])
    assert house.hub.remove_directory("uid-pod-1", "workitems/job/t")
    assert house.hub.restart("uid-pod-1", "boot")
    await turns()
    assert peer.received[2:] == [
        a_run(),
        link.Kill("b", 1, 5.0),
        link.Ack(["c"]),
        link.RemoveDirectory(1, "workitems/job/t"),
        link.Restart(1, "boot"),
    ]


async def test_a_run_that_no_frame_holds_is_refused_with_a_sentence() -> None:
    house = House()
    house.lead(1)
    await house.join()
    huge = a_run(argv=["x" * 4096] * 256, env=[f"N{number}=" + "x" * 8192 for number in range(100)])
    with pytest.raises(ValueError, match="command and environment have"):
        house.hub.dispatch("uid-pod-1", huge)


async def test_a_newer_session_of_a_node_replaces_the_older() -> None:
    house = House()
    house.lead(1)
    older = await house.join()
    newer = await house.join()
    await turns()
    assert older.is_cut
    assert len(house.hub.sessions()) == 1
    assert house.listener.of("node_left") == []
    assert house.hub.dispatch("uid-pod-1", a_run())
    await turns()
    assert newer.of(link.Run) == [a_run()]
    newer.disconnect()
    await turns()
    assert len(house.listener.of("node_left")) == 1


async def test_what_a_replaced_session_still_says_is_not_heard() -> None:
    house = House()
    house.lead(1)
    older = await house.join()
    await house.join()
    house.listener.heard.clear()
    await older.say(link.Inventory(1, "boot", [], []))
    assert house.listener.heard == []


async def test_a_node_that_leaves_is_told_of_and_has_no_session() -> None:
    house = House()
    peer = await house.join()
    peer.disconnect()
    await turns()
    assert house.hub.session("uid-pod-1") is None
    assert [kind for kind, _, _ in house.listener.heard] == ["node_left"]


async def test_a_second_hello_ends_a_session() -> None:
    house = House()
    peer = await house.join()
    await peer.hello()
    assert [refused.code for refused in peer.of(link.Refused)] == [Refusal.BAD_FRAME]


# ---------------------------------------------------------------- files


async def test_a_file_is_read_through_its_nodes_session_also_on_a_standby() -> None:
    house = House()
    peer = await house.join()
    reading = asyncio.ensure_future(house.hub.read_file("uid-pod-1", "a/stdout.txt", 0, 10))
    await turns()
    [asked] = peer.of(link.ReadFile)
    answer = link.FileChunk(asked.request, 0, 5, b"hello", "", "")
    await peer.say(answer)
    assert await reading == answer


async def test_a_node_cannot_answer_for_another() -> None:
    house = House()
    peer, hostile = await house.join("pod-1"), await house.join("pod-2")
    reading = asyncio.ensure_future(house.hub.read_file("uid-pod-1", "a/stdout.txt", 0, 10))
    await turns()
    [asked] = peer.of(link.ReadFile)
    await hostile.say(link.FileChunk(asked.request, 0, 5, b"forged", "", ""))
    assert not reading.done()
    await peer.say(link.FileChunk(asked.request, 0, 5, b"hello", "", ""))
    assert (await reading).content == b"hello"


async def test_nobody_waits_for_a_file_of_a_node_that_has_gone() -> None:
    house = House()
    peer = await house.join()
    reading = asyncio.ensure_future(house.hub.read_file("uid-pod-1", "a/stdout.txt", 0, 10))
    await turns()
    peer.disconnect()
    with pytest.raises(ConnectionError, match="session has ended"):
        await reading
    with pytest.raises(ConnectionError, match="no session"):
        await house.hub.read_file("uid-pod-1", "a/stdout.txt", 0, 10)
