"""Makes CAs and certificates, and the TLS contexts of them. It decides what is in a certificate, not when one is made."""

import datetime as dt
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from batchpools.core.trust import Validity

CA_LIFE = dt.timedelta(days=3650)
LEAF_LIFE = dt.timedelta(days=90)
_EARLIER = dt.timedelta(minutes=5)  # clocks of nodes may be behind


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA: PEM texts of its certificate and its private key."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key: PEM texts."""

    certificate: str
    key: str


def new_authority(now: dt.datetime, life: dt.timedelta = CA_LIFE) -> Authority:
    """A new CA, EC P-256. Its name is that of its key: two of ours in one bundle differ."""
    key = ec.generate_private_key(ec.SECP256R1())
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _name(f"batchpools-ca-{key_id.digest.hex()[:8]}")
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    builder = _builder(name, name, key.public_key(), now, now + life)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True).add_extension(key_id, critical=False)
    return Authority(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def issue(authority: Authority, names: list[str], now: dt.datetime, life: dt.timedelta = LEAF_LIFE) -> Issued:
    """A server certificate for DNS names. It ends with its CA at the latest."""
    return _issue(authority, names, ExtendedKeyUsageOID.SERVER_AUTH, now, life)


def issue_client(authority: Authority, name: str, now: dt.datetime, life: dt.timedelta = LEAF_LIFE) -> Issued:
    """A certificate that a replica shows to another: it serves no clients, as a server's proves no client."""
    return _issue(authority, [name], ExtendedKeyUsageOID.CLIENT_AUTH, now, life)


def _issue(
    authority: Authority, names: list[str], usage: x509.ObjectIdentifier, now: dt.datetime, life: dt.timedelta
) -> Issued:
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    issuer_key = serialization.load_pem_private_key(authority.key.encode(), password=None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)  # noqa: S101 (what new_authority made)
    key = ec.generate_private_key(ec.SECP256R1())
    ends = min(now + life, issuer.not_valid_after_utc)
    builder = _builder(_name(names[0]), issuer.subject, key.public_key(), now, ends)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(alternatives, critical=False).add_extension(issuer_id, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return Issued(_pem(builder.sign(issuer_key, hashes.SHA256())), _key_pem(key))


def validity_of(certificate: str) -> Validity:
    """When a certificate (the first of a PEM text) was made, as far as it tells, and when it ends; ValueError: it is none."""
    read = x509.load_pem_x509_certificate(certificate.encode())
    made = min(read.not_valid_before_utc + _EARLIER, read.not_valid_after_utc)
    return Validity(made, read.not_valid_after_utc)


def what_is_wrong(authority: Authority | Issued, now: dt.datetime) -> str:
    """Why a certificate and its key cannot be used at that time, in words; empty when they can."""
    try:
        certificate = x509.load_pem_x509_certificate(authority.certificate.encode())
        key = serialization.load_pem_private_key(authority.key.encode(), password=None)
    except ValueError as error:
        return f"it cannot be read: {error}"
    if key.public_key() != certificate.public_key():
        return "its key is not that of its certificate"
    if now < certificate.not_valid_before_utc:
        return f"it is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on only"
    if now >= certificate.not_valid_after_utc:
        return f"it expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return ""


def server_context(issued: Issued) -> ssl.SSLContext:
    """A TLS 1.3 server context of it; the files that Python wants exist for a moment only."""
    return _showing(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), issued)


def client_context(issued: Issued, bundle: str) -> ssl.SSLContext:
    """A TLS 1.3 client context that shows it, and believes servers of those CAs alone (PEM)."""
    return _showing(ssl.create_default_context(cadata=bundle), issued)


def _showing(context: ssl.SSLContext, issued: Issued) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder, "both.pem")
        both.touch(mode=0o600)
        both.write_text(issued.certificate + issued.key)
        context.load_cert_chain(both)
    return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - _EARLIER)
    return builder.not_valid_after(ends)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
