"""The answer to `pools/evaluate`: a formula is tried for a pool as it is now, and nothing is applied.

Source: REST reference, Pool - Evaluate Auto Scale. Beyond it the pool need not have autoscaling on when a formula is given.
"""

from collections.abc import Callable

import msgspec
from aiohttp import web

from batchpools.core.autoscale.parser import MAX_CHARACTERS
from batchpools.core.views import AutoScaleRun
from batchpools.ops import answers

Evaluate = Callable[[str, str, str], AutoScaleRun | None]  # namespace, pool, formula or ""

_MAX_BODY = 8 * MAX_CHARACTERS


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body; an empty formula means the pool's own."""

    formula: str = ""


async def evaluated(request: web.Request, evaluate: Evaluate) -> web.Response:
    """An AutoScaleRun; 404 for a pool that is not there, 400 for a body that is none."""
    namespace, name = request.match_info["namespace"], request.match_info["name"]
    body = await request.content.read(_MAX_BODY + 1)
    try:
        asked = msgspec.json.decode(body, type=Asked) if body.strip() else Asked()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return answers.refusal(400, "BadRequest", f'The body is to be like {{"formula": "..."}}: {error}')
    told = evaluate(namespace, name, asked.formula)
    if told is None:
        return answers.refusal(404, "NotFound", f"Pool {name!r} is not in namespace {namespace!r}.")
    if not told.formula:
        return answers.refusal(409, "Conflict", f"Pool {name!r} has no autoScale; give a formula to try.")
    return web.json_response(body=msgspec.json.encode(told))
