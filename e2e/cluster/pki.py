"""Makes the certificates, keys and kubeconfigs of one local cluster. EC P-256, valid for a week."""

import base64
import datetime as dt
import ipaddress
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True)
class Pair:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def key_pem(self) -> bytes:
        """PKCS#8 PEM."""
        return _key_pem(self.key)

    def certificate_pem(self) -> bytes:
        """PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def write_pki(folder: Path, *, address: str, first_service: str, node: str = "node1") -> None:
    """Write pki/*.{crt,key}, sa.{key,pub} and the kubeconfigs of every component below `folder`."""
    (folder / "pki").mkdir(parents=True, exist_ok=True)
    cluster, etcd, front = _authority("kubernetes-ca"), _authority("etcd-ca"), _authority("front-proxy-ca")
    local = ["localhost", "127.0.0.1"]
    api_names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    pairs = {
        "ca": cluster,
        "etcd-ca": etcd,
        "front-proxy-ca": front,
        "etcd": _leaf(etcd, "etcd", names=local, usages=("server", "client")),
        "apiserver-etcd-client": _leaf(etcd, "apiserver-etcd-client", usages=("client",)),
        "front-proxy-client": _leaf(front, "front-proxy-client", usages=("client",)),
        "apiserver": _leaf(
            cluster, "kube-apiserver", names=[*api_names, *local, first_service, address], usages=("server",)
        ),
        "apiserver-kubelet-client": _leaf(cluster, "kube-apiserver-kubelet-client", usages=("client",)),
        "kubelet": _leaf(cluster, f"system:node:{node}", names=[node, address], usages=("server",)),
        "kcm": _leaf(cluster, "kube-controller-manager", names=local, usages=("server",)),
        "scheduler": _leaf(cluster, "kube-scheduler", names=local, usages=("server",)),
    }
    for name, pair in pairs.items():
        _write(folder / "pki" / f"{name}.key", pair.key_pem())
        _write(folder / "pki" / f"{name}.crt", pair.certificate_pem(), 0o644)
    users = {
        "admin": _leaf(cluster, "kubernetes-admin", "system:masters", usages=("client",)),
        "controller-manager": _leaf(cluster, "system:kube-controller-manager", usages=("client",)),
        "scheduler": _leaf(cluster, "system:kube-scheduler", usages=("client",)),
        "kube-proxy": _leaf(cluster, "system:kube-proxy", usages=("client",)),
        "kubelet": _leaf(cluster, f"system:node:{node}", "system:nodes", usages=("client",)),
        "coredns": _leaf(cluster, "coredns", usages=("client",)),
    }
    for name, pair in users.items():
        _write(folder / f"{name}.conf", _kubeconfig(name, pair, cluster, f"https://{address}:6443"))
    account = ec.generate_private_key(ec.SECP256R1())
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    _write(folder / "pki" / "sa.key", _key_pem(account))
    _write(folder / "pki" / "sa.pub", account.public_key().public_bytes(serialization.Encoding.PEM, public))


def _authority(name: str) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    usage = x509.KeyUsage(True, False, True, False, False, True, True, False, False)
    builder = _builder(subject, subject, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Pair(key, builder.sign(key, hashes.SHA256()))


def _leaf(
    issuer: Pair, name: str, organization: str = "", *, names: Sequence[str] = (), usages: Sequence[str] = ()
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = _builder(_subject(name, organization), issuer.certificate.subject, key)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True).add_extension(issuer_id, critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([_USAGES[one] for one in usages]), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
    return Pair(key, builder.sign(issuer.key, hashes.SHA256()))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(minutes=5))
    return builder.not_valid_after(now + dt.timedelta(days=7))


def _subject(name: str, organization: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _kubeconfig(name: str, user: Pair, authority: Pair, server: str) -> bytes:
    def encode(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    cluster = {"server": server, "certificate-authority-data": encode(authority.certificate_pem())}
    credentials = {
        "client-certificate-data": encode(user.certificate_pem()),
        "client-key-data": encode(user.key_pem()),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": name, "user": credentials}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": name}}],
    }
    return json.dumps(config).encode()


def _write(path: Path, content: bytes, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
