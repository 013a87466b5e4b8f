"""The CA's Secret: made once whoever comes first, never written over, and named when it is of no use."""

import asyncio
import base64
from datetime import timedelta

import pytest
from tests.kube.conftest import until

from batchpools.api import names
from batchpools.core.trust import Step
from batchpools.hub.ca_store import SECRET_NAME, CaStore, CertificateError, Held
from batchpools.hub.certificates import new_authority
from batchpools.kube.errors import UnreachableError
from batchpools.kube.resources import SECRETS
from batchpools.testing.clock import EPOCH
from batchpools.testing.fake_kube import FakeKube

OURS = "batchpools-system"


def seed(kube: FakeKube, **data: str) -> None:
    encoded = {key.replace("_", "."): base64.b64encode(text.encode()).decode() for key, text in data.items()}
    metadata = {"name": SECRET_NAME, "namespace": OURS}
    kube.seed({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded})


async def load(kube: FakeKube, days: int = 0, known: Held | None = None) -> Held:
    return await CaStore(kube, OURS).load(EPOCH + timedelta(days=days), known)


async def take(kube: FakeKube, step: Step, held: Held) -> Held:
    return await CaStore(kube, OURS).carry_out(step, held, EPOCH)


def annotate(kube: FakeKube) -> None:
    held = kube.object(SECRETS, OURS, SECRET_NAME)
    assert held is not None
    kube.seed(
        {**held, "metadata": {**held["metadata"], "annotations": {names.ANNOTATION_NEW_CA: "please", "my": "own"}}}
    )


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
    with pytest.raises(CertificateError, match=trouble) as caught:
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
    with pytest.raises(CertificateError, match="of no use"):
        await load(kube)


async def test_an_expired_ca_is_handed_to_the_decision_which_starts_over() -> None:
    kube = FakeKube()
    made = await load(kube)
    late = await load(kube, 3650)
    assert late == made
    fresh = await CaStore(kube, OURS).carry_out(Step.START_OVER, late, EPOCH + timedelta(days=3650))
    assert fresh.bundle == fresh.current.certificate != made.bundle
    assert await load(kube, 3651) == fresh


async def test_one_ca_takes_the_place_of_another_and_each_is_trusted_for_as_long_as_it_is_used() -> None:
    kube = FakeKube()
    first = await load(kube)
    coming = await take(kube, Step.MAKE_NEXT, first)
    assert coming.next is not None
    assert (coming.current, coming.newest) == (first.current, coming.next.certificate)
    assert coming.bundle == first.current.certificate + coming.next.certificate
    used = await take(kube, Step.USE_NEXT, coming)
    assert (used.current, used.next, used.former) == (coming.next, None, first.current.certificate)
    assert used.bundle == coming.bundle, "nobody needs to be told anew"
    alone = await take(kube, Step.DROP_FORMER, used)
    assert (alone.current, alone.bundle) == (coming.next, coming.next.certificate)
    assert await load(kube) == alone
    secret = kube.object(SECRETS, OURS, SECRET_NAME)
    assert secret is not None
    assert set(secret["data"]) == {"ca.crt", "ca.key"}, "the key of a former CA is forgotten"


async def test_nothing_is_written_when_there_is_nothing_to_do() -> None:
    kube = FakeKube()
    held = await load(kube)
    assert await take(kube, Step.WAIT, held) == held
    assert kube.count("patch") == 0


async def test_of_two_that_take_a_step_at_once_one_wins_and_both_know_the_same() -> None:
    kube = FakeKube()
    held = await load(kube)
    gate = kube.faults.hold("patch", times=2)
    both = [asyncio.ensure_future(take(kube, Step.MAKE_NEXT, held)) for _ in range(2)]
    await until(lambda: kube.count("patch") == 2)
    gate.set()
    one, other = await asyncio.gather(*both)
    assert one == other
    assert one.next is not None


async def test_a_step_that_was_decided_on_what_has_changed_since_is_not_taken() -> None:
    """A leader that was just deposed must not put another CA in the place of one that nodes are being told of."""
    kube = FakeKube()
    held = await load(kube)
    first = await take(kube, Step.MAKE_NEXT, held)
    assert await take(kube, Step.MAKE_NEXT, held) == first
    assert await load(kube) == first


async def test_who_asks_by_the_annotation_is_heard_once() -> None:
    kube = FakeKube()
    await load(kube)
    annotate(kube)
    asked = await load(kube)
    assert asked.asked
    coming = await take(kube, Step.MAKE_NEXT, asked)
    assert not coming.asked
    secret = kube.object(SECRETS, OURS, SECRET_NAME)
    assert secret is not None
    assert secret["metadata"]["annotations"] == {"my": "own"}


async def test_a_wish_that_comes_while_one_is_on_its_way_is_kept() -> None:
    kube = FakeKube()
    coming = await take(kube, Step.MAKE_NEXT, await load(kube))
    annotate(kube)
    used = await take(kube, Step.USE_NEXT, await load(kube))
    assert used.asked
    assert (await take(kube, Step.DROP_FORMER, used)).asked
    assert used.current == coming.next


async def test_a_secret_that_is_deleted_under_a_running_operator_is_made_again_as_it_was() -> None:
    """Nodes and replicas trust what it held: another CA at once would shut all of them out."""
    kube = FakeKube()
    coming = await take(kube, Step.MAKE_NEXT, await load(kube))
    kube.remove(SECRETS, OURS, SECRET_NAME)
    again = await load(kube, known=coming)
    assert (again.current, again.next) == (coming.current, coming.next)


async def test_a_former_one_that_is_no_certificate_is_named() -> None:
    kube = FakeKube()
    made = new_authority(EPOCH)
    seed(kube, ca_crt=made.certificate, ca_key=made.key, former_crt="nonsense")
    with pytest.raises(CertificateError, match="not base64 of PEM"):
        await load(kube)
