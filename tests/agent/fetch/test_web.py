"""What is fetched over HTTP is there whole or not at all, and what went wrong has Azure's code and a sentence."""

import asyncio
import hashlib
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from tests.agent.fetch.server import BODY, Server

from batchpools.agent.fetch.result import CONTAINER, Fetched, FetchFailure
from batchpools.agent.fetch.sink import FileSink
from batchpools.agent.fetch.source import Source, shown
from batchpools.agent.fetch.web import Limits, fetch
from batchpools.api.reasons import FailureCode
from batchpools.api.states import FailureCategory

QUICK = Limits(total=30.0, silence=10.0, connect=5.0, tries=3, pause=0.001)
SUM = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "there"
    folder.mkdir()
    return folder / "input.bin"


def content(file: Path) -> bytes:
    return file.read_bytes()


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def nothing_beside(file: Path, *, there: bool) -> None:
    assert list(file.parent.iterdir()) == ([file] if there else []), "no part of anything is left"


async def test_a_file_is_there_whole_with_its_mode(server: Server, file: Path) -> None:
    fetched = await fetch(Source(f"{server.url}/ok"), FileSink(file, 0o750), QUICK)
    assert fetched == Fetched(len(BODY), SUM)
    assert content(file) == BODY
    assert mode(file) == 0o750
    nothing_beside(file, there=True)


@pytest.mark.parametrize(
    ("path", "code", "category", "tries"),
    [
        ("status/404", FailureCode.BLOB_NOT_FOUND, FailureCategory.USER_ERROR, 1),
        ("status/403", FailureCode.BLOB_ACCESS_DENIED, FailureCategory.USER_ERROR, 1),
        ("status/401", FailureCode.BLOB_ACCESS_DENIED, FailureCategory.USER_ERROR, 1),
        ("status/409", FailureCode.BLOB_ACCESS_DENIED, FailureCategory.USER_ERROR, 1),
        ("status/418", FailureCode.BLOB_DOWNLOAD_MISC_ERROR, FailureCategory.SERVER_ERROR, 1),
        ("status/503", FailureCode.BLOB_DOWNLOAD_MISC_ERROR, FailureCategory.SERVER_ERROR, 3),
        ("status/504", FailureCode.BLOB_DOWNLOAD_TIMED_OUT, FailureCategory.SERVER_ERROR, 3),
        ("cut/9", FailureCode.BLOB_DOWNLOAD_MISC_ERROR, FailureCategory.SERVER_ERROR, 3),
    ],
)
async def test_a_refusal_is_final_and_a_passing_trouble_is_tried_again(
    server: Server, file: Path, path: str, code: FailureCode, category: FailureCategory, tries: int
) -> None:
    failed = await fetch(Source(f"{server.url}/{path}"), FileSink(file), QUICK)
    assert isinstance(failed, FetchFailure)
    assert (failed.code, failed.category) == (code, category)
    assert f"{server.url}/{path}" in failed.message
    assert server.seen[f"/{path}"] == tries
    nothing_beside(file, there=False)


@pytest.mark.parametrize("path", ["once/500", "once/429", "cut/2"])
async def test_what_goes_well_in_the_end_is_whole(server: Server, file: Path, path: str) -> None:
    fetched = await fetch(Source(f"{server.url}/{path}", sha256=SUM.upper()), FileSink(file), QUICK)
    assert isinstance(fetched, Fetched)
    assert content(file) == BODY, "nothing of the first try is left in it"


@pytest.fixture
def former(file: Path) -> Path:
    file.write_text("former")
    return file


async def test_another_sum_leaves_the_former_file_as_it_was(server: Server, former: Path) -> None:
    file = former
    failed = await fetch(Source(f"{server.url}/ok", sha256="0" * 64), FileSink(file), QUICK)
    assert isinstance(failed, FetchFailure)
    assert failed.code == FailureCode.BLOB_DOWNLOAD_MISC_ERROR
    assert SUM in failed.message
    assert content(file) == b"former"
    nothing_beside(file, there=True)


async def test_silence_and_slowness_end_it(server: Server, file: Path) -> None:
    silent = replace(QUICK, silence=0.05, tries=2)
    failed = await fetch(Source(f"{server.url}/held"), FileSink(file), silent)
    assert isinstance(failed, FetchFailure)
    assert failed.code == FailureCode.BLOB_DOWNLOAD_TIMED_OUT
    assert server.seen["/held"] == 2
    slow = await fetch(Source(f"{server.url}/held"), FileSink(file), replace(QUICK, total=0.1))
    assert isinstance(slow, FetchFailure)
    assert slow.code == FailureCode.BLOB_DOWNLOAD_TIMED_OUT
    assert "was not there after 0.1 s" in slow.message
    nothing_beside(file, there=False)


