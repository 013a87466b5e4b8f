"""Keeps the CA in a Secret of the operator's namespace. Two replicas that start at once end with the same one."""

import base64
from datetime import datetime

import msgspec

from batchpools.hub.certificates import Authority, new_authority
from batchpools.kube.errors import AlreadyExistsError, NotFoundError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import SECRETS

SECRET_NAME = "batchpools-ca"  # noqa: S105 (a name)


class _Secret(msgspec.Struct):
    data: dict[str, str] = {}


async def load_authority(api: KubeApi, namespace: str, now: datetime) -> Authority:
    """The CA from the Secret; made once, by whoever creates the Secret first."""
    for _ in range(3):
        try:
            raw = await api.get(SECRETS, namespace, SECRET_NAME)
        except NotFoundError:
            await _create(api, namespace, new_authority(now))
            continue
        held = msgspec.json.decode(raw, type=_Secret).data
        return Authority(_decode(held["ca.crt"]), _decode(held["ca.key"]))
    raise RuntimeError(f"Secret {SECRET_NAME} can be neither read nor made")


async def _create(api: KubeApi, namespace: str, authority: Authority) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET_NAME, "namespace": namespace},
        "type": "Opaque",
        "data": {"ca.crt": _encode(authority.certificate), "ca.key": _encode(authority.key)},
    }
    try:
        await api.create(SECRETS, namespace, manifest)
    except AlreadyExistsError:
        return


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()
