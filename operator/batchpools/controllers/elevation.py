"""Asks the API server now and then whether it takes pods of pools that allow elevated tasks. It decides nothing."""

from batchpools.core.identity import Key
from batchpools.core.pools.elevation import is_forbidden, rehearsal
from batchpools.core.pools.pod_hash import pod_hash
from batchpools.core.views import PoolView
from batchpools.kube.errors import AlreadyExistsError, ForbiddenError, InvalidError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import PODS
from batchpools.telemetry.clock import Clock

ALLOWED_FOR = 300.0  # seconds: who locks a namespace later finds it in the pods that are refused there
FORBIDDEN_FOR = 15.0


class Elevation:
    """The answers, by pool. A restart asks again."""

    def __init__(self, api: KubeApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._told: dict[Key, tuple[str, float, str]] = {}  # of which pool, until when, and what

    async def refusal(self, pool: PoolView) -> str:
        """The API server's sentence when it takes no such pods; empty when it does, or when none is asked for. KubeError."""
        meta, now = pool.metadata, self._clock.monotonic()
        key, wanted = Key("Pool", meta.namespace, meta.name), f"{meta.uid} {pod_hash(pool.spec)}"
        if not pool.spec.allow_elevated:
            self.forget(key)
            return ""
        asked, until, sentence = self._told.get(key, ("", 0.0, ""))
        if asked != wanted or now >= until:
            sentence = await self._ask(pool)
            self._told[key] = (wanted, now + (FORBIDDEN_FOR if sentence else ALLOWED_FOR), sentence)
        return sentence

    def forget(self, pool: Key) -> None:
        """It is gone."""
        self._told.pop(pool, None)

    async def _ask(self, pool: PoolView) -> str:
        try:
            await self._api.rehearse(PODS, pool.metadata.namespace, rehearsal(pool))
        except (ForbiddenError, InvalidError) as refused:
            return refused.sentence if is_forbidden(refused.sentence) else ""
        except AlreadyExistsError:
            return ""
        return ""
