"""What the fake storage of the tests answers, Azurite answers too: Microsoft's emulator of Azure Storage (npm package azurite)."""

import asyncio
import base64
import hashlib
import hmac
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from tests.agent.fetch.blob_storage import Storage, storing
from yarl import URL

from batchpools.agent.fetch import blobs
from batchpools.agent.fetch.blobs import blob_of, list_blobs
from batchpools.agent.fetch.result import Fetched, FetchFailure
from batchpools.agent.fetch.sink import MemorySink
from batchpools.agent.fetch.source import Source
from batchpools.agent.fetch.web import Limits, Web
from batchpools.api.reasons import FailureCode

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # Azurite's, known to all
BLOBS = {
    name: f"of {name}".encode() for name in ("a b&c.txt", "in/1", "in/2", "in/deep/3", "other", "plus+and%25", "ü")
}


def permissions() -> dict[str, str]:
    """A shared access signature of the whole account, in its parts."""
    told = {
        "sv": "2019-12-12", "ss": "b", "srt": "sco", "sp": "rwdlac", "se": "2099-01-01T00:00:00Z", "spr": "https,http",
    }  # fmt: skip
    text = "\n".join([ACCOUNT, told["sp"], told["ss"], told["srt"], "", told["se"], "", told["spr"], told["sv"], ""])
    signed = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    return {**told, "sig": base64.b64encode(signed).decode()}


def signature() -> str:
    """The same as a query."""
    return urlencode(permissions())


async def filled(url: str) -> None:
    """A container `data` with the blobs."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{url}/data?restype=container&{signature()}") as made:
            assert made.status == 201, await made.text()
        for name, content in BLOBS.items():
            target = f"{url}/data/{quote(name)}?{signature()}"
            async with session.put(
                URL(target, encoded=True), data=content, headers={"x-ms-blob-type": "BlockBlob"}
            ) as put:
                assert put.status == 201, await put.text()


@pytest.fixture(params=["fake", "azurite"])
async def account(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """URL of an account that wants `signature()` and holds the blobs in the container `data`."""
    if request.param == "fake":
        async with storing(Storage(containers={"data": BLOBS}, signature=permissions()["sig"])) as storage:
            yield storage.url
        return
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("no azurite-blob in PATH (npm install azurite): the fake storage is not held to it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = f"--silent --skipApiVersionCheck --disableTelemetry --blobPort {port} --location {tmp_path}"
    process = await asyncio.create_subprocess_exec(program, *flags.split())
    try:
        url = f"http://127.0.0.1:{port}/{ACCOUNT}"
        await _answers(port)
        await filled(url)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def _answers(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


async def test_blobs_are_listed_in_pages_and_fetched_by_their_names(
    account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "_PAGE", 2)
    container = Source(f"{account}/data", query=signature())
    async with Web(Limits(tries=1)) as web:
        assert await list_blobs(web.fetch, container, "") == sorted(BLOBS)
        assert await list_blobs(web.fetch, container, "in/") == ["in/1", "in/2", "in/deep/3"]
        assert await list_blobs(web.fetch, container, "nothing") == []
        for name, content in BLOBS.items():
            sink = MemorySink()
            assert isinstance(await web.fetch(blob_of(container, name), sink), Fetched)
            assert sink.content == content


async def test_what_is_not_there_and_who_may_not_have_their_codes(account: str) -> None:
    async with Web(Limits(tries=1)) as web:
        absent = await list_blobs(web.fetch, Source(f"{account}/absent", query=signature()), "")
        refused = await list_blobs(web.fetch, Source(f"{account}/data"), "")
        blob = await web.fetch(Source(f"{account}/data/absent", query=signature()), MemorySink())
    assert isinstance(absent, FetchFailure)
    assert isinstance(refused, FetchFailure)
    assert isinstance(blob, FetchFailure)
    assert absent.code == FailureCode.RESOURCE_CONTAINER_NOT_FOUND
    assert refused.code in {FailureCode.RESOURCE_CONTAINER_ACCESS_DENIED, FailureCode.RESOURCE_CONTAINER_NOT_FOUND}
    assert blob.code == FailureCode.BLOB_NOT_FOUND
