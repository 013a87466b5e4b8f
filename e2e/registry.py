"""A registry to pull from, read-only: the three paths of the OCI distribution specification that a runtime's pull asks for.

It serves a folder: `tags/<tag>` holds the digest that the tag is now, `blobs/<digest>` the manifests, configurations and layers.
So whoever writes the folder moves tags, and nothing is told to the server. A runtime speaks plain HTTP to a registry on its own
loopback address, so the server runs in the network of the cluster's node; on one machine alone.
"""

import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from e2e.cluster.archive import Image
from e2e.cluster.images import ROOT
from e2e.cluster.local import LocalCluster

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_PIECE = 1 << 20
_HANDSHAKE = b"\x16"  # the first byte of a TLS record


class Shelf:
    """The folder: images made of one archive, each with files of its own on top."""

    def __init__(self, folder: Path, base: Image) -> None:
        self._folder = folder
        (folder / "blobs").mkdir(parents=True)
        (folder / "tags").mkdir()
        with tarfile.open(base.archive) as tar:
            (told,) = json.loads(_member(tar, "manifest.json"))
            self._config = json.loads(_member(tar, told["Config"]))
            self._layers = [self._layer(_member(tar, name)) for name in told["Layers"]]

    def tag(self, tag: str, files: Mapping[str, str]) -> str:
        """From now on the tag is the archive with these files (path without a leading slash -> text); the digest of that."""
        layer = self._layer(_packed(files))
        diffs = [*self._config["rootfs"]["diff_ids"], layer["digest"]]
        config = {**self._config, "rootfs": {"type": "layers", "diff_ids": diffs}}
        config["history"] = [{"created_by": "batchpools"} for _ in diffs]
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._blob(_CONFIG, json.dumps(config, sort_keys=True).encode()),
            "layers": [*self._layers, layer],
        }
        digest: str = self._blob(_MANIFEST, json.dumps(manifest, sort_keys=True).encode())["digest"]
        written = self._folder / f"{tag}.new"
        written.write_text(digest)
        written.rename(self._folder / "tags" / tag)
        return digest

    def _layer(self, content: bytes) -> dict[str, Any]:
        return self._blob(_LAYER, content)

    def _blob(self, media_type: str, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        (self._folder / "blobs" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD; the repository's name is not looked at."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def handle(self) -> None:
        """A runtime tries TLS first, and goes on without where the answer to its handshake is HTTP."""
        if self.rfile.peek(1)[:1] == _HANDSHAKE:  # type: ignore[attr-defined]
            self.rfile.read1(_PIECE)
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return
        super().handle()

    def do_GET(self) -> None:
        """Answer with the thing itself."""
        found = self._begin()
        if found is not None:
            with found.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, _PIECE)

    def do_HEAD(self) -> None:
        """Answer with its digest and size."""
        self._begin()

    def _begin(self) -> Path | None:
        kind, _, reference = self.path.rpartition("/")
        if self.path == "/v2/":
            self._head(200, "application/json", 0)
            return None
        tag = self.folder / "tags" / reference
        digest = tag.read_text() if kind.endswith("/manifests") and tag.is_file() else reference
        found = self.folder / "blobs" / digest
        if not kind.startswith("/v2/") or not found.is_file():
            self._head(404, "application/json", 0)
            return None
        media_type = _MANIFEST if kind.endswith("/manifests") else "application/octet-stream"
        self._head(200, media_type, found.stat().st_size, digest)
        return found

    def _head(self, status: int, media_type: str, size: int, digest: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(size))
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()

    def log_message(self, format: str, *words: Any) -> None:  # noqa: A002 (the base's name)
        """Nothing: stderr is the story's."""


def server(folder: Path) -> ThreadingHTTPServer:
    """On a free port of the loopback address."""
    handler = type("Handler", (_Handler,), {"folder": folder})
    return ThreadingHTTPServer(("127.0.0.1", 0), handler)


@contextlib.contextmanager
def on_the_node(cluster: LocalCluster, folder: Path) -> Iterator[str]:
    """`host:port` of a server in the network of the cluster's node."""
    inside = ["nsenter", f"--net=/proc/{cluster.init}/ns/net"]
    command = [*inside, sys.executable, "-m", "e2e.registry", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            assert port, "the registry did not come up"
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def _packed(files: Mapping[str, str]) -> bytes:
    """A layer: the same files are the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, text in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(text.encode()), 0o644
            tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


if __name__ == "__main__":
    with server(Path(sys.argv[1])) as served:
        print(served.server_port, flush=True)
        served.serve_forever()
