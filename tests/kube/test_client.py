"""The client over real sockets, against a server that misbehaves as told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from tests.kube.conftest import until

from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import Credentials
from batchpools.kube.errors import (
    ForbiddenError,
    GoneError,
    KubeError,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
)
from batchpools.kube.resources import TASKS

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(
    answer: Answer, authorization: Callable[[], str] = str
) -> AsyncIterator[tuple[KubeClient, list[float]]]:
    """A client of a server that answers so, and the pauses that it made (none of which takes time)."""
    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    credentials = Credentials(f"http://127.0.0.1:{port}", ssl.create_default_context(), authorization)
    client = KubeClient(credentials, pause=pause)
    try:
        yield client, pauses
    finally:
        await client.close()
        await runner.cleanup()


def failing(times: int, status: int, headers: dict[str, str] | None = None) -> Answer:
    left = times

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        nonlocal left
        left -= 1
        if left >= 0:
            return web.json_response({"message": "not now", "reason": "Busy"}, status=status, headers=headers)
        return web.json_response({"metadata": {"name": "one"}})

    return answer


async def create(client: KubeClient) -> bytes:
    return await client.create(TASKS, "default", {"metadata": {"name": "one"}})


async def get(client: KubeClient) -> bytes:
    return await client.get(TASKS, "default", "one")


@pytest.mark.parametrize("call", [create, get])
async def test_a_server_that_turns_us_away_is_asked_again_when_it_says(call: Callable[[KubeClient], Any]) -> None:
    async with serving(failing(2, 429, {"Retry-After": "7"})) as (client, pauses):
        await call(client)
        assert pauses == [7, 7]
        assert sum(client.requests.values()) == 3


async def test_a_server_that_never_has_time_is_given_up() -> None:
    async with serving(failing(100, 429)) as (client, pauses):
        with pytest.raises(TooManyRequestsError, match="not now"):
            await get(client)
        assert pauses == [0.5, 1, 2]


async def test_a_retry_after_that_is_a_date_is_not_read() -> None:
    async with serving(failing(1, 429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})) as (client, pauses):
        await get(client)
        assert pauses == [0.5]


async def test_an_unavailable_server_is_asked_again_to_read_and_never_to_write() -> None:
    async with serving(failing(1, 503)) as (client, _):
        await get(client)
    async with serving(failing(1, 503)) as (client, pauses):
        with pytest.raises(UnavailableError):
            await create(client)
        assert pauses == []


async def test_nobody_there_is_unreachable() -> None:
    client = KubeClient(Credentials("http://127.0.0.1:1", ssl.create_default_context(), str))
    with pytest.raises(UnreachableError, match="does not answer"):
        await create(client)
    await client.close()


@pytest.mark.parametrize(
    ("status", "error"), [(401, UnauthorizedError), (403, ForbiddenError), (410, GoneError), (500, ServerError)]
)
async def test_a_status_is_an_error_with_the_server_s_sentence(status: int, error: type[KubeError]) -> None:
    async with serving(failing(9, status)) as (client, _):
        with pytest.raises(error) as caught:
            await get(client)
        assert (caught.value.sentence, caught.value.status, caught.value.reason) == ("not now", status, "Busy")
        assert client.requests == {("get", "tasks", str(status)): 1}


async def test_an_answer_that_is_no_status_is_an_error_all_the_same() -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=502, text="<html>bad gateway</html>")

    async with serving(answer) as (client, _):
        with pytest.raises(ServerError, match="bad gateway"):
            await get(client)


async def test_a_renewed_token_is_used_at_once() -> None:
    seen: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.headers["Authorization"])
        return web.json_response({})

    tokens = iter(["Bearer first", "Bearer second"])
    async with serving(answer, lambda: next(tokens)) as (client, _):
        await get(client)
        await get(client)
    assert seen == ["Bearer first", "Bearer second"]


async def test_no_more_than_16_requests_are_in_flight() -> None:
    gate = asyncio.Event()
    inside = 0

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        nonlocal inside
        inside += 1
        await gate.wait()
        return web.json_response({})

    async with serving(answer) as (client, _):
        calls = [asyncio.create_task(get(client)) for _ in range(100)]
        await until(lambda: inside >= 16)
        assert client.in_flight == 16
        gate.set()
        await asyncio.gather(*calls)
        assert client.in_flight == 0
        assert inside == 100


# ---------------------------------------------------------------- watch


def stream(*pieces: bytes) -> Answer:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        return response

    return answer


async def watched(client: KubeClient) -> list[tuple[str, int]]:
    return [(event.type, len(event.object)) async for event in client.watch(TASKS, resource_version="5")]


async def test_a_line_that_comes_in_pieces_is_one_event() -> None:
    big = b'{"spec":"' + b"x" * 700_000 + b'"}'
    pieces = (
        b'{"type":"ADD',
        b'ED","object":' + big[:300_000],
        big[300_000:] + b'}\n{"type":"BOOKMARK","object":{}}\n',
    )
    async with serving(stream(*pieces)) as (client, _):
        assert await watched(client) == [("ADDED", len(big)), ("BOOKMARK", 2)]


async def test_a_line_that_the_connection_cuts_is_no_event() -> None:
    async with serving(stream(b'{"type":"ADDED","object":{}}\n{"type":"MODIF')) as (client, _):
        assert await watched(client) == [("ADDED", 2)]


async def test_an_error_line_is_raised_as_what_it_means() -> None:
    line = b'{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old resource version: 5"}}\n'
    async with serving(stream(line)) as (client, _):
        with pytest.raises(GoneError, match="too old"):
            await watched(client)


async def test_a_line_that_is_no_event_is_an_error_of_the_connection() -> None:
    async with serving(stream(b"<html>\n")) as (client, _):
        with pytest.raises(UnreachableError, match="cannot be read"):
            await watched(client)


async def test_a_refused_watch_is_an_error() -> None:
    async with serving(failing(9, 403)) as (client, _):
        with pytest.raises(ForbiddenError):
            await watched(client)


async def test_what_is_no_plain_json_can_be_read_too() -> None:
    """The published keys of service accounts are served as application/jwk-set+json alone: 406 to who wants JSON and no more."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        accepted = [one.strip().partition(";")[0] for one in request.headers["Accept"].split(",")]
        assert accepted[0] == "application/json", "objects come as JSON"
        if "*/*" not in accepted:
            return web.Response(status=406, text="406: Not Acceptable")
        return web.Response(body=b"{}", content_type="application/jwk-set+json")

    async with serving(answer) as (client, _):
        assert await client.raw("/openid/v1/jwks") == b"{}"
