"""The real API server behind `port.KubeApi`: aiohttp, one session, a bound on requests in flight, retries where they are safe.

The lease wants a KubeClient of its own: behind others' requests a renewal would come too late.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import aiohttp
import msgspec

from batchpools.kube.credentials import Credentials
from batchpools.kube.errors import KubeError, TooManyRequestsError, UnavailableError, UnreachableError, error_of
from batchpools.kube.port import ListPage, PatchOperation, Resource, WatchEvent
from batchpools.kube.resources import path_of

# Requests at once. More of them do not bring more done, they only wait in the API server, and everybody else's with them: of
# one on two cores, 16 take as many tasks a second as 64 (44), and a request takes 0.2 instead of 0.3 to 0.4 seconds.
_AT_ONCE = 16
_TIME_LIMIT = aiohttp.ClientTimeout(total=20)
_WATCH_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)
_WATCH_SECONDS = 290
_RETRIES = 4
_PAGE = 500
_LINE_LIMIT = 4 << 20


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Line(msgspec.Struct):
    type: str
    object: msgspec.Raw


_LIST = msgspec.json.Decoder(_List)
_LINE = msgspec.json.Decoder(_Line)


class KubeClient:
    """KubeApi over HTTPS. `requests` counts answers by (verb, resource, code); `in_flight` is now, at most `at_once`."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        at_once: int = _AT_ONCE,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._credentials = credentials
        self._pause = pause
        self._slots = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.in_flight = 0

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> bytes:
        """One object; NotFound."""
        return await self._call("get", resource, path_of(resource, namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        page: str = "",
    ) -> ListPage:
        """A page of at most 500 objects; Gone when the page token is too old."""
        query = {
            "limit": str(_PAGE),
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "continue": page,
        }
        body = await self._call("list", resource, path_of(resource, namespace), query=query)
        try:
            found = _LIST.decode(body)
        except msgspec.DecodeError as error:
            raise UnreachableError(f"a list of {resource.plural} cannot be read: {error}") from error
        items = tuple(bytes(item) for item in found.items or ())
        return ListPage(items, found.metadata.resource_version, found.metadata.continue_)

    async def watch(
        self, resource: Resource, namespace: str = "", *, resource_version: str, label_selector: str = ""
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after resource_version, with bookmarks; ends when the server closes; Gone on 410."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(_WATCH_SECONDS),
            "labelSelector": label_selector,
        }
        async with aclosing(self._stream("watch", path_of(resource, namespace), resource.plural, query)) as lines:
            async for line in lines:
                yield _watch_event(line)

    async def create(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> bytes:
        """The created object; AlreadyExists, Invalid, Forbidden."""
        return await self._call("create", resource, path_of(resource, namespace), body=manifest)

    async def rehearse(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> None:
        """What `create` would answer; nothing is made. AlreadyExists, Invalid, Forbidden."""
        await self._call("create", resource, path_of(resource, namespace), query={"dryRun": "All"}, body=manifest)

    async def replace(self, resource: Resource, namespace: str, name: str, manifest: Mapping[str, Any]) -> bytes:
        """PUT with the manifest's resourceVersion; Conflict."""
        return await self._call("update", resource, path_of(resource, namespace, name), body=manifest)

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        operations: Sequence[PatchOperation],
        *,
        subresource: str = "",
    ) -> bytes:
        """JSON Patch; NotFound, TestFailed, Invalid."""
        path = path_of(resource, namespace, name, subresource)
        return await self._call("patch", resource, path, body=list(operations))

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str = "",
        grace_seconds: int | None = None,
    ) -> None:
        """Delete one life of an object; NotFound, Conflict when uid or resourceVersion differ."""
        preconditions = {"uid": uid, **({"resourceVersion": resource_version} if resource_version else {})}
        options: dict[str, Any] = {"preconditions": preconditions, "propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self._call("delete", resource, path_of(resource, namespace, name), body=options)

    async def raw(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """GET of any path, as `kubectl get --raw`."""
        return await self._send("GET", path, "raw", "get", query=query)

    async def post_raw(self, path: str, body: Any) -> bytes:
        """POST of JSON to any path, as `kubectl create --raw`."""
        return await self._send("POST", path, "raw", "create", body=body)

    def raw_lines(self, path: str, query: Mapping[str, str] | None = None) -> AsyncGenerator[bytes, None]:
        """GET of any path as it arrives, in pieces."""
        return self._stream("get", path, "raw", query or {}, pieces=True)

    # ---------------------------------------------------------------- requests

    async def _call(
        self, verb: str, resource: Resource, path: str, *, query: Mapping[str, str] | None = None, body: Any = None
    ) -> bytes:
        method = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}.get(verb, "GET")
        return await self._send(method, path, resource.plural, verb, query=query, body=body)

    async def _send(
        self,
        method: str,
        path: str,
        plural: str,
        verb: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> bytes:
        """A server that turned us away is asked again.

        What may have been done is done again only where that does no harm: a GET. Everything else is for the caller, who
        knows what a second time means.
        """
        attempt = 0
        while True:
            try:
                return await self._once(method, path, plural, verb, query, body)
            except KubeError as error:
                attempt += 1
                if attempt == _RETRIES or not _may_repeat(error, method):
                    raise
                await self._pause(error.retry_after or 0.5 * 2 ** (attempt - 1))

    async def _once(
        self, method: str, path: str, plural: str, verb: str, query: Mapping[str, str] | None, body: Any
    ) -> bytes:
        headers, payload = self._headers(method, body)
        async with self._slots:
            self.in_flight += 1
            try:
                async with self._connections().request(
                    method, self._url(path), params=_present(query), data=payload, headers=headers, timeout=_TIME_LIMIT
                ) as answer:
                    content = await answer.read()
                    self.requests[verb, plural, str(answer.status)] += 1
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.requests[verb, plural, "none"] += 1
                raise UnreachableError(f"the API server does not answer: {error or type(error).__name__}") from error
            finally:
                self.in_flight -= 1
        if answer.status >= 300:
            after = _seconds(answer.headers.get("Retry-After", ""))
            tested = method == "PATCH" and bool(body) and body[0].get("op") == "test"
            raise error_of(answer.status, content, method=method, patch_tested=tested, retry_after=after)
        return content

    async def _stream(
        self, verb: str, path: str, plural: str, query: Mapping[str, str], *, pieces: bool = False
    ) -> AsyncGenerator[bytes, None]:
        headers, _ = self._headers("GET", None)
        try:
            async with self._connections().get(
                self._url(path), params=_present(query), headers=headers, timeout=_WATCH_LIMIT
            ) as answer:
                self.requests[verb, plural, str(answer.status)] += 1
                if answer.status >= 300:
                    raise error_of(answer.status, await answer.read(), method="GET")
                if pieces:
                    async for piece in answer.content.iter_any():
                        yield piece
                else:
                    async for line in _lines(answer.content):
                        yield line
        except KubeError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"the API server went silent: {error or type(error).__name__}") from error

    def _headers(self, method: str, body: Any) -> tuple[dict[str, str], bytes | None]:
        # */* as kubectl does: the published keys of service accounts are application/jwk-set+json and nothing else
        headers = {"Accept": "application/json, */*", "User-Agent": "batchpools"}
        authorization = self._credentials.authorization()
        if authorization:
            headers["Authorization"] = authorization
        if body is None:
            return headers, None
        headers["Content-Type"] = "application/json-patch+json" if method == "PATCH" else "application/json"
        return headers, msgspec.json.encode(body)

    def _url(self, path: str) -> str:
        return self._credentials.server.rstrip("/") + path

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._credentials.tls, limit=0, keepalive_timeout=60)
            self._session = aiohttp.ClientSession(connector=connector, read_bufsize=1 << 18)
        return self._session


def _may_repeat(error: KubeError, method: str) -> bool:
    """429: nothing was done. No answer, or 503: only a GET is the same twice."""
    if isinstance(error, TooManyRequestsError):
        return True
    return method == "GET" and isinstance(error, UnavailableError | UnreachableError)


def _seconds(retry_after: str) -> float:
    """A Retry-After in seconds, at most a minute; a date (which a proxy may send) counts as "not told"."""
    return min(float(retry_after), 60.0) if retry_after.isdecimal() else 0.0


def _watch_event(line: bytes) -> WatchEvent:
    """One line of a watch; an ERROR line is raised as what its status means."""
    try:
        event = _LINE.decode(line)
        raw = bytes(event.object)
        if event.type != "ERROR":
            return WatchEvent(event.type, raw)
        code = msgspec.json.decode(raw).get("code", 500)
    except msgspec.DecodeError as error:
        raise UnreachableError(f"a line of a watch cannot be read: {error}") from error
    raise error_of(code, raw, method="GET")


def _present(query: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (query or {}).items() if value}


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length up to 4 MiB; an object can be longer than a stream reader's own line limit."""
    rest = b""
    async for piece in content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > _LINE_LIMIT:
            raise UnreachableError("a line of a watch is longer than 4 MiB")
