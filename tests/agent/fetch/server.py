"""A small real HTTP server on loopback that misbehaves as it is asked to."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

BODY = bytes(range(256)) * 5000


@dataclass
class Server:
    """`url` of it; seen: how often each path was asked for; shown: the credentials that came with it."""

    url: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    shown: dict[str, str] = field(default_factory=dict)
    redirects_to: str = ""
    files: dict[str, bytes] = field(default_factory=dict)  # what /ok/... is, where it is not BODY
    left: int = 0  # who hung up before the end of /held
    release: asyncio.Event = field(default_factory=asyncio.Event)  # what /held waits for

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.seen[path] += 1
        self.shown[path] = request.headers.get("Authorization", "") + "?" + request.query_string
        match path.split("/")[1:]:
            case ["ok", *_]:
                return web.Response(body=self.files.get(path, BODY))
            case ["status", code]:
                return web.Response(status=int(code), text="no")
            case ["once", code]:
                return web.Response(status=int(code)) if self.seen[path] == 1 else web.Response(body=BODY)
            case ["cut", times]:
                return await self._cut(request, self.seen[path] <= int(times))
            case ["held"]:
                return await self._held(request)
            case ["to", *rest]:
                return web.Response(status=302, headers={"Location": f"{self.redirects_to}/{'/'.join(rest)}"})
            case ["loop"]:
                return web.Response(status=302, headers={"Location": "/loop"})
            case ["basic"]:
                wanted = "Basic " + base64.b64encode(b"me:secret").decode()
                return web.Response(status=200 if request.headers.get("Authorization") == wanted else 401, body=BODY)
            case ["packed"]:
                return web.Response(body=BODY, headers={"Content-Encoding": "gzip"})
        return web.Response(status=404)

    async def _cut(self, request: web.Request, cut: bool) -> web.StreamResponse:
        """Hang up after a third of what was announced."""
        answer = web.StreamResponse(headers={"Content-Length": str(len(BODY))})
        await answer.prepare(request)
        await answer.write(BODY[: len(BODY) // 3])
        if cut:
            assert request.transport is not None
            request.transport.close()
        else:
            await answer.write(BODY[len(BODY) // 3 :])
        return answer

    async def _held(self, request: web.Request) -> web.StreamResponse:
        """A part, and the rest when it is released."""
        answer = web.StreamResponse(headers={"Content-Length": str(len(BODY))})
        await answer.prepare(request)
        await answer.write(BODY[:1000])
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        await answer.write(BODY[1000:])
        return answer


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    """It listens on a port of its own."""
    app = web.Application()
    app.router.add_route("GET", "/{rest:.*}", server.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = site.name if not site.name.endswith(":0") else f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.release.set()
        await runner.cleanup()
