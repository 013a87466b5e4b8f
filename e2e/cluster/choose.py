"""Decides which cluster is used: what CLUSTER names, else kind where a Docker engine answers, else the local one."""

import os
import shutil
import subprocess

from e2e.cluster import images
from e2e.cluster.local import LocalCluster
from e2e.cluster.others import CurrentCluster, KindCluster

Cluster = LocalCluster | KindCluster | CurrentCluster


def choose(number: int | None = None) -> Cluster:
    """The cluster to run on; ValueError when CLUSTER is none of current, kind, local.

    number: of the local cluster; CLUSTER_NUMBER unless given, so that two checkouts can have one each.
    """
    number = int(os.environ.get("CLUSTER_NUMBER") or 0) if number is None else number
    wanted = os.environ.get("CLUSTER", "")
    if wanted == "current":
        return CurrentCluster()
    if wanted == "kind" or (not wanted and docker_answers() and shutil.which("kind")):
        return KindCluster()
    if wanted in {"", "local"}:
        return LocalCluster(number)
    raise ValueError(f"CLUSTER={wanted} is none of current, kind, local")


def docker_answers() -> bool:
    """Whether a Docker engine (not just its client) is there."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def load_images(cluster: Cluster) -> str:
    """Build and load what demo and e2e need; the name of the project's image."""
    if not isinstance(cluster, LocalCluster):
        return cluster.load_project_images()
    cluster.load_image(images.python_image())
    cluster.load_image(images.project_image())
    return images.PROJECT_IMAGE
