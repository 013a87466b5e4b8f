"""A small server that speaks what we need of Azure Blob Storage: List Blobs in pages, and Get Blob; a signature if it wants one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from aiohttp import web

PAGE = 2  # blobs, whatever more is asked for


@dataclass
class Storage:
    """`url` of the account; blobs by container. signature: a query that must be there; directories are listed as blobs, too."""

    url: str = ""
    signature: str = ""
    containers: dict[str, dict[str, bytes]] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    pages: int = 0
    listing: str = ""  # answered instead, if given

    async def answer(self, request: web.Request) -> web.StreamResponse:
        container, _, name = request.path.lstrip("/").partition("/")
        if self.signature and request.query.get("sig") != self.signature:
            return web.Response(status=403, text="AuthenticationFailed")
        if container not in self.containers:
            return web.Response(status=404, text="ContainerNotFound")
        if name:
            content = self.containers[container].get(name)
            return web.Response(status=404) if content is None else web.Response(body=content)
        assert (request.query["restype"], request.query["comp"]) == ("container", "list")
        return web.Response(text=self.listing or self._page(container, request), content_type="application/xml")

    def _page(self, container: str, request: web.Request) -> str:
        self.pages += 1
        prefix, marker = request.query.get("prefix", ""), request.query.get("marker", "")
        names = sorted({*self.containers[container], *self.directories})
        left = [one for one in names if one.startswith(prefix) and one >= marker]
        page, rest = left[:PAGE], left[PAGE:]
        blobs = "".join(self._blob(one) for one in page)
        following = f"<NextMarker>{escape(rest[0])}</NextMarker>" if rest else "<NextMarker />"
        return (
            '\ufeff<?xml version="1.0" encoding="utf-8"?>'
            f'<EnumerationResults ServiceEndpoint="{self.url}/" ContainerName="{container}">'
            f"<Prefix>{escape(prefix)}</Prefix><MaxResults>{PAGE}</MaxResults><Blobs>{blobs}</Blobs>{following}"
            "</EnumerationResults>"
        )

    def _blob(self, name: str) -> str:
        kind = "directory" if name in self.directories else "file"
        return f"<Blob><Name>{escape(name)}</Name><Properties><ResourceType>{kind}</ResourceType></Properties></Blob>"


@asynccontextmanager
async def storing(storage: Storage) -> AsyncIterator[Storage]:
    """It listens on a port of its own."""
    app = web.Application()
    app.router.add_route("GET", "/{rest:.*}", storage.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    storage.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield storage
    finally:
        await runner.cleanup()
