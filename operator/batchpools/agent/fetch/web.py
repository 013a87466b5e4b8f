"""Fetches one thing over HTTP(S) into a sink: streamed, bounded in size and time, tried again when the server or the way fails.

It follows redirects, but shows credentials to their own origin alone. What is answered is kept as it was sent: nothing is
unpacked. This is the agent's only use of aiohttp, and is imported when the first thing is fetched.
"""

import asyncio
import hashlib
import random
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from batchpools.agent.fetch.result import BLOB, Codes, Fetched, FetchFailure
from batchpools.agent.fetch.sink import Sink, SinkError
from batchpools.agent.fetch.source import Source, shown
from batchpools.api.reasons import FailureCode

_PIECE = 256 << 10  # bytes
_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 10
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_SAID = 200  # characters of a reason that are shown


@dataclass(frozen=True, slots=True)
class Limits:
    """total: seconds for all tries. silence: seconds without a byte. max_bytes None: what the sink takes.

    tries with pauses between them that begin at `pause` seconds and double.
    """

    total: float = 4 * 3600.0
    silence: float = 60.0
    connect: float = 20.0
    max_bytes: int | None = None
    tries: int = 5
    pause: float = 1.0


class _PassingError(Exception):
    """It may go better next time; `code` if it does not."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.failure = FetchFailure(code, message)


class _FinalError(Exception):
    """It will not go better."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.failure = FetchFailure(code, message)


class Web:
    """Connections to wherever things are fetched from: `async with Web() as web`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open."""
        limits = self._limits
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=limits.connect, sock_read=limits.silence)
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def fetch(self, source: Source, sink: Sink, codes: Codes = BLOB) -> Fetched | FetchFailure:
        """Have it whole in the sink, or nothing of it. codes: what failures are called. Cancelled, it leaves nothing either."""
        what = shown(source.url)
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._persist(source, sink, codes)
        except TimeoutError:
            await sink.abandon()
            return FetchFailure(codes.timed_out, f"{what} was not there after {self._limits.total:g} s")
        except (_FinalError, _PassingError) as error:
            await sink.abandon()
            return error.failure
        except SinkError as error:
            await sink.abandon()
            return FetchFailure(error.code, f"what came from {what} cannot be kept: {error}")
        except BaseException:
            await sink.abandon()
            raise

    # ---------------------------------------------------------------- inside

    async def _persist(self, source: Source, sink: Sink, codes: Codes) -> Fetched:
        for tried in range(1, self._limits.tries + 1):
            try:
                return await self._try(source, sink, codes)
            except _PassingError:
                if tried == self._limits.tries:
                    raise
            longest = self._limits.pause * 2.0 ** (tried - 1)
            await asyncio.sleep(longest * random.uniform(0.7, 1.0))  # noqa: S311 (jitter, no secret)
        raise AssertionError("there is at least one try")

    async def _try(self, source: Source, sink: Sink, codes: Codes) -> Fetched:
        """One try; what libraries and networks say in exceptions becomes ours."""
        what = shown(source.url)
        try:
            async with await self._open(source, codes) as answer:
                return await self._keep(answer, source, sink, codes)
        except (aiohttp.ServerTimeoutError, aiohttp.SocketTimeoutError):
            silence = f"{what} did not answer for {self._limits.silence:g} s"
            raise _PassingError(codes.timed_out, silence) from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise _FinalError(
                codes.other, f"{what} shows a certificate that is not believed: {_words(error)}"
            ) from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError):
            raise _FinalError(codes.other, f"{what} is no URL of http or https") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _PassingError(codes.other, f"{what} cannot be fetched: {_words(error)}") from None

    async def _open(self, source: Source, codes: Codes) -> aiohttp.ClientResponse:
        """The answer that has the body, after all redirects."""
        assert self._session is not None  # noqa: S101 (entered)
        first = url = URL(source.full_url, encoded=True)
        for _ in range(_MOST_REDIRECTS + 1):
            if url.scheme not in {"http", "https"} or not url.host:
                raise _FinalError(codes.other, f"{shown(str(url))} is no URL of http or https")
            headers = source.headers if url.origin() == first.origin() else {}
            answer = await self._session.get(url, headers=headers, allow_redirects=False)
            target = answer.headers.get("Location", "")
            if answer.status not in _REDIRECTS or not target:
                return answer
            answer.release()
            url = url.join(URL(target, encoded=True))
        raise _FinalError(codes.other, f"{shown(source.url)} redirects more than {_MOST_REDIRECTS} times")

    async def _keep(self, answer: aiohttp.ClientResponse, source: Source, sink: Sink, codes: Codes) -> Fetched:
        self._judge(answer, shown(source.url), codes)
        most = self._limits.max_bytes
        digest, size = hashlib.sha256(), 0
        await sink.begin()
        async for piece in answer.content.iter_chunked(_PIECE):
            size += len(piece)
            if most is not None and size > most:
                raise _FinalError(codes.other, f"{shown(source.url)} has more than {most} bytes")
            digest.update(piece)
            await sink.write(piece)
        found = digest.hexdigest()
        if source.sha256 and found != source.sha256.lower():
            sentence = f"{shown(source.url)} has the SHA-256 {found}, not {source.sha256.lower()}"
            raise _FinalError(codes.other, sentence)
        await sink.finish()
        return Fetched(size, found)

    def _judge(self, answer: aiohttp.ClientResponse, what: str, codes: Codes) -> None:
        """Go on with a 200 alone."""
        status = answer.status
        if status == 200:
            return
        said = f"{what} was answered with {status} {answer.reason or ''}".rstrip()
        if status in {404, 410}:
            raise _FinalError(codes.not_found, said)
        if status in {401, 403, 409}:  # 409: a storage account that admits nobody without credentials
            raise _FinalError(codes.denied, said)
        if status in _PASSING:
            raise _PassingError(codes.timed_out if status in {408, 504} else codes.other, said)
        raise _FinalError(codes.other, said)


async def fetch(
    source: Source, sink: Sink, limits: Limits | None = None, codes: Codes = BLOB
) -> Fetched | FetchFailure:
    """One thing, with a connection of its own."""
    async with Web(limits) as web:
        return await web.fetch(source, sink, codes)


def _words(error: BaseException) -> str:
    """What an error says, cut; the libraries' words name hosts, no queries."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} is not known"
    return (str(error) or type(error).__name__)[:_SAID]
