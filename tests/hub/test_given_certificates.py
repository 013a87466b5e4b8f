"""Certificates made by others: the Secret is read, its contents used when they may be, and what is wrong is said."""

import base64
from datetime import timedelta

import pytest

from batchpools.hub.ca_store import CertificateError
from batchpools.hub.certificates import Authority, Issued, issue, new_authority
from batchpools.hub.given_certificates import GivenCertificates
from batchpools.hub.shown import Shown, Surroundings
from batchpools.kube.resources import SECRETS
from batchpools.testing.clock import EPOCH, FakeClock
from batchpools.testing.fake_kube import FakeKube

OURS, NAME = "batchpools-system", "batchpools-certificate"
SPREAD = 300.0


class Scene:
    """Somebody who makes certificates, and our source. `told`: what everybody has been told."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.kube = FakeKube()
        self.told = True
        around = Surroundings(lambda: False, lambda _: self.told, SPREAD)
        self.source = GivenCertificates(self.kube, OURS, NAME, around, self.clock)

    def give(
        self, authority: Authority, life: timedelta = timedelta(days=30), other: dict[str, str] | None = None
    ) -> Issued:
        made = issue(authority, ["hub"], self.clock.now(), life)
        self.put({"tls.crt": made.certificate, "tls.key": made.key, "ca.crt": authority.certificate, **(other or {})})
        return made

    def put(self, text: dict[str, str]) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in text.items()}
        self.kube.seed(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "namespace": OURS}, "data": data}
        )

    async def later(self, seconds: float) -> Shown:
        await self.source.look()
        self.clock.advance(seconds)
        return await self.source.look()


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_it_waits_for_the_secret_and_shows_what_it_holds(scene: Scene) -> None:
    with pytest.raises(CertificateError, match="is not there yet"):
        await scene.source.look()
    ca = new_authority(EPOCH)
    made = scene.give(ca)
    shown = await scene.source.look()
    assert (shown.bundle, shown.server, shown.client) == (ca.certificate, made, made)
    assert scene.kube.count("create") == scene.kube.count("patch") == 0, "no CA is made"


async def test_a_renewed_certificate_of_the_same_ca_is_used_at_once(scene: Scene) -> None:
    ca = new_authority(EPOCH)
    scene.give(ca)
    await scene.source.look()
    renewed = scene.give(ca)
    shown = await scene.source.look()
    assert (shown.server, shown.bundle) == (renewed, ca.certificate)


async def test_one_of_another_ca_is_used_when_everybody_was_told_long_enough_ago(scene: Scene) -> None:
    old, new = new_authority(EPOCH), new_authority(EPOCH)
    first = scene.give(old)
    await scene.source.look()
    second = scene.give(new)
    scene.told = False
    shown = await scene.later(10 * SPREAD)
    assert (shown.server, shown.bundle) == (first, old.certificate + new.certificate)
    scene.told = True
    assert (await scene.later(SPREAD - 1)).server == first
    shown = await scene.later(1)
    assert (shown.server, shown.bundle) == (second, old.certificate + new.certificate)
    assert (await scene.later(SPREAD)).bundle == new.certificate


async def test_a_dead_certificate_is_not_kept_for_the_sake_of_those_who_were_not_told(scene: Scene) -> None:
    old, new = new_authority(EPOCH), new_authority(EPOCH)
    scene.give(old, timedelta(hours=1))
    await scene.source.look()
    scene.told = False
    scene.clock.advance(3600)
    second = scene.give(new)
    assert (await scene.source.look()).server == second


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ca.crt": "nonsense"}, "does not hold PEM"),
        ({"tls.crt": "nonsense"}, "cannot be read"),
        ({"tls.key": new_authority(EPOCH).key}, "not that of its certificate"),
    ],
)
async def test_what_cannot_be_used_is_named(scene: Scene, wrong: dict[str, str], told: str) -> None:
    scene.give(new_authority(EPOCH), other=wrong)
    with pytest.raises(CertificateError, match=told):
        await scene.source.look()


async def test_a_missing_key_is_named(scene: Scene) -> None:
    scene.put({"tls.crt": "x", "tls.key": "y"})
    with pytest.raises(CertificateError, match=r"has no 'ca\.crt'"):
        await scene.source.look()
    assert scene.kube.object(SECRETS, OURS, NAME) is not None
