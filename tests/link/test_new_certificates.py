"""Certificates and CAs change under living sessions: real TLS, a real agent, and certificates that live for seconds (S9.1).

Everything is there but the kubelet, which is played: what a node is told reaches its file a while later.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from cryptography import x509
from tests.link.house import POD, House, until

from batchpools.api import names
from batchpools.hub.ca_store import SECRET_NAME, CaStore
from batchpools.hub.certificate_keeper import CertificateKeeper, looks_every
from batchpools.hub.certificates import server_context
from batchpools.hub.own_certificates import OwnCertificates
from batchpools.hub.shown import Shown, Surroundings
from batchpools.kube.resources import SECRETS
from batchpools.telemetry.clock import SystemClock
from batchpools.testing.fake_kube import FakeKube

OURS = "batchpools-system"
LATE = 0.3  # seconds from being told to the node's file


class Change:
    """A keeper in the place of the replica's, the node's file, and somebody who connects anew all the time."""

    def __init__(self, house: House, spread: float, life: float) -> None:
        self.house = house
        self.kube = FakeKube()
        self.told = ""  # the annotation of the node's pod
        self.serials: list[int] = []
        self.refused: list[str] = []
        self.bundles: list[str] = []
        clock = SystemClock()
        around = Surroundings(lambda: True, lambda pem: pem in self.told, spread)
        store = CaStore(self.kube, OURS)
        source = OwnCertificates(store, [names.HUB_SERVER_NAME], around, clock, timedelta(seconds=life))
        self.keeper = CertificateKeeper(source, looks_every(max(spread, 0.2), life), self._changed)

    def _changed(self, shown: Shown) -> None:
        self.house.replica.tls.show(server_context(shown.server))
        if shown.bundle != self.told:
            self.told = shown.bundle
            self.bundles.append(shown.bundle)
            late = LATE if self.house.replica.port else 0.0
            loop = asyncio.get_running_loop()
            loop.call_later(late, self.house.places.ca_file.write_text, shown.bundle)

    def ask(self) -> None:
        """Somebody wants a new CA."""
        held = self.kube.object(SECRETS, OURS, SECRET_NAME)
        assert held is not None
        self.kube.seed({**held, "metadata": {**held["metadata"], "annotations": {names.ANNOTATION_NEW_CA: "1"}}})

    def held(self) -> set[str]:
        """Keys of the Secret."""
        secret = self.kube.object(SECRETS, OURS, SECRET_NAME)
        assert secret is not None
        return set(secret["data"])

    async def connect(self) -> None:
        """Connect as an agent does, and note whose certificate was shown, or why not."""
        tls = ssl.create_default_context(cafile=str(self.house.places.ca_file))
        port = self.house.replica.port
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=names.HUB_SERVER_NAME)
        except ssl.SSLCertVerificationError as error:
            self.refused.append(error.verify_message)
            return
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self.serials.append(x509.load_der_x509_certificate(shown).serial_number)
        writer.transport.abort()

    async def connect_until(self, enough: object) -> None:
        """Connect again and again until `enough()`."""
        assert callable(enough)
        while not enough():
            await self.connect()
            await asyncio.sleep(0.02)


@asynccontextmanager
async def changing(house: House, spread: float, life: float = 3600.0) -> AsyncIterator[Change]:
    """A node with a session that began under the first certificate."""
    change = Change(house, spread, life)
    await change.keeper.start()
    await asyncio.sleep(0)
    await until(lambda: house.places.ca_file.read_text() == change.told)
    await house.open()
    keeping = asyncio.create_task(change.keeper.run())
    try:
        yield change
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_a_certificate_is_renewed_at_two_thirds_of_its_life_and_no_session_notices(house: House) -> None:
    async with changing(house, 60.0, life=4.0) as change:
        house.run("a", "sleep 60")
        await house.start_of("a")
        await change.connect_until(lambda: len(set(change.serials)) >= 3)
        assert (house.leader.left, change.refused, len(change.bundles)) == (0, [], 1)
        house.run("b", "exit 0")
        await house.end_of("b")


async def test_a_new_ca_takes_over_while_sessions_go_on_and_new_ones_are_made_in_every_phase(house: House) -> None:
    async with changing(house, 1.0) as change:
        house.run("a", "sleep 60")
        await house.start_of("a")
        change.ask()
        phases: list[set[str]] = []

        def watched() -> bool:
            if change.held() not in phases[-1:]:
                phases.append(change.held())
            return len(change.bundles) == 3 and change.house.places.ca_file.read_text() == change.bundles[-1]

        await change.connect_until(watched)
        alone, coming, going = {"ca.crt", "ca.key"}, {"next.crt", "next.key"}, {"former.crt"}
        assert phases == [alone, alone | coming, alone | going, alone]
        assert change.refused == []
        assert house.leader.left == 0, "the session of before is still there"
        house.replica.hub.drop(POD)  # and one that ends comes back under the new CA
        await until(lambda: house.leader.left == 1 and house.is_ready())
        house.run("b", "exit 0")
        await house.end_of("b")


async def test_without_the_overlap_somebody_is_refused(house: House) -> None:
    """The same, but a CA is used as soon as the node was told, which is before its file says so."""
    async with changing(house, 0.0) as change:
        change.ask()
        await change.connect_until(lambda: len(change.bundles) == 3)
        assert change.refused


async def test_trouble_at_the_api_server_leaves_everything_as_it_is(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with changing(house, 0.4) as change:
        shown = change.keeper.shown
        secret = change.kube.object(SECRETS, OURS, SECRET_NAME)
        assert secret is not None
        change.kube.seed({**secret, "data": {"ca.crt": "bm9uc2Vuc2U="}})
        asked = change.kube.count("get")
        await until(lambda: change.kube.count("get") > asked + 3)
        assert change.keeper.shown == shown
        await change.connect()
        assert change.refused == []
        told = [record.getMessage() for record in caplog.records if "stay as they are" in record.getMessage()]
        assert len(told) == 1
        assert "it has no 'ca.key'" in told[0]