async def test_cancelled_it_leaves_nothing(server: Server, file: Path) -> None:
    fetching = asyncio.create_task(fetch(Source(f"{server.url}/held"), FileSink(file), QUICK))
    while not list(file.parent.iterdir()):  # noqa: ASYNC110 (the file system tells nobody)
        await asyncio.sleep(0.01)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    nothing_beside(file, there=False)


async def test_more_than_is_allowed_is_not_taken(server: Server, file: Path) -> None:
    failed = await fetch(Source(f"{server.url}/ok"), FileSink(file), replace(QUICK, max_bytes=1000))
    assert isinstance(failed, FetchFailure)
    assert "more than 1000 bytes" in failed.message
    nothing_beside(file, there=False)


async def test_credentials_are_shown_to_their_origin_alone(
    server: Server, other: Server, file: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    secret.joinpath("username").write_text("me\n")
    secret.joinpath("password").write_text("secret")
    source = Source(f"{server.url}/basic").with_credentials(secret)
    assert isinstance(await fetch(source, FileSink(file), QUICK), Fetched)

    server.redirects_to = ""  # the same origin
    await fetch(replace(source, url=f"{server.url}/to/basic"), FileSink(file), QUICK)
    assert server.shown["/basic"].startswith("Basic ")
    server.redirects_to = other.url
    assert isinstance(await fetch(replace(source, url=f"{server.url}/to/ok"), FileSink(file), QUICK), Fetched)
    assert other.shown["/ok"] == "?"
    assert "secret" not in repr(source)


async def test_a_signature_goes_into_the_query_and_into_no_sentence(server: Server, file: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("sasToken").write_text("?sig=a%2Bb")
    source = Source(f"{server.url}/status/403?x=1").with_credentials(tmp_path)
    failed = await fetch(source, FileSink(file), QUICK)
    assert server.shown["/status/403"] == "?x=1&sig=a%2Bb"
    assert isinstance(failed, FetchFailure)
    assert "sig" not in failed.message
    tmp_path.joinpath("token").write_text("abc")
    await fetch(Source(f"{server.url}/ok").with_credentials(tmp_path), FileSink(file), QUICK)
    assert server.shown["/ok"] == "Bearer abc?"


def test_a_secret_without_credentials_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Secret store is not there or holds no credentials"):
        Source("http://x").with_credentials(tmp_path / "store")


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("ftp://127.0.0.1/x", "is no URL of http or https"),
        ("http://", "is no URL of http or https"),
        ("http://nowhere.invalid/x", "the name nowhere.invalid is not known"),
        ("http://127.0.0.1:1/x", "cannot be fetched"),
        ("http://[::1/x", "is no URL of http or https"),
    ],
)
async def test_a_url_that_leads_nowhere_has_a_sentence(file: Path, url: str, word: str) -> None:
    failed = await fetch(Source(url), FileSink(file), QUICK)
    assert isinstance(failed, FetchFailure)
    assert failed.code == FailureCode.BLOB_DOWNLOAD_MISC_ERROR
    assert word in failed.message


async def test_redirects_without_end_and_to_what_is_no_web_are_refused(server: Server, file: Path) -> None:
    failed = await fetch(Source(f"{server.url}/loop"), FileSink(file), QUICK)
    assert isinstance(failed, FetchFailure)
    assert "redirects more than 10 times" in failed.message
    server.redirects_to = "file:///etc"
    failed = await fetch(Source(f"{server.url}/to/passwd"), FileSink(file), QUICK)
    assert isinstance(failed, FetchFailure)
    assert "is no URL of http or https" in failed.message


async def test_what_is_kept_is_what_was_sent(server: Server, file: Path) -> None:
    await fetch(Source(f"{server.url}/packed"), FileSink(file), QUICK)
    assert content(file) == BODY


async def test_where_it_cannot_be_kept_the_sink_says_why(server: Server, tmp_path: Path) -> None:
    failed = await fetch(Source(f"{server.url}/ok"), FileSink(tmp_path / "absent" / "x"), QUICK)
    assert isinstance(failed, FetchFailure)
    assert failed.code == FailureCode.RESOURCE_FILE_CREATE_FAILED
    full = await fetch(Source(f"{server.url}/ok"), Full(tmp_path / "x"), QUICK)
    assert isinstance(full, FetchFailure)
    assert full.code == FailureCode.DISK_FULL
    nothing_beside(tmp_path / "x", there=False)


class Full(FileSink):
    """A disk without room."""

    def _write(self, piece: bytes) -> None:
        Path("/dev/full").write_bytes(piece)


async def test_failures_of_listings_have_their_own_codes(server: Server, file: Path) -> None:
    failed = await fetch(Source(f"{server.url}/status/404"), FileSink(file), QUICK, CONTAINER)
    assert isinstance(failed, FetchFailure)
    assert failed.code == FailureCode.RESOURCE_CONTAINER_NOT_FOUND


def test_what_people_see_of_a_url_holds_no_secrets() -> None:
    assert shown("https://me:secret@[::1]:8/a?sig=x") == "https://[::1]:8/a"
    assert shown("http://[::1") == "its URL"
