"""Where the API server is and who we are, loaded through the `kubernetes` package: in the cluster, else the kubeconfig."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True)
class Credentials:
    """A server and how to speak to it."""

    server: str
    tls: ssl.SSLContext
    token_file: Path | None = None
    token_header: str = ""

    def authorization(self) -> str:
        """The Authorization header now: the projected token rotates, so its file is read each time it is asked for."""
        if self.token_file is not None:
            return f"Bearer {self.token_file.read_text().strip()}"
        return self.token_header


def load_credentials() -> Credentials:
    """In the cluster the pod's service account, else the current context; what `kubernetes` raises when there is neither."""
    from kubernetes import client, config  # noqa: PLC0415 (a second of import that the CLI's --help need not pay)

    settings: Any = client.Configuration()
    in_cluster = _IN_CLUSTER_TOKEN.exists()
    if in_cluster:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    else:
        config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    tls = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if not settings.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    if settings.cert_file:
        tls.load_cert_chain(settings.cert_file, settings.key_file)
    token = "" if in_cluster else settings.get_api_key_with_prefix("authorization") or ""
    return Credentials(settings.host, tls, _IN_CLUSTER_TOKEN if in_cluster else None, token)
