"""The caBundle of our APIService: written when it differs, tried again until it holds."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.kube.conftest import until

from batchpools.kube.errors import UnreachableError
from batchpools.kube.resources import API_SERVICES
from batchpools.ops.apiservice import NAME, ApiServiceTrust
from batchpools.testing.fake_kube import FakeKube

CA = "-----BEGIN CERTIFICATE-----\n"
ENCODED = base64.b64encode(CA.encode()).decode()


def seed(kube: FakeKube, **spec: Any) -> None:
    kube.seed(
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": NAME},
            "spec": {"group": "ops.batchpools.dev", **spec},
        }
    )


def held(kube: FakeKube) -> str:
    item = kube.object(API_SERVICES, "", NAME)
    assert item is not None
    return str(item["spec"].get("caBundle", ""))


def trust(kube: FakeKube, pause: Any = asyncio.sleep) -> ApiServiceTrust:
    return ApiServiceTrust(kube, lambda: CA, pause)


@asynccontextmanager
async def keeping(one: ApiServiceTrust) -> AsyncIterator[None]:
    """It keeps, and has begun."""
    task = asyncio.create_task(one.keep())
    try:
        await until(lambda: one.trusts(CA) or task.done())
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("before", [{}, {"caBundle": "of-another"}])
async def test_our_ca_is_written_where_it_is_not(before: dict[str, str]) -> None:
    kube = FakeKube()
    seed(kube, **before)
    assert not trust(kube).trusts(CA)
    async with keeping(trust(kube)):
        assert held(kube) == ENCODED


async def test_what_is_right_is_not_written_again() -> None:
    kube = FakeKube()
    seed(kube, caBundle=ENCODED)
    async with keeping(trust(kube)):
        assert kube.count("patch") == 0


async def test_another_bundle_is_written_at_once_and_what_was_trusted_before_stays_trusted_in_it() -> None:
    kube = FakeKube()
    seed(kube)
    bundle = CA
    one = ApiServiceTrust(kube, lambda: bundle)
    async with keeping(one):
        bundle = CA + "another"
        assert not one.trusts("another")
        one.changed()
        await until(lambda: one.trusts("another"))
        assert base64.b64decode(held(kube)).decode() == CA + "another"


async def test_an_apiservice_that_comes_later_gets_it_too_and_the_wait_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kube = FakeKube()
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            seed(kube)

    async with keeping(trust(kube, pause)):
        assert (held(kube), pauses) == (ENCODED, [1.0, 2.0, 4.0])
    assert len(caplog.records) == 1


async def test_a_write_that_fails_is_tried_again_and_is_not_taken_for_done() -> None:
    kube = FakeKube()
    seed(kube)
    kube.faults.fail("patch", UnreachableError("reset"), kind="APIService")
    seen: list[bool] = []

    async def pause(_: float) -> None:
        seen.append(one.trusts(CA))

    one = trust(kube, pause)
    async with keeping(one):
        assert (held(kube), kube.count("patch"), seen) == (ENCODED, 2, [False])


async def test_where_there_is_no_apiservice_nobody_has_to_be_told() -> None:
    """In a cluster without an aggregation layer a new CA must not wait for ever."""
    kube = FakeKube()
    asked = asyncio.Event()

    async def pause(_: float) -> None:
        asked.set()
        await asyncio.sleep(3600)

    one = trust(kube, pause)
    task = asyncio.create_task(one.keep())
    await asyncio.wait_for(asked.wait(), 5)
    assert one.trusts(CA)
    task.cancel()
