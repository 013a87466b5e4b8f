"""A TLS server context that lives as long as its listener, while certificate and trust change under it.

A session keeps what it began with; each new handshake gets what is shown now. It decides nothing about certificates.
"""

import ssl
from typing import Any


class LivingContext:
    """`context` is given to a listener once; `show` says what new handshakes get."""

    def __init__(self, verify_mode: ssl.VerifyMode = ssl.CERT_NONE) -> None:
        self._shown: ssl.SSLContext | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.verify_mode = verify_mode  # OpenSSL takes it from here, and the CAs from what is shown
        self.context.num_tickets = 0  # a resumed session would show no certificate
        self.context.sni_callback = self._give

    def show(self, context: ssl.SSLContext) -> None:
        """Use this one, made by `certificates.server_context`, from the next handshake on."""
        self._shown = context

    def _give(self, handshake: Any, _name: str | None, _context: ssl.SSLContext) -> int | None:
        if self._shown is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        handshake.context = self._shown
        return None
