"""Pongs: given by a leader whose Lease was renewed after the ping had arrived, and by nobody else (safety rule S3.2)."""

from tests.hub.peers import House, Peer, a_run

from batchpools.link import messages as link


async def connected(house: House) -> Peer:
    peer = Peer(house.hub)
    await peer.hello()
    return peer


async def test_a_ping_is_answered_by_the_next_renewal_that_began_after_it() -> None:
    house = House()
    house.lead(1)
    peer = await connected(house)
    began = house.clock.monotonic()
    house.clock.advance(1.0)
    await peer.say(link.Ping(7.0))
    house.hub.renewed(began)  # it was on its way when the ping came
    await peer.say()
    assert peer.of(link.Pong) == []
    house.renew()
    await peer.say()
    assert peer.of(link.Pong) == [link.Pong(1, 7.0, 300.0)]


async def test_the_newest_covered_ping_is_echoed_once() -> None:
    house = House()
    house.lead(1)
    peer = await connected(house)
    for sent_at in (1.0, 2.0, 3.0):
        await peer.say(link.Ping(sent_at))
    house.renew()
    house.renew()
    await peer.say(link.Ping(4.0))
    assert [pong.sent_at for pong in peer.of(link.Pong)] == [3.0]


async def test_without_renewals_nobody_is_vouched_for_and_nothing_is_sent() -> None:
    """A leader that is cut off from the API server cannot keep nodes alive."""
    house = House()
    house.lead(1)
    peer = await connected(house)
    await peer.say(link.Inventory(1, "boot", [], []), link.Ping(1.0), link.Ping(2.0))
    assert not house.hub.dispatch("uid-pod-1", a_run())
    assert (peer.of(link.Pong), house.listener.of("vouched")) == ([], [])
    house.renew()
    await peer.say()
    assert house.hub.dispatch("uid-pod-1", a_run())
    assert len(house.listener.of("vouched")) == 1


async def test_a_lease_that_has_run_out_vouches_for_nobody() -> None:
    """A stopped leader that wakes up: its answer from the API server was on its way for too long."""
    house = House()
    house.lead(1, seconds=10.0)
    peer = await connected(house)
    await peer.say(link.Ping(1.0))
    house.clock.advance(10.0)
    house.renew()
    await peer.say()
    assert peer.of(link.Pong) == []


async def test_a_standby_answers_no_ping_and_knows_them_once_it_leads() -> None:
    """The write that took the Lease covers what had arrived before: failover costs the nodes no second."""
    house = House()
    peer = await connected(house)
    await peer.say(link.Ping(1.0))
    house.clock.advance(1.0)
    began = house.clock.monotonic()
    house.clock.advance(1.0)
    await peer.say(link.Ping(2.0))
    assert peer.of(link.Pong) == []
    house.lead(5)
    house.hub.renewed(began)
    await peer.say()
    assert [type(one).__name__ for one in peer.received[1:]] == ["Lead", "Pong"]
    assert peer.of(link.Pong) == [link.Pong(5, 1.0, 300.0)]


async def test_a_new_epoch_needs_a_new_word() -> None:
    house = House()
    house.lead(1)
    await house.join()
    house.lead(2)
    [session] = house.hub.sessions()
    assert session.vouched_epoch == 1
    assert not house.hub.dispatch("uid-pod-1", a_run(epoch=2))
