"""The caBundle of our APIService: written when it differs, tried again until it holds."""

import base64
from typing import Any

import pytest

from batchpools.kube.errors import UnreachableError
from batchpools.kube.resources import API_SERVICES
from batchpools.ops.apiservice import NAME, write_ca_bundle
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


@pytest.mark.parametrize("before", [{}, {"caBundle": "of-another"}])
async def test_our_ca_is_written_where_it_is_not(before: dict[str, str]) -> None:
    kube = FakeKube()
    seed(kube, **before)
    await write_ca_bundle(kube, CA)
    assert held(kube) == ENCODED


async def test_what_is_right_is_not_written_again() -> None:
    kube = FakeKube()
    seed(kube, caBundle=ENCODED)
    await write_ca_bundle(kube, CA)
    assert kube.count("patch") == 0


async def test_an_apiservice_that_comes_later_gets_it_too_and_the_wait_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kube = FakeKube()
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            seed(kube)

    await write_ca_bundle(kube, CA, pause)
    assert (held(kube), pauses) == (ENCODED, [1.0, 2.0, 4.0])
    assert len(caplog.records) == 1


async def test_a_write_that_fails_is_tried_again() -> None:
    kube = FakeKube()
    seed(kube)
    kube.faults.fail("patch", UnreachableError("reset"), kind="APIService")

    async def pause(_: float) -> None:
        return

    await write_ca_bundle(kube, CA, pause)
    assert (held(kube), kube.count("patch")) == (ENCODED, 2)
