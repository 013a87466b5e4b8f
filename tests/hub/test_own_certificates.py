"""Certificates of our own CA on leader and standby: who takes steps, when certificates are issued anew, who follows."""

from datetime import datetime, timedelta

import pytest

from batchpools.hub.ca_store import SECRET_NAME, CaStore
from batchpools.hub.certificates import validity_of
from batchpools.hub.own_certificates import OwnCertificates
from batchpools.hub.shown import Surroundings
from batchpools.kube.resources import SECRETS
from batchpools.testing.clock import FakeClock
from batchpools.testing.fake_kube import FakeKube

OURS = "batchpools-system"
SPREAD = 300.0


class Replica:
    """One replica's source. `trusted`: whether everybody has been told."""

    def __init__(self, kube: FakeKube, clock: FakeClock, *, leads: bool) -> None:
        self.leads = leads
        self.trusted = True
        around = Surroundings(lambda: self.leads, lambda _: self.trusted, SPREAD)
        store = CaStore(kube, OURS, timedelta(days=90))
        self.look = OwnCertificates(store, ["hub", "ops"], around, clock, timedelta(days=9)).look


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.kube = FakeKube()
        self.leader = Replica(self.kube, self.clock, leads=True)
        self.standby = Replica(self.kube, self.clock, leads=False)

    def ends(self, pem: str) -> datetime:
        return validity_of(pem).ends


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_certificate_is_issued_anew_at_two_thirds_of_its_life_and_not_before(scene: Scene) -> None:
    first = await scene.standby.look()
    scene.clock.advance(timedelta(days=5.9).total_seconds())
    assert await scene.standby.look() == first
    scene.clock.advance(timedelta(days=0.2).total_seconds())
    second = await scene.standby.look()
    assert second.bundle == first.bundle
    assert {second.server, second.client}.isdisjoint({first.server, first.client})
    assert await scene.standby.look() == second


async def test_only_the_leader_takes_steps_and_a_standby_follows(scene: Scene) -> None:
    await scene.leader.look()
    before = await scene.standby.look()
    scene.clock.advance(timedelta(days=60).total_seconds())
    assert (await scene.standby.look()).bundle == before.bundle
    assert scene.kube.count("patch") == 0
    coming = await scene.leader.look()
    assert coming.bundle.startswith(before.bundle)
    assert coming.bundle != before.bundle
    followed = await scene.standby.look()
    assert followed.bundle == coming.bundle
    await scene.leader.look()
    scene.clock.advance(SPREAD)
    used = await scene.leader.look()
    assert used.bundle == coming.bundle
    assert (await scene.standby.look()).server != followed.server, "issued anew by the new CA"
    scene.clock.advance(SPREAD)
    await scene.leader.look()
    scene.clock.advance(SPREAD)
    dropped = await scene.leader.look()
    assert before.bundle not in dropped.bundle
    assert (await scene.standby.look()).bundle == dropped.bundle


async def test_while_somebody_has_not_been_told_the_new_ca_is_not_used(scene: Scene) -> None:
    await scene.leader.look()
    scene.clock.advance(timedelta(days=60).total_seconds())
    coming = await scene.leader.look()
    scene.leader.trusted = False
    for _ in range(5):
        scene.clock.advance(SPREAD)
        assert (await scene.leader.look()).server == coming.server
    scene.leader.trusted = True
    await scene.leader.look()
    scene.clock.advance(SPREAD)
    assert (await scene.leader.look()).server != coming.server


async def test_an_expired_ca_is_replaced_at_once_also_by_one_who_does_not_lead(scene: Scene) -> None:
    """An operator that was stopped for years starts again: nobody can trust what it had, and none could lead without."""
    before = await scene.standby.look()
    scene.clock.advance(timedelta(days=91).total_seconds())
    after = await scene.standby.look()
    assert before.bundle not in after.bundle
    assert scene.ends(after.server.certificate) > scene.clock.now()
    assert (await scene.leader.look()).bundle == after.bundle


async def test_a_deleted_secret_is_made_again_by_whoever_looks_first(scene: Scene) -> None:
    before = await scene.standby.look()
    scene.kube.remove(SECRETS, OURS, SECRET_NAME)
    assert await scene.standby.look() == before
    assert (await scene.leader.look()).bundle == before.bundle
