"""Which versions the local cluster is made of. Their hash names the cache of built programs."""

import hashlib
import json
import os
from pathlib import Path

KUBERNETES = "1.37.2"
ETCD = "3.7.3"
CONTAINERD = "2.4.2"
RUNC = "1.5.2"
COREDNS = "1.15.0"
HELM = "4.3.1"
GO_MINIMUM = (1, 26)
DEBIAN = "bookworm"
BASE_PACKAGES = ("python3", "procps", "ca-certificates")

KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kubectl",
    "kube-proxy",
)
CONTAINERD_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")
PROGRAMS = ("etcd", *KUBERNETES_PROGRAMS, *CONTAINERD_PROGRAMS, "runc", "coredns", "helm", "pause")


def pins_hash() -> str:
    """Twelve hex digits that change with any pin."""
    pins = {name: value for name, value in globals().items() if name.isupper()}
    return hashlib.sha256(json.dumps(pins, sort_keys=True).encode()).hexdigest()[:12]


def cache_dir() -> Path:
    """Where built programs and base images live, kept between clones."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "batchpools" / pins_hash()
