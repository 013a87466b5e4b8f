"""Asks the API server what a decision may not take from a cache: what there is of a thing, and whether a namespace is going.

That a cache does not show something is no reason to let its owner go (safety rule S2.2); in a namespace that is being deleted
nothing is drained or waited for (S7.1). It decides nothing.
"""

import logging
from typing import TypeVar

import msgspec

from batchpools.core.views import Meta
from batchpools.kube.errors import ForbiddenError, NotFoundError
from batchpools.kube.port import KubeApi, Resource
from batchpools.kube.resources import NAMESPACES
from batchpools.telemetry.clock import Clock

_log = logging.getLogger(__name__)

ViewT = TypeVar("ViewT")
_KNOWN_FOR = 5.0  # seconds for which an answer about a namespace holds


class _Object(msgspec.Struct):
    metadata: Meta


async def listed(
    api: KubeApi, resource: Resource, view: type[ViewT], namespace: str, *, labels: str = "", fields: str = ""
) -> tuple[ViewT, ...]:
    """All objects that there are now, by label or field selector. KubeError."""
    found: list[ViewT] = []
    page = ""
    while True:
        some = await api.list(resource, namespace, label_selector=labels, field_selector=fields, page=page)
        found += [msgspec.json.decode(raw, type=view) for raw in some.items]
        page = some.next_page
        if not page:
            return tuple(found)


async def live(api: KubeApi, resource: Resource, view: type[ViewT], namespace: str, name: str) -> ViewT | None:
    """One object as it is now; None when there is none. KubeError."""
    try:
        return msgspec.json.decode(await api.get(resource, namespace, name), type=view)
    except NotFoundError:
        return None


class Namespaces:
    """Which namespaces are being deleted."""

    def __init__(self, api: KubeApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._known: dict[str, tuple[float, bool]] = {}

    async def is_closing(self, namespace: str) -> bool:
        """Whether it is being deleted; False also where nobody lets us look, for then all goes its usual, slower way. KubeError."""
        now = self._clock.monotonic()
        at, answer = self._known.get(namespace, (-_KNOWN_FOR, False))
        if now - at < _KNOWN_FOR:
            return answer
        try:
            raw = await self._api.get(NAMESPACES, "", namespace)
            answer = msgspec.json.decode(raw, type=_Object).metadata.deletion_timestamp is not None
        except NotFoundError:
            answer = False
        except ForbiddenError as refused:
            _log.info("namespace %s cannot be looked at: %s", namespace, refused.sentence)
            answer = False
        self._known[namespace] = (now, answer)
        return answer
