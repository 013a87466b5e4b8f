"""Where the API server is and who we are, loaded through the `kubernetes` package: in the cluster, else the kubeconfig."""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Credentials:
    """A server and how to speak to it. `authorization()` is the header now (tokens rotate), "" for none."""

    server: str
    tls: ssl.SSLContext
    authorization: Callable[[], str]


def load_credentials() -> Credentials:
    """In the cluster the pod's service account, else the current context; what `kubernetes` raises when there is neither."""
    from kubernetes import client, config  # noqa: PLC0415 (a second of import that the CLI's --help need not pay)

    settings: Any = client.Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    else:  # KUBECONFIG as it is now: the package reads it when it is imported
        location = os.environ.get("KUBECONFIG")
        config.load_kube_config(config_file=location, client_configuration=settings)  # type: ignore[no-untyped-call]

    def authorization() -> str:
        """The token, which the package renews: from its file once a minute, from an exec plugin when it has run out."""
        return settings.get_api_key_with_prefix("BearerToken", "authorization") or ""

    return Credentials(settings.host, _tls_of(settings), authorization)


def _tls_of(settings: Any) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if not settings.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    if settings.cert_file:
        tls.load_cert_chain(settings.cert_file, settings.key_file)
    return tls
