"""What a container of Azure Blob Storage holds is listed page by page; a list that cannot be believed is a failure."""

from collections.abc import AsyncIterator

import pytest
from tests.agent.fetch.blob_storage import Storage, storing

from batchpools.agent.fetch.blobs import blob_of, list_blobs, read_page
from batchpools.agent.fetch.result import FetchFailure
from batchpools.agent.fetch.source import Source
from batchpools.agent.fetch.web import Limits, Web
from batchpools.api.reasons import FailureCode

NAMES = ["a b&c.txt", "in/1", "in/2", "in/deep/3", "other", "plus+and%25"]


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    blobs = {name: name.encode() for name in NAMES}
    async with storing(Storage(containers={"data": blobs}, directories={"in", "in/deep"})) as one:
        yield one


async def listed(source: Source, prefix: str = "") -> list[str] | FetchFailure:
    async with Web(Limits(tries=1)) as web:
        return await list_blobs(web.fetch, source, prefix)


async def test_all_pages_are_listed_and_directories_are_no_blobs(storage: Storage) -> None:
    assert await listed(Source(f"{storage.url}/data")) == NAMES
    assert storage.pages == 4
    assert await listed(Source(f"{storage.url}/data"), "in/") == ["in/1", "in/2", "in/deep/3"]
    assert await listed(Source(f"{storage.url}/data"), "nothing") == []


async def test_a_signature_in_the_url_is_shown_for_list_and_blobs(storage: Storage) -> None:
    storage.signature = "a+b="
    source = Source(f"{storage.url}/data?sig=a%2Bb%3D")
    assert await listed(source) == NAMES
    assert blob_of(source, "a b&c.txt").full_url == f"{storage.url}/data/a%20b%26c.txt?sig=a%2Bb%3D"


@pytest.mark.parametrize(
    ("container", "signature", "code"),
    [
        ("absent", "", FailureCode.RESOURCE_CONTAINER_NOT_FOUND),
        ("data", "wanted", FailureCode.RESOURCE_CONTAINER_ACCESS_DENIED),
    ],
)
async def test_failures_have_the_codes_of_containers(
    storage: Storage, container: str, signature: str, code: FailureCode
) -> None:
    storage.signature = signature
    failed = await listed(Source(f"{storage.url}/{container}"))
    assert isinstance(failed, FetchFailure)
    assert failed.code == code


@pytest.mark.parametrize(
    ("listing", "word"),
    [
        ("no list", "it is no XML"),
        ("<html></html>", "it begins with 'html'"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><EnumerationResults>&a;</EnumerationResults>', "it holds a declaration"),
    ],
)
async def test_what_is_no_list_of_blobs_is_a_failure(storage: Storage, listing: str, word: str) -> None:
    storage.listing = listing
    failed = await listed(Source(f"{storage.url}/data"))
    assert isinstance(failed, FetchFailure)
    assert failed.code == FailureCode.RESOURCE_CONTAINER_LIST_MISC_ERROR
    assert word in failed.message


def test_names_that_xml_cannot_hold_come_encoded() -> None:
    page = (
        b"<EnumerationResults><Blobs><Blob><Name Encoded='true'>a%EF%BF%BEb</Name></Blob></Blobs></EnumerationResults>"
    )
    assert read_page(page) == (["a\ufffeb"], "")
