"""Certificates that somebody else makes (cert-manager, or a person): a Secret with tls.crt, tls.key and ca.crt.

No CA is made. It decides when what the Secret holds now is used: at once under a CA that is trusted already; under another
one only after everybody has been told of it (safety rules S9.1, S9.3), or when nothing else is valid.
"""

import base64
from dataclasses import dataclass
from datetime import datetime

import msgspec

from batchpools.core.trust import Authorities, Settling, Step, next_step
from batchpools.hub.ca_store import CertificateError
from batchpools.hub.certificates import Issued, validity_of, what_is_wrong
from batchpools.hub.shown import Shown, Surroundings
from batchpools.kube.errors import NotFoundError
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import SECRETS
from batchpools.telemetry.clock import Clock


class _Secret(msgspec.Struct):
    data: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Given:
    """ca: PEM."""

    issued: Issued
    ca: str


class GivenCertificates:
    """A source: the Secret of that name. One certificate serves and identifies a replica."""

    def __init__(self, api: KubeApi, namespace: str, name: str, surroundings: Surroundings, clock: Clock) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._surroundings = surroundings
        self._clock = clock
        self._settling = Settling()
        self._used: _Given | None = None
        self._former = ""  # a CA that is trusted still

    async def look(self) -> Shown:
        """Read the Secret; use what it holds when that may be."""
        now = self._clock.now()
        offered = await self._read(now)
        used = self._used
        if used is None or offered.ca == used.ca:
            used = self._used = offered
        bundle = self._former + used.ca + (offered.ca if offered.ca != used.ca else "")
        match self._step(used, offered, now):
            case Step.USE_NEXT | Step.START_OVER:
                self._former, self._used = used.ca if offered.ca != used.ca else "", offered
                bundle = self._former + offered.ca
            case Step.DROP_FORMER:
                self._former = ""
                bundle = used.ca + (offered.ca if offered.ca != used.ca else "")
            case Step.MAKE_NEXT | Step.WAIT:  # whoever gives certificates renews them
                pass
        shown = self._used or offered
        return Shown(bundle, shown.issued, shown.issued)

    def _step(self, used: _Given, offered: _Given, now: datetime) -> Step:
        known = self._surroundings.trusted(offered.ca)
        of = (self._former, used.ca, offered.ca)
        settled = self._settling.measure(of, self._clock.monotonic(), known=known)
        authorities = Authorities(
            current=validity_of(used.issued.certificate),
            next=validity_of(offered.ca) if offered.ca != used.ca else None,
            former=validity_of(self._former) if self._former else None,
        )
        return next_step(authorities, now, asked=False, settled=settled, spread=self._surroundings.spread)

    async def _read(self, now: datetime) -> _Given:
        place = f"Secret {self._name} of namespace {self._namespace}"
        try:
            raw = await self._api.get(SECRETS, self._namespace, self._name)
        except NotFoundError:
            raise CertificateError(f"{place} is not there yet") from None
        held = msgspec.json.decode(raw, type=_Secret).data
        try:
            text = {key: base64.b64decode(held[key]).decode() for key in ("tls.crt", "tls.key", "ca.crt")}
            validity_of(text["ca.crt"])
        except KeyError as missing:
            raise CertificateError(f"{place} has no {missing}") from None
        except ValueError as error:
            raise CertificateError(f"{place} does not hold PEM text: {error}") from None
        given = _Given(Issued(_ended(text["tls.crt"]), text["tls.key"]), _ended(text["ca.crt"]))
        if trouble := what_is_wrong(given.issued, now):
            raise CertificateError(f"the certificate in {place} is of no use: {trouble}")
        return given


def _ended(pem: str) -> str:
    return pem if pem.endswith("\n") else pem + "\n"
