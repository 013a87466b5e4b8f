"""The registry of the stories: a tag is what was said of it last, a digest is what it names, and nothing else is there."""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from e2e import registry
from e2e.cluster import archive


@pytest.fixture
def shelf(tmp_path: Path) -> registry.Shelf:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"a layer")
    return registry.Shelf(tmp_path / "shelf", archive.pack("base", [layer], {}, tmp_path / "base.tar"))


@pytest.fixture
def address(shelf: registry.Shelf, tmp_path: Path) -> Iterator[str]:
    with registry.server(tmp_path / "shelf") as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def read(url: str, method: str = "GET") -> tuple[str, bytes]:
    with urlopen(Request(url, method=method), timeout=10) as answer:  # noqa: S310 (our own)
        return answer.headers["Docker-Content-Digest"] or "", answer.read()


def test_a_tag_moves_and_what_it_was_is_there_by_its_digest(shelf: registry.Shelf, address: str) -> None:
    first = shelf.tag("latest", {"etc/which": "first"})
    assert read(f"{address}/v2/any/name/manifests/latest", "HEAD") == (first, b"")
    second = shelf.tag("latest", {"etc/which": "second"})
    assert second != first
    told, manifest = read(f"{address}/v2/any/name/manifests/latest")
    assert (told, f"sha256:{hashlib.sha256(manifest).hexdigest()}") == (second, second)
    assert read(f"{address}/v2/any/name/manifests/{first}")[0] == first
    for one in [json.loads(manifest)["config"], *json.loads(manifest)["layers"]]:
        _, content = read(f"{address}/v2/any/name/blobs/{one['digest']}")
        assert (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)) == (one["digest"], one["size"])
    assert shelf.tag("latest", {"etc/which": "first"}) == first


@pytest.mark.parametrize(
    "path", ["/v2/a/manifests/no-such", "/v2/a/blobs/sha256:0", "/", "/v2/a/blobs/", "/etc/passwd"]
)
def test_what_is_not_there_is_not_found(address: str, path: str) -> None:
    with pytest.raises(HTTPError, match="404"):
        read(f"{address}{path}")


def test_it_says_that_it_speaks_the_protocol(address: str) -> None:
    assert read(f"{address}/v2/") == ("", b"")


def test_a_handshake_of_tls_is_answered_in_plain_words_at_once(address: str) -> None:
    """So a runtime that tries TLS first goes on without."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00\x01" + b"x" * 500)
        assert plain.recv(5) == b"HTTP/"
