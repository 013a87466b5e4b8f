"""Puts certificates into a replica: where they come from, who shows them, who is told what to trust.

It decides who has been told; when certificates and CAs change is decided by their source. No file and no socket of its own.
"""

from collections.abc import Callable
from datetime import timedelta

from batchpools.api import names
from batchpools.core.pools import pod_facts
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.hub.ca_store import CaStore
from batchpools.hub.certificate_keeper import CertificateKeeper, looks_every
from batchpools.hub.certificates import server_context
from batchpools.hub.given_certificates import GivenCertificates
from batchpools.hub.living_context import LivingContext
from batchpools.hub.own_certificates import OwnCertificates
from batchpools.hub.shown import Shown, Source, Surroundings
from batchpools.kube.cache import Cache
from batchpools.kube.port import KubeApi
from batchpools.ops.apiservice import ApiServiceTrust
from batchpools.replica import Replica
from batchpools.settings import Settings
from batchpools.telemetry.clock import Clock


class ReplicaTrust:
    """`hub_tls` shows the hub's certificate. `api_server`: who tells the API server, None without an aggregated API.

    on_change is told of what is shown, after hub, node pods and API server.
    """

    def __init__(self, settings: Settings, api: KubeApi, replica: Replica, clock: Clock) -> None:
        self._settings = settings
        self._replica = replica
        self.hub_tls = LivingContext()
        self.on_change: Callable[[Shown], None] = lambda _: None
        self.api_server = ApiServiceTrust(api, lambda: self.keeper.bundle) if settings.aggregated_api else None
        around = Surroundings(lambda: replica.leads, self._is_trusted, settings.ca_spread)
        every = looks_every(settings.ca_spread, settings.certificate_life)
        self.keeper = CertificateKeeper(_source(settings, api, around, clock), every, self._changed)

    def _is_trusted(self, certificate: str) -> bool:
        """Whether everybody who connects to us has been told of a CA. What a standby cannot see it takes for done."""
        if self._replica.leads and self.api_server is not None and not self.api_server.trusts(certificate):
            return False
        return agents_trust(self._replica.cache, certificate)

    def _changed(self, shown: Shown) -> None:
        settings = self._settings
        self.hub_tls.show(server_context(shown.server))
        self._replica.use(
            NodePodSettings(
                settings.image,
                settings.hub_host,
                settings.hub_port,
                shown.bundle,
                settings.topology_key,
                user_namespaces=settings.user_namespaces,
                auto_storage=settings.auto_storage,
            )
        )
        if self.api_server is not None:
            self.api_server.changed()
        self.on_change(shown)


def agents_trust(cache: Cache, certificate: str) -> bool:
    """Whether every node pod that may still connect carries a CA among those it is told of (safety rule S9.1)."""
    return all(
        certificate in pod.metadata.annotations.get(names.ANNOTATION_CA, "")
        for pod in cache.pods
        if names.LABEL_NODE in pod.metadata.labels and not pod_facts.has_ended(pod)
    )


def _source(settings: Settings, api: KubeApi, around: Surroundings, clock: Clock) -> Source:
    if settings.certificate_secret:
        return GivenCertificates(api, settings.namespace, settings.certificate_secret, around, clock)
    store = CaStore(api, settings.namespace, timedelta(seconds=settings.ca_life))
    server_names = [names.HUB_SERVER_NAME, settings.ops_host]
    return OwnCertificates(store, server_names, around, clock, timedelta(seconds=settings.certificate_life))
