"""The aggregated API, served by every replica behind the API server: logs and explanations of tasks, runs of nodes.

It decides who may ask (the API server, and replicas for it), what a question looks like, and what a standby hands on to
the leader; the answers are found elsewhere.
"""

import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple

from aiohttp import web

from batchpools.api import names
from batchpools.core.ledger import RunLedger
from batchpools.hub.certificates import server_context
from batchpools.hub.living_context import LivingContext
from batchpools.hub.port import HubPort
from batchpools.hub.shown import Shown
from batchpools.kube.cache import Cache
from batchpools.kube.port import KubeApi
from batchpools.ops import answers
from batchpools.ops.evaluate import Evaluate, evaluated
from batchpools.ops.front_proxy import FrontProxy, common_names, load_front_proxy
from batchpools.ops.node_runs import node_runs
from batchpools.ops.task_logs import LogError, TaskLogs, Wanted
from batchpools.ops.to_leader import Standing, ToLeader, is_replica
from batchpools.telemetry.clock import Clock, SystemClock
from batchpools.telemetry.logs import bound
from batchpools.telemetry.seldom import Seldom

_log = logging.getLogger(__name__)
_STREAMS = {"stdout", "stderr"}
_WORDS = {"true": True, "false": False}
_BASE = f"/apis/{names.OPS_GROUP}"
_POOL = f"{_BASE}/{names.VERSION}/namespaces/{{namespace}}/pools/{{name}}"
_TASK = f"{_BASE}/{names.VERSION}/namespaces/{{namespace}}/tasks/{{name}}"
_GOODBYE = 2.0  # seconds that readers of logs have when the replica ends

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OpsServer:
    """One replica's part. A standby answers for itself what needs no leader, and hands on the rest (safety rule S2.5).

    `evaluate` tries a formula for a pool; it is the leader's.
    """

    def __init__(
        self,
        cache: Cache,
        ledger: RunLedger,
        hub: HubPort,
        api: KubeApi,
        standing: Standing,
        clock: Clock | None = None,
    ) -> None:
        self.evaluate: Evaluate = lambda *_: None
        self._cache = cache
        self._ledger = ledger
        self._api = api
        self._standing = standing
        self._to_leader = ToLeader(standing)
        self._tls = LivingContext(ssl.CERT_OPTIONAL)
        self._clock = clock or SystemClock()
        self._logs = TaskLogs(cache, ledger, hub, self._clock)
        self._strangers = Seldom(self._clock)
        self._front: FrontProxy | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, shown: Shown, port: int, host: str | None = None) -> None:
        """Listen with TLS; clients show the API server's front-proxy certificate, or that of a replica.

        In a cluster without an aggregation layer nothing is served, which is said once: all else works without.
        """
        self._front = await load_front_proxy(self._api)
        if self._front is None:
            _log.warning("the API server has no aggregation layer: there will be no logs and no explanations")
            return
        self._to_leader.start()
        self.show(shown)
        # A reader who goes away ends the reading, also of a file that does not grow.
        self._runner = web.AppRunner(
            self._routes(), access_log=None, handler_cancellation=True, shutdown_timeout=_GOODBYE
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=self._tls.context).start()

    def show(self, shown: Shown) -> None:
        """From the next handshake on show this, as server and to the leader, and believe replicas of these CAs."""
        if self._front is None:
            return
        context = server_context(shown.server)
        self._front.trust(context)
        context.load_verify_locations(cadata=shown.bundle)
        self._tls.show(context)
        self._to_leader.show(shown.client, shown.bundle)

    async def stop(self) -> None:
        """Stop listening; logs that are being followed are cut."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self._to_leader.stop()

    def _routes(self) -> web.Application:
        app = web.Application(middlewares=[self._only_the_api_server])
        app.router.add_get("/apis", _static(answers.group_list()))
        app.router.add_get(_BASE, _static(answers.group()))
        app.router.add_get(f"{_BASE}/{names.VERSION}", _static(answers.resource_list()))
        app.router.add_get("/openapi/v2", _static(answers.openapi_v2()))
        app.router.add_get("/openapi/v3", _static(answers.openapi_v3()))
        app.router.add_get(f"{_TASK}/logs", self._read_logs)
        app.router.add_get(f"{_TASK}/explain", self._by_leader(self._explain))
        app.router.add_post(f"{_POOL}/evaluate", self._by_leader(self._evaluate))
        for scope in ("", "/namespaces/{namespace}"):
            app.router.add_get(f"{_BASE}/{names.VERSION}{scope}/noderuns", self._by_leader(self._node_runs))
        return app

    @web.middleware
    async def _only_the_api_server(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
        if self._front is None or not (is_replica(certificate) or self._front.accepts(certificate)):
            self._say_who(request, ", ".join(sorted(common_names(certificate))))
            return answers.refusal(401, "Unauthorized", "Only the API server may ask here; use kubectl get --raw.")
        try:
            return await handler(request)
        except web.HTTPException as refused:
            sentence = f"{request.method} {request.path} is not served here."
            return answers.refusal(refused.status, refused.reason.replace(" ", ""), sentence)

    def _say_who(self, request: web.Request, name: str) -> None:
        if self._strangers.is_worth_saying((request.remote, name)):
            shown = f"a certificate of {name!r}" if name else "no certificate"
            _log.warning("%s was refused: it showed %s, not the API server's", request.remote, shown)

    def _by_leader(self, answer: Handler) -> Handler:
        """Have it answered by whoever leads. What a replica has handed on is not handed on again."""

        async def answer_or_forward(request: web.Request) -> web.StreamResponse:
            if self._standing.leading():
                return await answer(request)
            if _is_forwarded(request):
                return answers.no_leader("This replica of the operator no longer leads.")
            return await self._to_leader.forward(request)

        return answer_or_forward

    async def _read_logs(self, request: web.Request) -> web.StreamResponse:
        query = _log_query(request)
        if query is None:
            sentence = "stream is stdout or stderr, follow is true or false, tail a number of lines."
            return answers.refusal(400, "BadRequest", sentence)
        if not (self._standing.leading() or self._logs.is_placed(query.wanted) or _is_forwarded(request)):
            return await self._to_leader.forward(request)
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        try:
            async with aclosing(self._logs.read(query.wanted, follow=query.follow, tail=query.tail)) as pieces:
                async for piece in pieces:
                    if not response.prepared:
                        await response.prepare(request)
                    await response.write(piece)
        except LogError as error:
            if not response.prepared:
                return answers.refusal(error.status, error.reason, str(error))
            task = bound(_log, kind="Task", namespace=query.wanted.namespace, name=query.wanted.name)
            task.info("a log was cut: %s", error)
            answers.cut(request)
            return response
        except ConnectionResetError:
            return response  # the reader has gone
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
        return response

    async def _explain(self, request: web.Request) -> web.StreamResponse:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        told = self._ledger.explain(namespace, name)
        if told is None:
            return answers.refusal(404, "NotFound", f"Task {name!r} is not in namespace {namespace!r}.")
        return web.json_response(told._asdict())

    async def _evaluate(self, request: web.Request) -> web.StreamResponse:
        return await evaluated(request, self.evaluate)

    async def _node_runs(self, request: web.Request) -> web.StreamResponse:
        namespace = request.match_info.get("namespace", "")
        return web.json_response(node_runs(self._cache, self._ledger, namespace))


class _LogQuery(NamedTuple):
    wanted: Wanted
    follow: bool
    tail: int


def _log_query(request: web.Request) -> _LogQuery | None:
    """What a request for a log asks for; None when it cannot be understood."""
    stream = request.query.get("stream", "stdout")
    tail = request.query.get("tail", "0")
    follow = _WORDS.get(request.query.get("follow", "false"))
    if stream not in _STREAMS or follow is None or not (tail.isascii() and tail.isdigit() and len(tail) < 10):
        return None
    wanted = Wanted(request.match_info["namespace"], request.match_info["name"], stream)
    return _LogQuery(wanted, follow, int(tail))


def _is_forwarded(request: web.Request) -> bool:
    return request.transport is not None and is_replica(request.transport.get_extra_info("peercert"))


def _static(body: object) -> Handler:
    text = json.dumps(body)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/json")

    return answer
