"""The operator's CA and its server certificates, proven by handshakes in memory; when a CA is of no use."""

import ssl
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509

from batchpools.api import names
from batchpools.hub.certificates import (
    Authority,
    Issued,
    issue,
    new_authority,
    server_context,
    validity_of,
    what_is_wrong,
)
from batchpools.hub.living_context import LivingContext
from batchpools.telemetry.clock import SystemClock

NOW = SystemClock().now()  # a handshake reads the machine's clock
SERVICE = "batchpools-ops.batchpools-system.svc"


@cache
def authority() -> Authority:
    return new_authority(NOW)


@cache
def issued(*wanted: str) -> Issued:
    return issue(authority(), list(wanted), NOW)


def shake_hands(server: ssl.SSLContext, trusted: Authority, name: str, *, newest: bool = True) -> str:
    """The TLS version of a handshake between a server and a client that trusts one CA; what OpenSSL raises."""
    client = ssl.create_default_context(cadata=trusted.certificate)
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
    if not newest:
        client.maximum_version = ssl.TLSVersion.TLSv1_2
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for end in {ours, theirs} - done:
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                continue
    return str(ours.version())


@pytest.mark.parametrize("name", [names.HUB_SERVER_NAME, SERVICE])
def test_who_trusts_the_ca_trusts_the_server_under_each_of_its_names(name: str) -> None:
    server = server_context(issued(names.HUB_SERVER_NAME, SERVICE))
    assert shake_hands(server, authority(), name) == "TLSv1.3"


def test_another_name_is_not_trusted() -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(server_context(issued(names.HUB_SERVER_NAME)), authority(), SERVICE)


def test_another_ca_is_not_trusted() -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server_context(issued(SERVICE)), new_authority(NOW), SERVICE)


def test_old_tls_is_refused() -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(server_context(issued(SERVICE)), authority(), SERVICE, newest=False)


def test_a_server_certificate_cannot_issue_others_nor_pass_for_a_client() -> None:
    made = x509.load_pem_x509_certificate(issued(SERVICE).certificate.encode())
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usages = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [usage._name for usage in usages] == ["serverAuth"]
    root = x509.load_pem_x509_certificate(authority().certificate.encode())
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_each_replica_has_a_key_of_its_own() -> None:
    assert issue(authority(), [SERVICE], NOW).key != issue(authority(), [SERVICE], NOW).key


@pytest.mark.parametrize(
    ("days", "wrong"),
    [(-1, "valid from"), (0, ""), (3649, ""), (3650, "expired on"), (9999, "expired on")],
)
def test_a_ca_has_its_time(days: int, wrong: str) -> None:
    told = what_is_wrong(authority(), NOW + timedelta(days=days))
    assert told == wrong or (bool(wrong) and wrong in told)


def test_a_clock_that_is_a_little_behind_does_no_harm() -> None:
    assert what_is_wrong(authority(), NOW - timedelta(minutes=4)) == ""


@pytest.mark.parametrize(
    ("broken", "wrong"),
    [
        (Authority("nonsense", authority().key), "cannot be read"),
        (Authority(authority().certificate, "nonsense"), "cannot be read"),
        (Authority(authority().certificate, new_authority(NOW).key), "not that of its certificate"),
    ],
)
def test_what_is_no_ca_is_said(broken: Authority, wrong: str) -> None:
    assert wrong in what_is_wrong(broken, NOW)


def test_a_certificate_does_not_outlive_its_ca() -> None:
    short = new_authority(NOW, timedelta(hours=1))
    assert validity_of(issue(short, [SERVICE], NOW).certificate).ends == validity_of(short.certificate).ends


def test_how_long_it_lives_is_read_back_from_it() -> None:
    told = validity_of(issue(authority(), [SERVICE], NOW, timedelta(seconds=90)).certificate)
    assert timedelta(seconds=88) < told.ends - told.made <= timedelta(seconds=91)


def test_two_cas_of_ours_bear_different_names_and_one_bundle_holds_both() -> None:
    one, other = new_authority(NOW), new_authority(NOW)
    bundle = Authority(one.certificate + other.certificate, "")
    for ca in (one, other):
        assert shake_hands(server_context(issue(ca, [SERVICE], NOW)), bundle, SERVICE) == "TLSv1.3"
    subjects = {x509.load_pem_x509_certificate(ca.certificate.encode()).subject for ca in (one, other)}
    assert len(subjects) == 2


def test_a_living_context_shows_what_it_was_told_last_and_nothing_before() -> None:
    living = LivingContext()
    with pytest.raises(ssl.SSLError):
        shake_hands(living.context, authority(), SERVICE)
    for ca in (authority(), new_authority(NOW)):
        living.show(server_context(issue(ca, [SERVICE], NOW)))
        assert shake_hands(living.context, ca, SERVICE) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(living.context, authority(), SERVICE)
