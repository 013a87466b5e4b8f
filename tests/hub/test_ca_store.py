"""The CA's Secret: made once whoever comes first, never written over, and named when it is of no use."""

import asyncio
import base64
from datetime import timedelta

import pytest
from tests.kube.conftest import until

from batchpools.hub.ca_store import SECRET_NAME, CaError, load_authority
from batchpools.hub.certificates import Authority, new_authority
from batchpools.kube.errors import UnreachableError
from batchpools.kube.resources import SECRETS
from batchpools.testing.clock import EPOCH
from batchpools.testing.fake_kube import FakeKube

OURS = "batchpools-system"


def seed(kube: FakeKube, **data: str) -> None:
    encoded = {key.replace("_", "."): base64.b64encode(text.encode()).decode() for key, text in data.items()}
    metadata = {"name": SECRET_NAME, "namespace": OURS}
    kube.seed({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded})


async def load(kube: FakeKube, days: int = 0) -> Authority:
    return await load_authority(kube, OURS, EPOCH + timedelta(days=days))


async def test_the_first_replica_makes_it_and_every_later_one_reads_it() -> None:
    kube = FakeKube()
    made = await load(kube)
    assert [await load(kube, days) for days in (0, 1, 1000)] == [made] * 3
    assert kube.count("create") == 1


async def test_two_replicas_that_start_at_once_end_with_the_same_ca() -> None:
    kube = FakeKube()
    gate = kube.faults.hold("create", times=2)  # both have seen that there is none
    both = [asyncio.ensure_future(load(kube)) for _ in range(2)]
    await until(lambda: kube.count("create") == 2)
    gate.set()
    one, other = await asyncio.gather(*both)
    assert one == other


async def test_a_creation_whose_answer_was_lost_is_found_at_the_next_start() -> None:
    kube = FakeKube()
    kube.faults.lose_answer("create")
    with pytest.raises(UnreachableError):
        await load(kube)
    assert kube.object(SECRETS, OURS, SECRET_NAME) is not None
    await load(kube)
    assert kube.count("create") == 1


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        ({}, "it has no 'ca.crt'"),
        ({"ca_crt": "x"}, "it has no 'ca.key'"),
        ({"ca_crt": "x", "ca_key": "y"}, "it cannot be read"),
    ],
)
async def test_a_secret_of_no_use_is_named_and_left_as_it_is(data: dict[str, str], trouble: str) -> None:
    kube = FakeKube()
    seed(kube, **data)
    before = kube.object(SECRETS, OURS, SECRET_NAME)
    with pytest.raises(CaError, match=trouble) as caught:
        await load(kube)
    assert "delete the Secret" in str(caught.value)
    assert kube.object(SECRETS, OURS, SECRET_NAME) == before


async def test_a_secret_that_is_not_text_is_named_too() -> None:
    kube = FakeKube()
    seed(kube)
    metadata = {"name": SECRET_NAME, "namespace": OURS}
    kube.seed(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"ca.crt": "/w==", "ca.key": "/w=="}}
    )
    with pytest.raises(CaError, match="of no use"):
        await load(kube)


async def test_an_expired_ca_is_not_used() -> None:
    kube = FakeKube()
    made = new_authority(EPOCH)
    seed(kube, ca_crt=made.certificate, ca_key=made.key)
    with pytest.raises(CaError, match="expired on"):
        await load(kube, 3650)
