"""Keeps the CA in a Secret of the operator's namespace. Two replicas that start at once end with the same one."""

import base64
from datetime import datetime

import msgspec

from batchpools.hub.certificates import Authority, new_authority, what_is_wrong
from batchpools.kube.errors import AlreadyExistsError, NotFoundError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import SECRETS

SECRET_NAME = "batchpools-ca"  # noqa: S105 (a name)


class _Secret(msgspec.Struct):
    data: dict[str, str] = {}


class CaError(Exception):
    """The Secret does not hold a CA that can be used; a sentence that says what to do."""


async def load_authority(api: KubeApi, namespace: str, now: datetime) -> Authority:
    """The CA from the Secret; made once, by whoever creates the Secret first. CaError.

    A Secret that is there is never written over: nodes and other replicas may trust what it held.
    """
    for _ in range(3):
        try:
            raw = await api.get(SECRETS, namespace, SECRET_NAME)
        except NotFoundError:
            await _create(api, namespace, new_authority(now))
            continue
        return _usable(raw, namespace, now)
    raise CaError(f"Secret {SECRET_NAME} in namespace {namespace} is deleted as soon as it is made")


def _usable(raw: bytes, namespace: str, now: datetime) -> Authority:
    held = msgspec.json.decode(raw, type=_Secret).data
    try:
        authority = Authority(_decode(held["ca.crt"]), _decode(held["ca.key"]))
        trouble = what_is_wrong(authority, now)
    except KeyError as missing:
        trouble = f"it has no {missing}"
    except ValueError as error:
        trouble = f"it is not base64 of text: {error}"
    if not trouble:
        return authority
    raise CaError(
        f"the CA in Secret {SECRET_NAME} of namespace {namespace} is of no use: {trouble}; "
        "delete the Secret and restart the operator, which then makes a new one"
    )


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
