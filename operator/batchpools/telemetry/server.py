"""Serves /metrics, /healthz and /readyz over plain HTTP. What is ready is decided by whom it asks.

That /healthz is answered at all shows that the event loop turns, and nothing else belongs into it: a restart mends no
watch. How long the loop may stand still is the probe's to say (60 s in the chart, safety rule S2.1).
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

Verdict = Callable[[], tuple[bool, str]]
Handler = Callable[[web.Request], Awaitable[web.Response]]


async def serve(registry: CollectorRegistry, ready: Verdict, port: int) -> web.AppRunner:
    """Listen on all addresses; the runner to clean up."""
    app = web.Application()
    app.router.add_get("/metrics", _metrics(registry))
    app.router.add_get("/healthz", _verdict(lambda: (True, "alive")))
    app.router.add_get("/readyz", _verdict(ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _metrics(registry: CollectorRegistry) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    return answer


def _verdict(ask: Verdict) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        good, sentence = ask()
        return web.Response(text=f"{sentence}\n", status=200 if good else 503)

    return answer
