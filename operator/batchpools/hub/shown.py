"""What a replica shows and believes: the value that certificate sources make and listeners use. Names only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from batchpools.hub.certificates import Issued


@dataclass(frozen=True, slots=True)
class Shown:
    """bundle: the CAs that agents, API server and replicas are to trust (PEM). server, client: what this replica shows."""

    bundle: str
    server: Issued
    client: Issued


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a source asks of the world. trusted(pem): whether everybody who connects has been told of that CA.

    spread: seconds after which what somebody was told is what they act on.
    """

    leads: Callable[[], bool]
    trusted: Callable[[str], bool]
    spread: float


class Source(Protocol):
    """Where certificates come from."""

    async def look(self) -> Shown:
        """What is to be shown now; CertificateError or KubeError when nothing better than before can be had."""
        ...
