"""Keeps the CAs in a Secret of the operator's namespace, and carries out one step of their replacement (`core.trust`).

Keys: `ca.crt` and `ca.key` are the current CA, `next.crt` and `next.key` the one to come, `former.crt` one that is still
trusted. Every write holds only for the version that was read: of two replicas one wins, and both read the same afterwards.
"""

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.core.trust import Authorities, Step
from batchpools.core.views import Meta
from batchpools.hub.certificates import CA_LIFE, Authority, new_authority, validity_of, what_is_wrong
from batchpools.kube.errors import AlreadyExistsError, NotFoundError, TestFailedError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import SECRETS

_log = logging.getLogger(__name__)

SECRET_NAME = "batchpools-ca"  # noqa: S105 (a name)


class _Secret(msgspec.Struct):
    metadata: Meta
    data: dict[str, str] = {}


class CertificateError(Exception):
    """A Secret does not hold what can be used; a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Held:
    """The CAs as the Secret has them. asked: somebody wants a new one now. version: what was read."""

    current: Authority
    next: Authority | None = None
    former: str = ""
    asked: bool = False
    version: str = ""

    @property
    def bundle(self) -> str:
        """All that is to be trusted, PEM; in an order that stays the same when the next becomes current."""
        return self.former + self.current.certificate + (self.next.certificate if self.next is not None else "")

    @property
    def newest(self) -> str:
        """The certificate that came last into the bundle."""
        return (self.next or self.current).certificate

    def authorities(self) -> Authorities:
        """What the decision reads."""
        return Authorities(
            current=validity_of(self.current.certificate),
            next=validity_of(self.next.certificate) if self.next is not None else None,
            former=validity_of(self.former) if self.former else None,
        )


class CaStore:
    """The Secret `batchpools-ca`."""

    def __init__(self, api: KubeApi, namespace: str, life: timedelta = CA_LIFE) -> None:
        self._api = api
        self._namespace = namespace
        self._life = life

    async def load(self, now: datetime, known: Held | None = None) -> Held:
        """The CAs from the Secret; made once, by whoever creates the Secret first. CertificateError.

        A Secret that is there is never written over: nodes and other replicas may trust what it held. One that somebody
        deleted is made again from what is `known`.
        """
        for _ in range(3):
            try:
                raw = await self._api.get(SECRETS, self._namespace, SECRET_NAME)
            except NotFoundError:
                await self._create(known or Held(new_authority(now, self._life)))
                continue
            return self._usable(raw, now)
        raise CertificateError(f"Secret {SECRET_NAME} in namespace {self._namespace} is deleted as soon as it is made")

    async def carry_out(self, step: Step, held: Held, now: datetime) -> Held:
        """The CAs after a step. Where somebody else was first, theirs. CertificateError, KubeError."""
        if step is Step.WAIT:
            return held
        after = _after(step, held, new_authority(now, self._life))
        operations: list[Mapping[str, Any]] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": held.version},
            {"op": "add", "path": "/data", "value": _data(after)},
        ]
        if held.asked and not after.asked:
            path = f"/metadata/annotations/{names.ANNOTATION_NEW_CA.replace('/', '~1')}"
            operations.append({"op": "remove", "path": path})
        try:
            await self._api.patch(SECRETS, self._namespace, SECRET_NAME, operations)
            _log.info("step %s of the CA's replacement in Secret %s", step, SECRET_NAME)
        except (TestFailedError, NotFoundError):
            _log.info("Secret %s was changed by somebody else just now", SECRET_NAME)
        return await self.load(now, after)

    def _usable(self, raw: bytes, now: datetime) -> Held:
        secret = msgspec.json.decode(raw, type=_Secret)
        try:
            held = _read(secret)
            trouble = what_is_wrong(held.current, now)
            if trouble.startswith("it expired"):
                trouble = ""  # the decision starts over
            if not trouble and held.next is not None and (wrong := what_is_wrong(held.next, now)):
                trouble = "" if wrong.startswith("it expired") else f"its next one: {wrong}"
        except KeyError as missing:
            trouble = f"it has no {missing}"
        except ValueError as error:
            trouble = f"it is not base64 of PEM text: {error}"
        if not trouble:
            return held
        raise CertificateError(
            f"the CA in Secret {SECRET_NAME} of namespace {self._namespace} is of no use: {trouble}; "
            "delete the Secret, and a new one is made"
        )

    async def _create(self, held: Held) -> None:
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET_NAME, "namespace": self._namespace},
            "type": "Opaque",
            "data": _data(held),
        }
        try:
            await self._api.create(SECRETS, self._namespace, manifest)
        except AlreadyExistsError:
            return


def _after(step: Step, held: Held, new: Authority) -> Held:
    """The CAs after a step other than Wait."""
    if step is Step.MAKE_NEXT:
        return Held(held.current, new, held.former)
    if step is Step.DROP_FORMER:
        return Held(held.current, held.next, asked=held.asked)
    if step is Step.USE_NEXT and held.next is not None:
        return Held(held.next, former=held.current.certificate, asked=held.asked)
    return Held(new)


def _read(secret: _Secret) -> Held:
    """KeyError, ValueError."""
    text = {key: base64.b64decode(value).decode() for key, value in secret.data.items()}
    if text.get("former.crt"):
        validity_of(text["former.crt"])
    return Held(
        current=Authority(text["ca.crt"], text["ca.key"]),
        next=Authority(text["next.crt"], text["next.key"]) if "next.crt" in text else None,
        former=text.get("former.crt", ""),
        asked=names.ANNOTATION_NEW_CA in secret.metadata.annotations,
        version=secret.metadata.resource_version,
    )


def _data(held: Held) -> dict[str, str]:
    plain = {"ca.crt": held.current.certificate, "ca.key": held.current.key}
    if held.next is not None:
        plain |= {"next.crt": held.next.certificate, "next.key": held.next.key}
    if held.former:
        plain["former.crt"] = held.former
    return {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
