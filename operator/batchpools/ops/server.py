"""The aggregated API, served by every replica behind the API server: logs and explanations of tasks."""

import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from batchpools.api import names
from batchpools.core.ledger import RunLedger
from batchpools.hub.certificates import Issued, server_context
from batchpools.hub.port import HubPort
from batchpools.kube.cache import Cache
from batchpools.kube.port import KubeApi
from batchpools.ops import answers
from batchpools.ops.from_cache import explain_from_cache
from batchpools.ops.front_proxy import FrontProxy, load_front_proxy
from batchpools.ops.task_logs import LogError, TaskLogs

_log = logging.getLogger(__name__)
_STREAMS = {"stdout", "stderr"}
_BASE = f"/apis/{names.OPS_GROUP}"
_TASK = f"{_BASE}/{names.VERSION}/namespaces/{{namespace}}/tasks/{{name}}"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OpsServer:
    """One replica's part. `leading()`: on a standby an explanation comes from the cache alone, and says so."""

    def __init__(
        self, cache: Cache, ledger: RunLedger, hub: HubPort, api: KubeApi, leading: Callable[[], bool]
    ) -> None:
        self._logs = TaskLogs(cache, ledger, hub)
        self._cache = cache
        self._ledger = ledger
        self._api = api
        self._leading = leading
        self._front: FrontProxy | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, issued: Issued, port: int, host: str | None = None) -> None:
        """Listen with TLS; clients show the API server's front-proxy certificate."""
        self._front = await load_front_proxy(self._api)
        context = server_context(issued)
        self._front.trust(context)
        app = web.Application(middlewares=[self._only_the_api_server])
        app.router.add_get("/apis", _static(answers.group_list()))
        app.router.add_get(_BASE, _static(answers.group()))
        app.router.add_get(f"{_BASE}/{names.VERSION}", _static(answers.resource_list()))
        app.router.add_get(f"{_TASK}/logs", self._read_logs)
        app.router.add_get(f"{_TASK}/explain", self._explain)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=context).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _only_the_api_server(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
        if self._front is None or not self._front.accepts(certificate):
            return answers.refusal(401, "Unauthorized", "Only the API server may ask here; use kubectl get --raw.")
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return answers.refusal(404, "NotFound", f"{request.path} is not served here.")

    async def _read_logs(self, request: web.Request) -> web.StreamResponse:
        stream = request.query.get("stream", "stdout")
        tail = request.query.get("tail", "0")
        if stream not in _STREAMS or not tail.isdigit():
            return answers.refusal(400, "BadRequest", "stream is stdout or stderr, tail a number of lines.")
        follow = request.query.get("follow", "false") == "true"
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        try:
            async for piece in self._logs.read(namespace, name, stream, follow=follow, tail=int(tail)):
                if not response.prepared:
                    await response.prepare(request)
                await response.write(piece)
        except LogError as error:
            if not response.prepared:
                return answers.refusal(error.status, error.reason, str(error))
            _log.info("a log ended early: %s", error)
        except ConnectionResetError:
            return response  # the reader has gone
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
        return response

    async def _explain(self, request: web.Request) -> web.StreamResponse:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        leading = self._leading()
        told = self._ledger.explain(namespace, name) if leading else explain_from_cache(self._cache, namespace, name)
        if told is None:
            return answers.refusal(404, "NotFound", f"Task {name!r} is not in namespace {namespace!r}.")
        return web.json_response({**told._asdict(), "source": "leader" if leading else "standby"})


def _static(body: object) -> Handler:
    text = json.dumps(body)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/json")

    return answer
