"""Packs layers into a docker-archive that containerd imports. No engine needed."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """An image in a file. `digest` changes with its contents."""

    name: str
    archive: Path
    digest: str


def pack(name: str, layers: Sequence[Path], config: Mapping[str, Any], out: Path) -> Image:
    """Write layers (uncompressed tars, lowest first) as one docker-archive under that name."""
    diffs = [file_digest(layer) for layer in layers]
    text = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Env": [PATH], **config},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}" for diff in diffs]},
            "history": [{"created_by": "batchpools"} for _ in diffs],
        },
        sort_keys=True,
    ).encode()
    digest = hashlib.sha256(text).hexdigest()
    names = [f"{diff}.tar" for diff in diffs]
    manifest = [{"Config": f"{digest}.json", "RepoTags": [name], "Layers": names}]
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        _add(tar, f"{digest}.json", text)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
        for layer, arcname in zip(layers, names, strict=True):
            tar.add(layer, arcname)
    partial.rename(out)
    return Image(name, out, hashlib.sha256(f"{name} {digest}".encode()).hexdigest()[:24])


def pause_image(program: Path, out: Path) -> Image:
    """The sandbox image of every pod."""
    layer = out.with_name("pause-layer.tar")
    with tarfile.open(layer, "w") as tar:
        tar.add(program, "pause", filter=_plain)
    config = {"Entrypoint": ["/pause"], "User": "65535"}
    return pack("localhost/pause:1", [layer], config, out)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = "root"
    return info


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
